//! Where to listen, and what to tell clients of it.

use std::collections::{BTreeMap, BTreeSet};

use daemon::config::Value;

const PLAINTEXT: &str = "PLAINTEXT";

/// What `server.properties` says of listeners, as values of our keys.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) listen: Option<String>,
    pub(super) advertised: Option<String>,
    /// All but the first.
    pub(super) others: Vec<Value>,
}

/// `NAME://host:port`
struct Named {
    name: String,
    host: String,
    port: String,
}

/// Takes the lines that are about listeners out of `lines`.
pub(super) fn take(lines: &mut BTreeMap<String, String>) -> Result<Listeners, String> {
    let (host, port) = (lines.remove("host.name"), lines.remove("port"));
    let advertised = advertised_host(lines)?;
    let Some(bound) = lines.remove("listeners") else {
        let advertised = match lines.remove("advertised.listeners") {
            Some(listeners) => Some(the_only("advertised.listeners", &listeners)?),
            None => advertised,
        };
        let listen = listen(host.as_deref(), port.as_deref())?;
        return Ok(Listeners { listen, advertised, others: Vec::new() });
    };
    several(&bound, advertised, lines)
}

/// `host.name` and `port`, as before Kafka 0.9.
fn listen(host: Option<&str>, port: Option<&str>) -> Result<Option<String>, String> {
    match (host, port) {
        (host, Some(port)) => {
            let host = host.unwrap_or_default();
            Ok(Some(format!("{}:{port}", numeric(PLAINTEXT, host, "127.0.0.1")?)))
        }
        (None, None) => Ok(None),
        (Some(host), None) => Err(format!("host.name={host} needs a port beside it")),
    }
}

/// `advertised.host.name` and `advertised.port`, as before Kafka 0.9.
fn advertised_host(lines: &mut BTreeMap<String, String>) -> Result<Option<String>, String> {
    match (lines.remove("advertised.host.name"), lines.remove("advertised.port")) {
        (Some(host), Some(port)) => Ok(Some(format!("{host}:{port}"))),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => {
            Err("advertised.host.name and advertised.port are only of use together".to_owned())
        }
    }
}

/// The address of the only listener in a list.
fn the_only(key: &str, value: &str) -> Result<String, String> {
    match &named(key, value)?[..] {
        [Named { name, host, port }] => {
            speaks_plaintext(name, None)?;
            Ok(format!("{host}:{port}"))
        }
        _ => Err(format!("{key}={value} must be one PLAINTEXT://host:port")),
    }
}

/// `listeners`, with what else is said of each of them. `advertised` is that of the first, if
/// nothing else says it.
fn several(
    value: &str,
    advertised: Option<String>,
    lines: &mut BTreeMap<String, String>,
) -> Result<Listeners, String> {
    let protocols = lines.remove("listener.security.protocol.map");
    let protocols = protocols.as_deref().map(protocol_map).transpose()?;
    let controllers = lines.remove("controller.listener.names").unwrap_or_default();
    let controllers: BTreeSet<String> = controllers.split(',').map(normal).collect();
    let mut bound = named("listeners", value)?;
    // The coordinator is a process of its own here, and listens by itself.
    bound.retain(|listener| !controllers.contains(&listener.name));
    for listener in &bound {
        speaks_plaintext(&listener.name, protocols.as_ref())?;
    }
    let first = match lines.remove("inter.broker.listener.name") {
        None => 0,
        Some(wanted) => {
            let found = bound.iter().position(|listener| listener.name == normal(&wanted));
            found.ok_or_else(|| {
                format!("inter.broker.listener.name={wanted} is not one of listeners={value}")
            })?
        }
    };
    let mut told = told(lines.remove("advertised.listeners"), &bound, &controllers)?;
    if bound.is_empty() {
        return Err(format!("listeners={value} has none for clients: add PLAINTEXT://host:port"));
    }
    let default = bound.remove(first);
    let advertised = told.remove(&default.name).or(advertised);
    if advertised.is_none() && !told.is_empty() {
        let Named { name, .. } = default;
        return Err(format!("advertised.listeners needs {name}, by which brokers find each other"));
    }
    let others = bound.iter().map(|listener| Ok(other(listener, &mut told)?.into()));
    Ok(Listeners {
        listen: Some(default.address()?),
        advertised,
        others: others.collect::<Result<_, String>>()?,
    })
}

/// `advertised.listeners`: addresses by the names of those that are `bound`.
fn told(
    value: Option<String>,
    bound: &[Named],
    controllers: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, String> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let mut told = BTreeMap::new();
    for Named { name, host, port } in named("advertised.listeners", &value)? {
        if controllers.contains(&name) {
            continue;
        }
        if bound.iter().all(|listener| listener.name != name) {
            return Err(format!("advertised.listeners={value}: {name} is not one of listeners"));
        }
        told.insert(name, format!("{host}:{port}"));
    }
    Ok(told)
}

