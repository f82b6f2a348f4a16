//! The listeners of a broker: one that every broker has, and others that have names.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use cluster::{Endpoint, ListenerName};
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};

/// One more way in, for clients that cannot reach the address that all others are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// What it is called: 1 to 32 of A-Z, 0-9 and _. The same on every broker of the cluster.
    pub name: String,
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// The address that clients who come by it are told, as `host:port`. Absent: the one listened
    /// on.
    pub advertised: Option<String>,
}

impl Listener {
    /// The host and port that clients are told, once `bound` is known.
    pub(crate) fn advertised(&self, bound: SocketAddr) -> Result<Endpoint, ConfigError> {
        advertised(&format!("listener {}: ", self.name), self.advertised.as_deref(), bound)
    }
}

impl Config {
    /// The listeners with names.
    ///
    /// # Errors
    ///
    /// A name that is not one, or given twice; or there are too many.
    pub(crate) fn named_listeners(&self) -> Result<Vec<(ListenerName, &Listener)>, ConfigError> {
        if ListenerName::MAX_COUNT < self.listeners.len() {
            return Err(ConfigError::TooManyListeners { found: self.listeners.len() });
        }
        let mut seen = BTreeSet::new();
        let mut named = Vec::with_capacity(self.listeners.len());
        for listener in &self.listeners {
            let wrong = || ConfigError::ListenerName { found: listener.name.clone() };
            let name = ListenerName::new(&listener.name).ok_or_else(wrong)?;
            if !seen.insert(name.clone()) {
                return Err(ConfigError::ListenerTwice { name });
            }
            named.push((name, listener));
        }
        Ok(named)
    }

    /// The host and port that others are told who come by no other listener, once `bound` is known.
    pub(crate) fn advertised(&self, bound: SocketAddr) -> Result<Endpoint, ConfigError> {
        advertised("", self.advertised.as_deref(), bound)
    }
}

fn advertised(
    of: &str,
    advertised: Option<&str>,
    bound: SocketAddr,
) -> Result<Endpoint, ConfigError> {
    let of = || of.to_owned();
    let Some(advertised) = advertised else {
        if bound.ip().is_unspecified() {
            return Err(ConfigError::Unreachable { of: of(), listen: bound });
        }
        return Ok(Endpoint { host: bound.ip().to_string(), port: bound.port() });
    };
    let parsed = advertised
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok().filter(|port| *port != 0)?)));
    match parsed {
        Some((host, _)) if is_wildcard(host) => {
            Err(ConfigError::AdvertisedWildcard { of: of(), found: advertised.to_owned() })
        }
        Some((host, port)) if !host.is_empty() => Ok(Endpoint { host: host.to_owned(), port }),
        Some(_) | None => Err(ConfigError::Advertised { of: of(), found: advertised.to_owned() }),
    }
}

/// Whether it is an address to listen on, and none to connect to.
fn is_wildcard(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.is_ok_and(|address| address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.to_owned(), port }
    }

    fn listener(name: &str, advertised: Option<&str>) -> Listener {
        let listen = bound("0.0.0.0:9193");
        Listener { name: name.to_owned(), listen, advertised: advertised.map(ToOwned::to_owned) }
    }

    fn refused(listeners: Vec<Listener>) -> String {
        Config { listeners, ..Config::default() }.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_port_that_was_chosen_by_the_system_is_advertised() {
        let told = Config::default().advertised(bound("127.0.0.1:40123"));
        assert_eq!(told, Ok(endpoint("127.0.0.1", 40123)));
    }

    #[test]
    fn a_wildcard_address_is_not_advertised() {
        let listen = bound("0.0.0.0:9192");
        let told = Config::default().advertised(listen);
        assert_eq!(told, Err(ConfigError::Unreachable { of: String::new(), listen }));
        let told = listener("OUT", None).advertised(listen).unwrap_err().to_string();
        assert!(told.starts_with("listener OUT: listen is 0.0.0.0:9192"), "{told}");
        for wildcard in ["0.0.0.0:9192", "[::]:9192", ":::9192"] {
            let told = listener("OUT", Some(wildcard)).advertised(listen).unwrap_err().to_string();
            assert!(told.starts_with("listener OUT: advertised is"), "{told}");
            assert!(told.contains("no client can connect to"), "{told}");
        }
    }

    #[test]
    fn an_advertised_address_needs_host_and_port() {
        let config =
            |advertised: &str| Config { advertised: Some(advertised.into()), ..Config::default() };
        let told = |advertised| config(advertised).advertised(bound("0.0.0.0:1"));
        assert_eq!(told("node1:9192"), Ok(endpoint("node1", 9192)));
        for wrong in ["node1", ":9192", "node1:http", "node1:0"] {
            let expected = ConfigError::Advertised { of: String::new(), found: wrong.to_owned() };
            assert_eq!(told(wrong), Err(expected));
        }
    }

    #[test]
    fn listeners_have_names_of_their_own() {
        let two = vec![listener("IN", None), listener("OUT", None)];
        let config = Config { listeners: two.clone(), ..Config::default() };
        let listeners = config.named_listeners().unwrap();
        let names: Vec<_> = listeners.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["IN", "OUT"]);
        let twice = refused([two, vec![listener("OUT", None)]].concat());
        assert_eq!(twice, "listeners has two with the name OUT; give each its own");
        let lower = refused(vec![listener("out", None)]);
        assert!(lower.contains("\"out\"") && lower.contains("A-Z"), "{lower}");
        let many = (0..17).map(|number| listener(&format!("N{number}"), None)).collect();
        assert!(refused(many).contains("at most 16"));
    }
}
