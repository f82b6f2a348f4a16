//! `schema-registry.properties`, as Confluent's registry has it.

use std::collections::BTreeMap;

use daemon::config::Classic;

/// What its lines mean for a registry.
///
/// # Errors
///
/// A sentence that names the key and says what would do.
pub(crate) fn translate(mut lines: BTreeMap<String, String>) -> Result<Classic, String> {
    let mut classic = Classic::default();
    let listeners = lines.remove("listeners");
    let port = lines.remove("port");
    if let Some(listeners) = listeners {
        classic.keys.insert("listen".to_owned(), listen(&listeners)?.into());
    } else if let Some(port) = port {
        let port: u16 = port.parse().map_err(|_no| format!("port={port} is not a port"))?;
        classic.keys.insert("listen".to_owned(), format!("127.0.0.1:{port}").into());
    }
    classic.unused = lines.into_keys().collect();
    Ok(classic)
}

fn listen(listeners: &str) -> Result<String, String> {
    let wrong = || format!("listeners={listeners} must be one http://address:port");
    let address = listeners.trim().strip_prefix("http://").ok_or_else(wrong)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.trim_end_matches('/').parse().map_err(|_no| wrong())?;
    match host {
        "localhost" => Ok(format!("127.0.0.1:{port}")),
        "" => Ok(format!("0.0.0.0:{port}")),
        host if host.parse::<std::net::IpAddr>().is_ok() => Ok(format!("{host}:{port}")),
        host => Err(format!("listeners={listeners}: bind 0.0.0.0 rather than the name {host}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Classic, String> {
        translate(lines.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
    }

    #[test]
    fn the_shipped_file_is_understood() {
        let lines = [
            ("listeners", "http://0.0.0.0:8081"),
            ("kafkastore.connection.url", "localhost:2181"),
            ("kafkastore.topic", "_schemas"),
            ("debug", "false"),
        ];
        let classic = read(&lines).unwrap();
        let listen = classic.keys.get("listen").and_then(|value| value.as_str());
        assert_eq!(listen, Some("0.0.0.0:8081"));
        assert_eq!(classic.unused, ["debug", "kafkastore.connection.url", "kafkastore.topic"]);
    }

    #[test]
    fn what_cannot_be_says_what_would_do() {
        for listeners in ["https://0.0.0.0:8081", "http://here", "http://name:8081", "a,b"] {
            assert!(read(&[("listeners", listeners)]).is_err(), "{listeners}");
        }
    }
}
