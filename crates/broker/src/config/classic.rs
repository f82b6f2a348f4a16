//! `server.properties`, as Kafka's brokers have it.

use std::collections::BTreeMap;

use daemon::config::{Classic, Value};

mod listeners;

use listeners::Listeners;

/// Keys that mean the same here, under their names here.
const WHOLE_NUMBERS: &[(&str, &str)] = &[
    ("broker.id", "broker_id"),
    ("node.id", "broker_id"),
    ("num.partitions", "num_partitions"),
    ("default.replication.factor", "default_replication_factor"),
    ("log.retention.check.interval.ms", "log_retention_check_interval_ms"),
    ("log.retention.hours", "log_retention_hours"),
    ("log.retention.ms", "log_retention_ms"),
    ("log.retention.bytes", "log_retention_bytes"),
    ("log.roll.hours", "log_roll_hours"),
    ("log.roll.ms", "log_roll_ms"),
    ("log.segment.bytes", "log_segment_bytes"),
];

const MINUTE_MS: i64 = 60_000;

/// What its lines mean for a broker.
///
/// # Errors
///
/// A sentence that names the key and says what would do.
pub(crate) fn translate(mut lines: BTreeMap<String, String>) -> Result<Classic, String> {
    let mut classic = Classic::default();
    let mut set = |key: &str, value: Value| classic.keys.insert(key.to_owned(), value);
    if let Some(minutes) = lines.remove("log.retention.minutes") {
        let ms = number("log.retention.minutes", &minutes)?.checked_mul(MINUTE_MS);
        let ms = ms.ok_or_else(|| format!("log.retention.minutes={minutes} is too long"))?;
        set("log_retention_ms", ms.into());
    }
    for (theirs, ours) in WHOLE_NUMBERS {
        if let Some(value) = lines.remove(*theirs) {
            set(ours, number(theirs, &value)?.into());
        }
    }
    if let Some(value) = lines.remove("auto.create.topics.enable") {
        set("auto_create_topics_enable", boolean("auto.create.topics.enable", &value)?.into());
    }
    if let Some(rack) = lines.remove("broker.rack") {
        set("rack", rack.into());
    }
    if let Some(dirs) = lines.remove("log.dirs").or_else(|| lines.remove("log.dir")) {
        set("data_dir", directory(&dirs)?.into());
    }
    let Listeners { listen, advertised, others } = listeners::take(&mut lines)?;
    if let Some(listen) = listen {
        set("listen", listen.into());
    }
    if let Some(advertised) = advertised {
        set("advertised", advertised.into());
    }
    if !others.is_empty() {
        set("listeners", others.into());
    }
    if let Some(quorum) = lines.remove("zookeeper.connect") {
        set("coordinators", coordinators(&quorum)?.into());
    }
    classic.unused = lines.into_keys().collect();
    Ok(classic)
}

fn number(key: &str, value: &str) -> Result<i64, String> {
    value.parse().map_err(|_no| format!("{key}={value} is not a whole number"))
}

fn boolean(key: &str, value: &str) -> Result<bool, String> {
    value.to_lowercase().parse().map_err(|_no| format!("{key}={value} is neither true nor false"))
}

fn directory(dirs: &str) -> Result<String, String> {
    match dirs.split(',').map(str::trim).filter(|dir| !dir.is_empty()).collect::<Vec<_>>()[..] {
        [one] => Ok(one.to_owned()),
        _ => Err(format!("log.dirs={dirs} must name one directory: a broker keeps all in one")),
    }
}

/// `host:port,host:port/chroot`: a coordinator answers in `ZooKeeper`'s place.
fn coordinators(quorum: &str) -> Result<Vec<String>, String> {
    let (hosts, _chroot) = quorum.split_once('/').unwrap_or((quorum, ""));
    let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
    let hosts: Vec<String> = hosts.map(ToOwned::to_owned).collect();
    match hosts.iter().find(|host| !host.contains(':')) {
        None if !hosts.is_empty() => Ok(hosts),
        Some(_) | None => Err(format!("zookeeper.connect={quorum} must be host:port,host:port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.trim().split_once('='));
        lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn keys(text: &str) -> BTreeMap<String, Value> {
        translate(lines(text)).unwrap().keys
    }

    #[test]
    fn a_course_s_second_broker_is_understood() {
        let classic = translate(lines(
            "broker.id=1\nport=9093\nlog.dirs=/tmp/kafka-logs-1\nnum.partitions=2\n\
             num.recovery.threads.per.data.dir=1\nzookeeper.connect=localhost:2181\n\
             zookeeper.connection.timeout.ms=6000\nlog.retention.hours=168\n\
             auto.create.topics.enable=false",
        ))
        .unwrap();
        let expected: BTreeMap<String, Value> = [
            ("broker_id", Value::from(1)),
            ("listen", "127.0.0.1:9093".into()),
            ("data_dir", "/tmp/kafka-logs-1".into()),
            ("num_partitions", 2.into()),
            ("coordinators", vec!["localhost:2181"].into()),
            ("log_retention_hours", 168.into()),
            ("auto_create_topics_enable", false.into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let told = |keys: &BTreeMap<String, Value>| format!("{keys:?}").replace("I64", "I32");
        assert_eq!(told(&classic.keys), told(&expected));
        let unused = ["num.recovery.threads.per.data.dir", "zookeeper.connection.timeout.ms"];
        assert_eq!(classic.unused, unused);
    }

    #[test]
    fn listeners_are_bound_and_names_are_advertised() {
        let everywhere =
            keys("listeners=PLAINTEXT://:9092\nadvertised.listeners=PLAINTEXT://n1:9092");
        assert_eq!(everywhere.get("listen").and_then(Value::as_str), Some("0.0.0.0:9092"));
        assert_eq!(everywhere.get("advertised").and_then(Value::as_str), Some("n1:9092"));
        let here = keys("listeners=PLAINTEXT://localhost:9092");
        assert_eq!(here.get("listen").and_then(Value::as_str), Some("127.0.0.1:9092"));
    }

    #[test]
    fn what_cannot_be_says_what_would_do() {
        for (line, said) in [
            ("broker.id=one", "broker.id=one is not a whole number"),
            ("log.dirs=/a,/b", "must name one directory"),
            ("listeners=PLAINTEXT://node1:9092", "advertised.listeners=PLAINTEXT://node1:port"),
            ("listeners=SSL://:9093", "only PLAINTEXT"),
            ("zookeeper.connect=localhost", "host:port"),
            ("auto.create.topics.enable=yes", "neither true nor false"),
        ] {
            let error = translate(lines(line)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
