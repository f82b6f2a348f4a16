//! What must hold of any records and of any bytes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may stop")]

use bytes::Bytes;
use proptest::prelude::*;
use record::{
    Batch, BatchBuilder, BatchHeader, BatchProducer, Batches, Compression, HEADER_LEN, Header,
    Record, RecordError, record_size_bound,
};
use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TimestampType};

/// Far below what any test builds, so that a lying length shows as an error rather than memory.
const PAYLOAD_LIMIT: usize = 1 << 20;

/// CRC32C bit by bit, to reseal batches that were tampered with.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 }
        })
    })
}

fn field() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
}

fn header() -> impl Strategy<Value = Header> {
    ("[a-c]{0,2}", field()).prop_map(|(key, value)| Header { key: Bytes::from(key), value })
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let millis = prop_oneof![any::<i32>().prop_map(i64::from), 0..i64::MAX / 2];
    let record = (millis, field(), field(), prop::collection::vec(header(), 0..4));
    prop::collection::vec(record, 1..20).prop_map(|records| {
        let record = |(offset, (millis, key, value, headers))| Record {
            offset: Offset::new(offset),
            timestamp: Timestamp::from_millis(millis),
            key,
            value,
            headers,
        };
        (0..).zip(records).map(record).collect()
    })
}

/// Some with values that are worth sharing.
fn large_records() -> impl Strategy<Value = Vec<Record>> {
    let sizes = prop::collection::vec(prop_oneof![Just(0), 8_000..9_000_usize], 20);
    (records(), sizes).prop_map(|(mut records, sizes)| {
        for (record, size) in records.iter_mut().zip(sizes).filter(|(_, size)| 0 < *size) {
            record.value = Some((0..=u8::MAX).cycle().take(size).collect());
        }
        records
    })
}

/// A builder that may keep the values as they are.
fn share(records: &[Record], compression: Compression) -> BatchBuilder {
    let mut builder = BatchBuilder::new(compression);
    for Record { timestamp, key, value, headers, .. } in records {
        let before = builder.plain_size();
        builder.push_shared(*timestamp, key.as_deref(), value.as_ref(), headers).unwrap();
        let bound = record_size_bound(key.as_deref(), value.as_deref(), headers);
        assert!(builder.plain_size() - before <= bound);
    }
    builder
}

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL)
}

fn build(records: &[Record], compression: Compression) -> Batch {
    let mut builder = BatchBuilder::new(compression);
    for Record { timestamp, key, value, headers, .. } in records {
        let before = builder.plain_size();
        builder.push(*timestamp, key.as_deref(), value.as_deref(), headers).unwrap();
        let bound = record_size_bound(key.as_deref(), value.as_deref(), headers);
        assert!(builder.plain_size() - before <= bound);
    }
    builder.build().unwrap()
}

fn producer() -> impl Strategy<Value = BatchProducer> {
    let sequence = prop::option::of(0..=Sequence::MAX.get());
    (0..=Offset::MAX.get(), 0..=ProducerEpoch::MAX.get(), sequence).prop_map(
        |(id, epoch, sequence)| BatchProducer {
            id: ProducerId::new(id),
            epoch: ProducerEpoch::new(epoch).unwrap(),
            base_sequence: sequence.map(|sequence| Sequence::new(sequence).unwrap()),
        },
    )
}

fn read(batch: &Batch) -> Vec<Record> {
    batch.records().unwrap().map(Result::unwrap).collect()
}

/// Everything that can be asked of bytes.
fn exercise(bytes: &Bytes) {
    BatchHeader::parse(bytes).ok();
    Batch::verify(bytes.clone()).ok();
    if let Ok(taken) = Batch::split(bytes.clone(), PAYLOAD_LIMIT) {
        taken.iter().for_each(hold_to_promise);
    }
    for batch in Batches::new(bytes.clone()).flatten() {
        batch.placed_header(Offset::MAX, LeaderEpoch::new(u32::MAX));
        assert_eq!(batch.body().len() + HEADER_LEN, batch.header().total_len());
        assert_eq!(batch.header().end_offset().distance_from(batch.header().last_offset()), 1);
        let Ok(records) = batch.records_within(PAYLOAD_LIMIT) else { continue };
        let viewed = records.views().count();
        let most = records.size_hint().1.unwrap();
        assert!(most <= PAYLOAD_LIMIT / 7 + 1, "{most} are told, whatever the header counts");
        let owned: Vec<_> = records.collect();
        assert!(owned.len() <= viewed, "owned records check headers too");
        assert!(owned.len() <= most);
        for record in owned.iter().flatten() {
            assert!(batch.header().base_offset <= record.offset);
            assert!(record.offset <= batch.header().last_offset());
        }
    }
}

