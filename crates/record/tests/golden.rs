//! Batches made by kafka-python and librdkafka (`fixtures/make.py`) and one written out by hand from
//! Kafka's specification: this crate reads them and, given the same records, writes the same bytes.

#![expect(clippy::unwrap_used, reason = "a test that fails may stop")]

use bytes::Bytes;
use record::{Batch, BatchBuilder, Compression, Header, Record};
use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TimestampType};

const PLAIN: &[u8] = include_bytes!("fixtures/plain.batch");
const TRANSACTIONAL: &[u8] = include_bytes!("fixtures/transactional.batch");
/// By each codec, as kafka-python and as librdkafka packed them.
const PACKED: [(Compression, [&[u8]; 2]); 4] = [
    (
        Compression::Gzip,
        [include_bytes!("fixtures/gzip.batch"), include_bytes!("fixtures/librdkafka-gzip.batch")],
    ),
    (
        // In the framing of snappy-java, and bare.
        Compression::Snappy,
        [
            include_bytes!("fixtures/snappy.batch"),
            include_bytes!("fixtures/librdkafka-snappy.batch"),
        ],
    ),
    (
        Compression::Lz4,
        [include_bytes!("fixtures/lz4.batch"), include_bytes!("fixtures/librdkafka-lz4.batch")],
    ),
    (
        Compression::Zstd,
        [include_bytes!("fixtures/zstd.batch"), include_bytes!("fixtures/librdkafka-zstd.batch")],
    ),
];

fn record(offset: u64, millis: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
    Record {
        offset: Offset::new(offset),
        timestamp: Timestamp::from_millis(millis),
        key: key.map(Bytes::copy_from_slice),
        value: value.map(Bytes::copy_from_slice),
        headers: Vec::new(),
    }
}

fn header(key: &'static [u8], value: Option<&'static [u8]>) -> Header {
    Header { key: Bytes::from_static(key), value: value.map(Bytes::from_static) }
}

/// `RECORDS` of `fixtures/make.py`.
fn expected() -> Vec<Record> {
    let mut records = vec![
        record(0, 1_500_000_000_000, Some(b"UA"), Some(b"first")),
        record(1, 1_499_999_999_000, None, Some(b"")),
        record(2, 1_500_000_070_000, Some(b""), None),
        record(3, 1_500_000_000_000, Some(&[b'k'; 70]), Some(&[b'v'; 9000])),
    ];
    if let Some(first) = records.first_mut() {
        first.headers = vec![
            header(b"trace", Some(b"\x00\xff")),
            header(b"trace", None),
            header(b"empty", Some(b"")),
        ];
    }
    records
}

#[track_caller]
fn read(bytes: &'static [u8]) -> Batch {
    let batch = Batch::verify(Bytes::from_static(bytes)).unwrap();
    let records: Result<Vec<_>, _> = batch.records().unwrap().collect();
    assert_eq!(records.unwrap(), expected());
    // And a broker takes it as it is.
    assert_eq!(Batch::split(batch.bytes().clone(), bytes.len()), Ok(vec![batch.clone()]));
    batch
}

fn build(compression: Compression) -> Batch {
    let mut builder = BatchBuilder::new(compression);
    for Record { timestamp, key, value, headers, .. } in expected() {
        builder.push(timestamp, key.as_deref(), value.as_deref(), &headers).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn a_foreign_batch_reads_as_it_was_written() {
    let batch = read(PLAIN);
    let header = batch.header();
    assert_eq!(header.base_offset, Offset::ZERO);
    assert_eq!(header.leader_epoch, Some(LeaderEpoch::ZERO));
    assert_eq!(header.timestamp_type, TimestampType::Create);
    assert_eq!(header.base_timestamp, Timestamp::from_millis(1_500_000_000_000));
    assert_eq!(header.max_timestamp, Timestamp::from_millis(1_500_000_070_000));
    assert_eq!(header.end_offset(), Offset::new(4));
    assert_eq!((header.is_control, header.is_transactional), (false, false));
    assert_eq!(header.producer, None);
}

#[test]
fn a_foreign_batch_keeps_its_producer() {
    let batch = read(TRANSACTIONAL);
    let producer = batch.header().producer.unwrap();
    assert!(batch.header().is_transactional);
    assert_eq!(producer.id, ProducerId::new(4_294_967_301));
    assert_eq!(Some(producer.epoch), ProducerEpoch::new(7));
    assert_eq!(producer.base_sequence, Sequence::new(99));
}

#[test]
fn foreign_batches_of_every_codec_unpack() {
    for (codec, batches) in PACKED {
        for batch in batches {
            assert_eq!(read(batch).header().compression, codec);
        }
    }
}

#[test]
fn the_same_records_give_the_same_bytes_as_kafka_python() {
    // It writes leader epoch 0 where a batch has no epoch yet; so does placing the batch there.
    let batch = build(Compression::None);
    let mut ours = batch.placed_header(Offset::ZERO, LeaderEpoch::ZERO).to_vec();
    ours.extend_from_slice(&batch.body());
    assert_eq!(Bytes::from(ours), Bytes::from_static(PLAIN));
}

#[test]
fn our_own_reads_back_whatever_the_codec() {
    for codec in Compression::ALL {
        let records: Result<Vec<_>, _> = build(*codec).records().unwrap().collect();
        assert_eq!(records.unwrap(), expected());
    }
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp::from_millis(0x0102), Some(b"k"), Some(b"vv"), &[]).unwrap();
    builder.push(Timestamp::from_millis(0x0103), None, None, &[header(b"h", None)]).unwrap();
    let expected: &[&[u8]] = &[
        &[0, 0, 0, 0, 0, 0, 0, 0],                 // baseOffset
        &[0, 0, 0, 69],                            // batchLength: 49 + 10 + 10
        &[0xff, 0xff, 0xff, 0xff],                 // partitionLeaderEpoch: none
        &[2],                                      // magic
        &[0x40, 0xc5, 0x99, 0x0b],                 // crc, by the PyPI package crc32c
        &[0, 0],                                   // attributes
        &[0, 0, 0, 1],                             // lastOffsetDelta
        &[0, 0, 0, 0, 0, 0, 1, 2],                 // baseTimestamp
        &[0, 0, 0, 0, 0, 0, 1, 3],                 // maxTimestamp
        &[0xff; 8],                                // producerId: none
        &[0xff; 2],                                // producerEpoch
        &[0xff; 4],                                // baseSequence
        &[0, 0, 0, 2],                             // records count
        &[18, 0, 0, 0, 2, b'k', 4, b'v', b'v', 0], // length 9, key of 1, value of 2
        &[18, 0, 2, 2, 1, 1, 2, 2, b'h', 1],       // deltas 1 and 1, nulls, one header
    ];
    assert_eq!(builder.build().unwrap().bytes(), &expected.concat());
}