fn other(
    listener: &Named,
    told: &mut BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let name = &listener.name;
    let keys = [("name", Some(name.clone())), ("listen", Some(listener.address()?))];
    let keys = keys.into_iter().chain([("advertised", told.remove(name))]);
    Ok(keys.filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

impl Named {
    /// Where to bind it. An empty host is every address of this one.
    fn address(&self) -> Result<String, String> {
        let Self { name, host, port } = self;
        Ok(format!("{}:{port}", numeric(name, host, "0.0.0.0")?))
    }
}

/// A list of `NAME://host:port`, each name once.
fn named(key: &str, value: &str) -> Result<Vec<Named>, String> {
    let wrong =
        || format!("{key}={value} must be NAME://host:port, as many as there are listeners");
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for one in value.split(',').map(str::trim) {
        let (name, address) = one.split_once("://").ok_or_else(wrong)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let name = normal(name);
        if !names.insert(name.clone()) {
            return Err(format!("{key}={value} has two with the name {name}"));
        }
        all.push(Named { name, host: host.to_owned(), port: port.to_owned() });
    }
    Ok(all)
}

/// As Kafka compares names of listeners and protocols.
fn normal(name: &str) -> String {
    name.trim().to_ascii_uppercase()
}

/// `NAME:PROTOCOL,NAME:PROTOCOL`
fn protocol_map(value: &str) -> Result<BTreeMap<String, String>, String> {
    let wrong = || format!("listener.security.protocol.map={value} must be NAME:PROTOCOL,...");
    let pair = |pair: &str| {
        let (name, protocol) = pair.split_once(':')?;
        Some((normal(name), normal(protocol)))
    };
    value.split(',').map(|one| pair(one).ok_or_else(wrong)).collect()
}

/// Without a map, names are protocols.
fn speaks_plaintext(
    name: &str,
    protocols: Option<&BTreeMap<String, String>>,
) -> Result<(), String> {
    let protocol = match protocols {
        Some(protocols) => protocols.get(name).map(String::as_str),
        None => Some(name)
            .filter(|name| [PLAINTEXT, "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(name)),
    };
    match protocol {
        Some(PLAINTEXT) => Ok(()),
        Some(protocol) => {
            Err(format!("listener {name} is {protocol}: only PLAINTEXT is spoken here so far"))
        }
        None => Err(format!(
            "listener.security.protocol.map does not say what {name} speaks: add {name}:PLAINTEXT"
        )),
    }
}

/// The address to bind: names are resolved by those who connect.
fn numeric(listener: &str, host: &str, otherwise: &str) -> Result<String, String> {
    match host {
        "" => Ok(otherwise.to_owned()),
        "localhost" => Ok("127.0.0.1".to_owned()),
        host if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() => {
            Ok(host.to_owned())
        }
        host => Err(format!(
            "cannot bind the name {host}: listen on 0.0.0.0 or an address of this host, and tell \
             clients the name by advertised.listeners={listener}://{host}:port"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default listener, what it is told by, and the others in one line each.
    fn read(text: &str) -> Result<(String, String, Vec<String>), String> {
        let lines = text.lines().filter_map(|line| line.trim().split_once('='));
        let mut lines = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let Listeners { listen, advertised, others } = take(&mut lines)?;
        assert_eq!(lines, BTreeMap::new(), "all of them are of use");
        let text = |of: &Value, key: &str| {
            of.find_ref(key).and_then(Value::as_str).unwrap_or("-").to_owned()
        };
        let other =
            |of: &Value| ["name", "listen", "advertised"].map(|key| text(of, key)).join(" ");
        let others = others.iter().map(other).collect();
        Ok((listen.unwrap_or_default(), advertised.unwrap_or_default(), others))
    }

    const TWO: &str = "listeners=INTERNAL://0.0.0.0:19092,EXTERNAL://0.0.0.0:9092
        advertised.listeners=INTERNAL://broker:19092,EXTERNAL://localhost:9092
        listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,SSL:SSL";

    #[test]
    fn the_first_listener_is_the_default_one_and_the_others_have_names() {
        let (listen, advertised, others) = read(TWO).unwrap();
        assert_eq!((listen.as_str(), advertised.as_str()), ("0.0.0.0:19092", "broker:19092"));
        assert_eq!(others, ["EXTERNAL 0.0.0.0:9092 localhost:9092"]);
    }

    #[test]
    fn unless_brokers_use_another_one() {
        let text = format!("{TWO}\ninter.broker.listener.name=External");
        let (listen, advertised, others) = read(&text).unwrap();
        assert_eq!((listen.as_str(), advertised.as_str()), ("0.0.0.0:9092", "localhost:9092"));
        assert_eq!(others, ["INTERNAL 0.0.0.0:19092 broker:19092"]);
    }

    #[test]
    fn what_controllers_listen_on_is_the_coordinators_business() {
        let (listen, advertised, others) = read(
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093
            inter.broker.listener.name=PLAINTEXT
            controller.listener.names=CONTROLLER
            advertised.listeners=PLAINTEXT://localhost:9092",
        )
        .unwrap();
        assert_eq!((listen.as_str(), advertised.as_str()), ("0.0.0.0:9092", "localhost:9092"));
        assert!(others.is_empty(), "{others:?}");
    }

    #[test]
    fn what_cannot_be_says_what_would_do() {
        for (text, said) in [
            ("listeners=IN://:1", "add IN:PLAINTEXT"),
            ("listeners=PLAINTEXT://:1,SSL://:2", "listener SSL is SSL: only PLAINTEXT"),
            ("listeners=PLAINTEXT://:1,plaintext://:2", "two with the name PLAINTEXT"),
            ("listeners=:9092", "must be NAME://host:port"),
            (
                "listeners=PLAINTEXT://:1\ninter.broker.listener.name=IN",
                "inter.broker.listener.name=IN is not one of",
            ),
            (
                "listeners=PLAINTEXT://:1\nadvertised.listeners=OUT://h:1",
                "OUT is not one of listeners",
            ),
            (
                "listeners=IN://:1,OUT://:2\nadvertised.listeners=OUT://h:2\n\
                 listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT",
                "advertised.listeners needs IN",
            ),
            (
                "listeners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER",
                "has none for clients",
            ),
            (
                "listeners=PLAINTEXT://:1\nlistener.security.protocol.map=PLAINTEXT",
                "must be NAME:PROTOCOL",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
