use std::path::PathBuf;
use std::str::FromStr;

use super::HdfsUrl;

/// Where a lake lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakePlace {
    /// In a directory of this machine.
    Local(PathBuf),
    /// In HDFS.
    Hdfs(HdfsUrl),
}

impl FromStr for LakePlace {
    /// A sentence that says what would do.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = match text.split_once("://") {
            // Hadoop writes `hdfs:/lake` for the file system of its configuration.
            None if text.split_once(":/").is_some_and(|(scheme, _)| is_scheme(scheme)) => {
                return Err("write file:///path or hdfs://host:port/path".to_owned());
            }
            None => text,
            Some(("hdfs", _)) => return text.parse().map(Self::Hdfs),
            Some(("file", path)) if path.starts_with('/') => path,
            Some(("file", _)) => {
                return Err("a file URL has three slashes: file:///path".to_owned());
            }
            Some((scheme, _)) => {
                return Err(format!(
                    "lakes at {scheme}:// are not supported; use file:///path or hdfs://host:port/path"
                ));
            }
        };
        if path.is_empty() {
            return Err("the lake needs a path: file:///path".to_owned());
        }
        Ok(Self::Local(PathBuf::from(path)))
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lake_is_a_path_or_a_url() {
        let place = |text: &str| text.parse::<LakePlace>();
        assert_eq!(place("file:///data/lake"), Ok(LakePlace::Local("/data/lake".into())));
        assert_eq!(place("./lake"), Ok(LakePlace::Local("./lake".into())));
        assert!(matches!(place("hdfs://namenode:8020/lake"), Ok(LakePlace::Hdfs(_))));
        for text in
            ["", "file://", "file://lake", "hdfs://namenode:8020", "s3://bucket/lake", "hdfs:/lake"]
        {
            assert!(place(text).is_err(), "{text:?}");
        }
    }
}
