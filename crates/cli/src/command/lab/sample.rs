use chrono::DateTime;
use serde_json::{Value, json};
use types::Timestamp;

/// The topic of the demo.
pub(super) const TOPIC: &str = "downloadhue";
/// Where its schema is registered.
pub(super) const SUBJECT: &str = "downloadhue-value";
/// What the records are written with.
pub(super) const SCHEMA: &str = include_str!("sample/downloadhue.avsc");

/// One record of the demo, in Avro's JSON encoding. `number` makes records differ.
pub(super) fn record(number: u64, at: Timestamp) -> Value {
    let category = match number % 4 {
        0 => "METRIC",
        1 => "SECURITY",
        2 => "TELEMETRY",
        _ => "APPLICATION",
    };
    let time = DateTime::from_timestamp_millis(at.as_millis()).unwrap_or_default();
    json!({
        "appId": "hue",
        "category": category,
        "timestamp": {"string": at.as_millis().to_string()},
        "watermark": null,
        "ipCollector": null,
        "usuario": format!("user-{:02}", number % 40),
        "datahora": time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "clienteip": client(number),
        "extraInfo": {"query": number.to_string()},
    })
}

/// What a record is keyed by: the client that asked.
pub(super) fn client(number: u64) -> String {
    format!("10.0.0.{}", number % 50)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::Shape;

    #[test]
    fn every_record_of_the_demo_fits_its_schema() {
        let shape = Shape::parse(SCHEMA).unwrap();
        for number in 0..100 {
            let datum = shape.encode(&record(number, Timestamp::from_millis(0)));
            let datum = datum.unwrap_or_else(|error| panic!("{error}"));
            let read = shape.decode(&datum).unwrap();
            assert_eq!(read["ferramenta"], json!({"string": "hue"}));
        }
    }
}
