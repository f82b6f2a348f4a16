//! `zoo.cfg` or `zookeeper.properties`, as `ZooKeeper`'s servers have it.

use std::collections::BTreeMap;

use daemon::config::Classic;

/// What its lines mean for a coordinator: it listens where `ZooKeeper` would, so that whoever is
/// told that address finds it.
///
/// # Errors
///
/// A sentence that names the key and says what would do.
pub(crate) fn translate(mut lines: BTreeMap<String, String>) -> Result<Classic, String> {
    let mut classic = Classic::default();
    if let Some(dir) = lines.remove("dataDir") {
        classic.keys.insert("data_dir".to_owned(), dir.into());
    }
    let host = lines.remove("clientPortAddress");
    if let Some(port) = lines.remove("clientPort") {
        let port: u16 = port.parse().map_err(|_no| format!("clientPort={port} is not a port"))?;
        let host = match host.as_deref() {
            None | Some("localhost") => "127.0.0.1".to_owned(),
            Some(host) if host.parse::<std::net::IpAddr>().is_ok() => host.to_owned(),
            Some(host) => {
                return Err(format!("clientPortAddress={host} is not an address of this host"));
            }
        };
        classic.keys.insert("listen".to_owned(), format!("{host}:{port}").into());
    }
    let others = lines.keys().filter(|key| key.starts_with("server.")).count();
    if others > 1 {
        return Err(format!(
            "{others} servers are named, and coordinators do not form a quorum yet: keep one \
             server.N line, or none"
        ));
    }
    classic.unused = lines.into_keys().collect();
    Ok(classic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Classic, String> {
        translate(lines.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
    }

    #[test]
    fn a_single_server_is_understood() {
        let lines = [("dataDir", "/tmp/zookeeper"), ("clientPort", "2181"), ("tickTime", "2000")];
        let classic = read(&lines).unwrap();
        let text = |key: &str| classic.keys.get(key).and_then(|value| value.as_str());
        assert_eq!(text("data_dir"), Some("/tmp/zookeeper"));
        assert_eq!(text("listen"), Some("127.0.0.1:2181"));
        assert_eq!(classic.unused, ["tickTime"]);
    }

    #[test]
    fn a_quorum_is_refused_rather_than_ignored() {
        let lines = [("server.1", "a:2888:3888"), ("server.2", "b:2888:3888")];
        assert!(read(&lines).unwrap_err().contains("2 servers"));
        assert!(read(&[("clientPort", "many")]).unwrap_err().contains("clientPort=many"));
    }
}
