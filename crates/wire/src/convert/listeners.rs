//! The listeners of a broker that have names, in messages and in what is stored.

use std::collections::BTreeMap;

use cluster::{Endpoint, ListenerName};

use super::metadata::{host_from_proto, port_from_proto};
use crate::InvalidMessage;
use crate::v1::{storage, types};

type Listeners = BTreeMap<ListenerName, Endpoint>;

pub(super) fn listeners_to_proto(listeners: &Listeners) -> Vec<types::Listener> {
    let listener = |(name, Endpoint { host, port }): (&ListenerName, &Endpoint)| types::Listener {
        name: name.to_string(),
        host: host.clone(),
        port: u32::from(*port),
    };
    listeners.iter().map(listener).collect()
}

pub(super) fn listeners_from_proto(
    listeners: Vec<types::Listener>,
) -> Result<Listeners, InvalidMessage> {
    if ListenerName::MAX_COUNT < listeners.len() {
        let found = format!("{} of them", listeners.len());
        return Err(InvalidMessage::Value { field: "listeners", found, expected: "at most 16" });
    }
    let mut domain = Listeners::new();
    for types::Listener { name, host, port } in listeners {
        let endpoint = Endpoint { host: host_from_proto(host)?, port: port_from_proto(port)? };
        let wrong = |expected| InvalidMessage::Value {
            field: "listener.name",
            found: format!("{name:?}"),
            expected,
        };
        let known = ListenerName::new(&name).ok_or_else(|| wrong(ListenerName::RULE))?;
        if domain.insert(known, endpoint).is_some() {
            return Err(wrong("each name once"));
        }
    }
    Ok(domain)
}

pub(super) fn listeners_to_storage(listeners: &Listeners) -> Vec<storage::Listener> {
    let stored = |types::Listener { name, host, port }| storage::Listener { name, host, port };
    listeners_to_proto(listeners).into_iter().map(stored).collect()
}

pub(super) fn listeners_from_storage(
    listeners: Vec<storage::Listener>,
) -> Result<Listeners, InvalidMessage> {
    let told = |storage::Listener { name, host, port }| types::Listener { name, host, port };
    listeners_from_proto(listeners.into_iter().map(told).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str) -> types::Listener {
        types::Listener { name: name.into(), host: "h".into(), port: 1 }
    }

    #[test]
    fn what_is_told_reads_back() {
        let told = vec![listener("A"), listener("B_2")];
        let domain = listeners_from_proto(told.clone()).unwrap();
        assert_eq!(listeners_to_proto(&domain), told);
        assert_eq!(listeners_from_storage(listeners_to_storage(&domain)), Ok(domain));
    }

    #[test]
    fn what_no_broker_may_have_is_refused() {
        let many = (0..17).map(|number| listener(&format!("N{number}"))).collect();
        for (told, field) in [
            (vec![listener("A"), listener("A")], "listener.name"),
            (vec![listener("lower")], "listener.name"),
            (vec![types::Listener { port: 0, ..listener("A") }], "endpoint.port"),
            (many, "listeners"),
        ] {
            let refused = listeners_from_proto(told);
            assert!(
                matches!(&refused, Err(InvalidMessage::Value { field: found, .. }) if *found == field),
                "{refused:?}"
            );
        }
        let nowhere = types::Listener { host: String::new(), ..listener("A") };
        let refused = listeners_from_proto(vec![nowhere]);
        assert_eq!(refused, Err(InvalidMessage::Missing { field: "endpoint.host" }));
    }
}
