//! `schema-registry.properties`, as Confluent's registry has it.

use std::collections::BTreeMap;

use daemon::config::Classic;

/// What names coordinators beside a classic file.
const COORDINATORS: &str = "DOHLE_REGISTRY_COORDINATORS";

/// Where Confluent's registry keeps its schemas. Such a line is in every file, also in that of a
/// registry that stands alone, so that it does not name coordinators.
const SHARED_STORE: [&str; 2] = ["kafkastore.bootstrap.servers", "kafkastore.connection.url"];

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
    classic.unused = lines.into_keys().map(left_out).collect();
    Ok(classic)
}

/// How a key without a use here is named.
fn left_out(key: String) -> String {
    if SHARED_STORE.contains(&key.as_str()) {
        return format!("{key} (registries that share their schemas set {COORDINATORS})");
    }
    key
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
        let hint = "kafkastore.connection.url (registries that share their schemas set \
                    DOHLE_REGISTRY_COORDINATORS)";
        assert_eq!(classic.unused, ["debug", hint, "kafkastore.topic"]);
    }

    #[test]
    fn what_cannot_be_says_what_would_do() {
        for listeners in ["https://0.0.0.0:8081", "http://here", "http://name:8081", "a,b"] {
            assert!(read(&[("listeners", listeners)]).is_err(), "{listeners}");
        }
    }
}
