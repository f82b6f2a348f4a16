use std::fmt::Write;

use bytes::Bytes;
use client::{Client, ClientConfig, ProducerConfig, ProducerRecord};
use tokio::task::block_in_place;
use types::TopicName;

use crate::lake::Lab;

/// A payload, and the reason for which it is quarantined.
const BROKEN: [(&[u8], &str); 7] = [
    (b"plain text", "bad-framing"),
    (b"", "bad-framing"),
    (b"\0\0\0", "bad-framing"),
    (b"\0\0\0\0\x63\x02\x08when", "unknown-schema"),
    // A frame of the schema with nothing, with half a datum, and with more than one.
    (b"\0\0\0\0\x01", "bad-datum"),
    (b"\0\0\0\0\x01\x02\x7ewhen", "bad-datum"),
    (b"\0\0\0\0\x01\x02\x282013-01-01T00:00:00Z!", "bad-datum"),
];
/// A whole datum whose time is none.
const UNDATED: &[u8] = b"\0\0\0\0\x01\x02\x08when";

/// As the rows' reader prints bytes.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_decode_is_quarantined_with_payload_and_reason_and_counted() {
    let mut lab = block_in_place(Lab::start);
    block_in_place(|| lab.produce(10));
    let bootstrap = [lab.cluster.broker_address().to_string()];
    let client = Client::connect(ClientConfig::new(bootstrap)).await.unwrap();
    let producer = client.producer(ProducerConfig::default()).unwrap();
    let broken: Vec<_> = BROKEN.into_iter().chain([(UNDATED, "undated")]).collect();
    for (payload, reason) in &broken {
        let record = ProducerRecord::new(TopicName::new("t").unwrap(), Bytes::from_static(payload));
        producer.send(record.with_key(*reason)).await.unwrap().await.unwrap();
    }
    producer.close().await.unwrap();

    let report = block_in_place(|| lab.sink());
    let commit = &report["commit"];
    assert_eq!((&commit["rows"], &commit["quarantined"]), (&10.into(), &8.into()), "{report}");
    let by_reason = r#"{"bad-datum":3,"bad-framing":3,"undated":1,"unknown-schema":1}"#;
    assert_eq!(commit["quarantined_by_reason"].to_string(), by_reason);

    let mut expected: Vec<_> =
        broken.iter().map(|(payload, why)| (hex(payload), hex(why.as_bytes()))).collect();
    expected.sort();
    let rows = block_in_place(|| lab.rows("_quarantine/t"));
    let mut found = Vec::new();
    for row in rows {
        let [value, key, reason, detail] = ["value", "key", "reason", "detail"]
            .map(|field| row[field].as_str().unwrap().to_owned());
        assert_eq!(hex(reason.as_bytes()), key, "{row}");
        assert!(!detail.is_empty(), "{row}");
        found.push((value, key));
    }
    found.sort();
    assert_eq!(found, expected);
    block_in_place(|| lab.check());
}
