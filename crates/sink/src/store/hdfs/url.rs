use std::fmt;
use std::str::FromStr;

use lake::LakePath;

const SCHEME: &str = "hdfs://";

/// A directory in HDFS: `hdfs://host:port/path`, or `hdfs://nameservice/path` with the NameNodes of
/// that service in `HADOOP_CONF_DIR`.
///
/// Nothing in it is percent-decoded, as in Hadoop's own shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HdfsUrl {
    authority: String,
    /// With a leading and no trailing slash.
    path: String,
}

impl HdfsUrl {
    /// The directory.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL without the directory.
    pub(super) fn authority_url(&self) -> String {
        format!("{SCHEME}{}", self.authority)
    }

    /// Whether it names one NameNode rather than a service of several.
    pub(super) fn is_one_namenode(&self) -> bool {
        self.authority.contains(':')
    }
}

impl FromStr for HdfsUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(SCHEME).ok_or("a lake in HDFS begins with hdfs://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = match authority.rsplit_once(':') {
            Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok(),
            None => !authority.is_empty(),
        };
        if !fits || authority.contains(|c: char| c.is_whitespace() || "@?#\\".contains(c)) {
            return Err("a lake in HDFS is hdfs://host:port/path or hdfs://nameservice/path".into());
        }
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            return Err(format!("the lake needs a directory of its own: {SCHEME}{authority}/path"));
        }
        let path = LakePath::new(path).map_err(|error| error.to_string())?;
        if path.as_str().contains(':') {
            return Err("HDFS allows no ':' in a path".into());
        }
        Ok(Self { authority: authority.to_owned(), path: format!("/{path}") })
    }
}

impl fmt::Display for HdfsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_namenode_or_a_service_and_a_directory() {
        let url: HdfsUrl = "hdfs://namenode:8020/data/my lake/".parse().unwrap();
        assert_eq!(url.to_string(), "hdfs://namenode:8020/data/my lake");
        assert_eq!((url.path(), url.is_one_namenode()), ("/data/my lake", true));
        let url: HdfsUrl = "hdfs://service/lake".parse().unwrap();
        assert_eq!((url.path(), url.is_one_namenode()), ("/lake", false));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "hdfs://namenode:8020",
            "hdfs://namenode:8020//",
            "hdfs:///lake",
            "hdfs://namenode:port/lake",
            "hdfs://:8020/lake",
            "hdfs://me@namenode:8020/lake",
            "hdfs://namenode:8020/a/../b",
            "hdfs://namenode:8020/a:b",
            "file:///lake",
        ] {
            assert!(text.parse::<HdfsUrl>().is_err(), "{text}");
        }
    }
}