/// What a broker takes from a producer, every consumer can read.
fn hold_to_promise(taken: &Batch) {
    let records = read(taken);
    let header = taken.header();
    assert_eq!(records.len(), header.record_count as usize);
    let offsets = records.iter().map(|record| record.offset.distance_from(header.base_offset));
    assert!(offsets.eq(0..u64::from(header.record_count)));
    assert_eq!(records.iter().map(|record| record.timestamp).max(), Some(header.max_timestamp));
    assert_eq!(placed(taken).header(), header);
}

/// The batch as a log writes it, read again. What a log decides lies where it was.
fn placed(batch: &Batch) -> Batch {
    let BatchHeader { base_offset, leader_epoch, .. } = batch.header();
    let epoch = leader_epoch.unwrap_or(LeaderEpoch::ZERO);
    let mut bytes = batch.placed_header(*base_offset, epoch).to_vec();
    if leader_epoch.is_none() {
        bytes[12..16].fill(0xff);
    }
    bytes.extend_from_slice(&batch.body());
    Batch::verify(Bytes::from(bytes)).unwrap()
}

/// With the checksum that its bytes should have.
fn resealed(mut bytes: Vec<u8>) -> Bytes {
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

proptest! {
    #[test]
    fn records_read_back(records in records(), compression in compression()) {
        let batch = build(&records, compression);
        prop_assert_eq!(&Batch::verify(batch.bytes().clone()), &Ok(batch.clone()));
        prop_assert!(batch.header().is_dense());
        let youngest = records.iter().map(|record| record.timestamp).max();
        prop_assert_eq!(Some(batch.header().max_timestamp), youngest);
        prop_assert_eq!(&read(&batch), &records);
        prop_assert_eq!(Batch::split(batch.bytes().clone(), PAYLOAD_LIMIT), Ok(vec![batch]));
    }

    #[test]
    fn the_largest_timestamp_is_the_logs_word(
        records in records(), compression in compression(), claimed: i64,
    ) {
        let batch = build(&records, compression);
        let mut bytes = batch.bytes().to_vec();
        bytes[35..43].copy_from_slice(&claimed.to_be_bytes());
        let sent = resealed(bytes);
        let taken = Batch::split(sent, PAYLOAD_LIMIT).unwrap().remove(0);
        prop_assert_eq!(taken.header(), batch.header());
        let kept = placed(&taken);
        prop_assert_eq!(kept.bytes(), batch.bytes());
    }

    #[test]
    fn records_stamped_by_their_log_have_its_time_and_their_bytes(
        records in records(), compression in compression(), now: i64,
    ) {
        let now = Timestamp::from_millis(now);
        let sent = build(&records, compression);
        let stamped = sent.clone().appended_at(now);
        prop_assert_eq!(stamped.body().as_ptr(), sent.body().as_ptr());
        let kept = placed(&stamped);
        prop_assert_eq!(kept.header(), stamped.header());
        prop_assert_eq!(kept.header().timestamp_type, TimestampType::LogAppend);
        let stamp = |record: &Record| Record { timestamp: now, ..record.clone() };
        prop_assert_eq!(read(&kept), records.iter().map(stamp).collect::<Vec<_>>());
    }

    #[test]
    fn a_placed_batch_reads_back_at_its_place(
        records in records(), base in 0..u64::MAX / 4, epoch in 0..=u32::MAX / 2,
    ) {
        let batch = build(&records, Compression::None);
        let mut bytes = batch.placed_header(Offset::new(base), LeaderEpoch::new(epoch)).to_vec();
        bytes.extend_from_slice(&batch.body());
        let placed = Batch::verify(Bytes::from(bytes)).unwrap();
        prop_assert_eq!(placed.header().leader_epoch, Some(LeaderEpoch::new(epoch)));
        prop_assert_eq!(placed.header().crc, batch.header().crc);
        for (before, after) in records.iter().zip(read(&placed)) {
            prop_assert_eq!(after.offset, Offset::new(base + before.offset.get()));
            prop_assert_eq!(&after.value, &before.value);
        }
    }

    #[test]
    fn a_batch_names_its_producer_from_the_start_or_afterwards(
        records in large_records(), first in producer(), second in producer(),
    ) {
        let mut builder = share(&records, Compression::None);
        builder.produced_by(first);
        let named = builder.produce().unwrap();
        let whole = named.clone().into_batch().unwrap();
        prop_assert_eq!(whole.header().producer, Some(first));
        prop_assert_eq!(Batch::verify(whole.bytes().clone()), Ok(whole));

        let renamed = named.produced_by(second);
        let whole = renamed.clone().into_batch().unwrap();
        prop_assert_eq!(whole.header().producer, Some(second));
        prop_assert_eq!(read(&whole), records);
        prop_assert_eq!(Batch::verify(whole.bytes().clone()), Ok(whole));
        prop_assert_eq!(renamed.produced_by(first), named);
    }

    #[test]
    fn a_batch_that_shares_its_values_is_the_one_that_copies_them(
        records in large_records(), codec in compression(),
    ) {
        let copied = build(&records, codec);
        let builder = share(&records, codec);
        prop_assert_eq!(builder.record_count(), copied.header().record_count);
        let produced = builder.produce().unwrap();
        prop_assert_eq!(produced.len(), copied.bytes().len());
        prop_assert_eq!(produced.record_count(), copied.header().record_count);
        let pieces: Vec<Bytes> = produced.pieces().collect();
        prop_assert_eq!(pieces.len(), produced.piece_count());
        prop_assert_eq!(&pieces.concat(), copied.bytes());
        prop_assert_eq!(produced.into_batch().unwrap(), copied);
        // What is large lies where it lay, if it need not be packed.
        for value in records.iter().filter_map(|record| record.value.as_ref()) {
            let is_there = pieces.iter().any(|piece| piece.as_ptr() == value.as_ptr());
            prop_assert_eq!(is_there, BatchBuilder::shares(codec, value.len()));
        }
    }

    #[test]
    fn batches_back_to_back_come_apart(
        parts in prop::collection::vec((records(), compression()), 0..4),
    ) {
        let batches: Vec<_> = parts.iter().map(|(records, codec)| build(records, *codec)).collect();
        let bytes = Bytes::from(batches.iter().flat_map(|b| b.bytes().to_vec()).collect::<Vec<_>>());
        let read: Result<Vec<_>, _> = Batches::new(bytes.clone()).collect();
        prop_assert_eq!(&read.unwrap(), &batches);
        prop_assert_eq!(&Batch::split(bytes, usize::MAX).unwrap(), &batches);
    }

    #[test]
    fn a_batch_cut_anywhere_is_refused(records in records(), cut in any::<prop::sample::Index>()) {
        let whole = build(&records, Compression::None).bytes().clone();
        let part = whole.slice(..cut.index(whole.len()));
        let refused = Batch::verify(part);
        let truncated = matches!(refused, Err(RecordError::Truncated { .. }));
        prop_assert!(truncated, "{:?}", refused);
    }

    #[test]
    fn a_changed_bit_under_the_checksum_is_noticed(
        records in records(), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let mut bytes = build(&records, Compression::None).bytes().to_vec();
        let at = 17 + at.index(bytes.len() - 17);
        bytes[at] ^= 1 << bit;
        prop_assert!(Batch::verify(Bytes::from(bytes)).is_err());
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(magic) = bytes.get_mut(16) {
            *magic = 2;
        }
        exercise(&Bytes::from(bytes));
    }

    /// The interesting bytes: nearly right, and with the right checksum.
    #[test]
    fn tampered_and_resealed_batches_do_no_harm(
        records in records(),
        compression in compression(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = build(&records, compression).bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            // Length and magic are checked before the checksum; leave them.
            if !(8..12).contains(&at) && at != 16 {
                bytes[at] = byte;
            }
        }
        exercise(&resealed(bytes));
    }

    /// A producer that dies between its records and their checksum does not do this; a fuzzer does.
    #[test]
    fn a_body_cut_anywhere_and_resealed_does_no_harm(
        records in records(), compression in compression(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = build(&records, compression).bytes().to_vec();
        bytes.truncate(HEADER_LEN + cut.index(bytes.len() - HEADER_LEN));
        let length = u32::try_from(bytes.len() - 12).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let cut = resealed(bytes);
        exercise(&cut);
        prop_assert!(Batch::split(cut, PAYLOAD_LIMIT).is_err());
    }
}
