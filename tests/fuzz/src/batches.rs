//! What must hold of batches, whatever bytes they came from.

use bytes::Bytes;
use record::{Batch, BatchBuilder, Batches, Compression, HEADER_LEN, Header, Record, RecordError};
use types::{LeaderEpoch, Offset, Timestamp};

/// What records may unpack to here: small, so that bombs are cheap.
const MAX_UNPACKED: usize = 1 << 20;

/// Asks everything that can be asked of bytes that came as batches.
pub fn ask(bytes: &Bytes) {
    let mut whole = 0;
    let mut last = None;
    for batch in Batches::new(bytes.clone()) {
        assert!(last.is_none(), "nothing follows an error");
        match batch {
            Ok(batch) => {
                let part = bytes.slice(whole..whole + batch.bytes().len());
                assert_eq!(*batch.bytes(), part);
                assert_eq!(Batch::verify(part).as_ref(), Ok(&batch));
                whole += batch.bytes().len();
                look_at(&batch);
            }
            Err(error) => last = Some(error),
        }
    }
    assert!(last.is_some() || whole == bytes.len());
    if let Ok(batches) = Batch::split(bytes.clone(), bytes.len()) {
        assert_eq!(last, None);
        let lengths: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
        assert_eq!(lengths, bytes.len());
        batches.iter().for_each(accepted);
    }
}

/// What one whole batch answers.
fn look_at(batch: &Batch) {
    let header = batch.header();
    assert_eq!(batch.body().len() + HEADER_LEN, header.total_len());
    assert_eq!(header.end_offset().distance_from(header.last_offset()), 1);
    assert_eq!(placed(batch).body(), batch.body());
    read(batch).ok();
}

/// The batch as a log keeps it.
fn placed(batch: &Batch) -> Batch {
    let (base, epoch) = (Offset::new(77), LeaderEpoch::new(5));
    let bytes = [&batch.placed_header(base, epoch)[..], &batch.body()].concat();
    let placed = Batch::verify(bytes.into()).expect("a log keeps whole batches");
    let header = placed.header();
    assert_eq!((header.base_offset, header.leader_epoch), (base, Some(epoch)));
    assert_eq!(header.max_timestamp, batch.header().max_timestamp);
    placed
}

/// The records, as both ways of reading them have it.
pub fn read(batch: &Batch) -> Result<Vec<Record>, RecordError> {
    let records = batch.records_within(MAX_UNPACKED)?;
    let mut viewed = Vec::new();
    for view in records.views() {
        let headers = view.map(|view| (view.offset, view.headers.collect::<Result<Vec<_>, _>>()));
        viewed.push(headers.and_then(|(offset, headers)| headers.map(|it| (offset, it.len()))));
    }
    let mut owned = Vec::new();
    let mut next = batch.header().base_offset;
    for (record, view) in records.zip(viewed) {
        let record = match (record, view) {
            (Ok(record), Ok((offset, headers))) => {
                assert_eq!((record.offset, record.headers.len()), (offset, headers));
                record
            }
            (record, view) => {
                let error = record.expect_err("the view has none");
                assert_eq!(Some(&error), view.err().as_ref());
                return Err(error);
            }
        };
        assert!(next <= record.offset && record.offset <= batch.header().last_offset());
        next = Offset::new(record.offset.get() + 1);
        owned.push(record);
    }
    Ok(owned)
}

/// What a broker takes, every consumer can read.
fn accepted(batch: &Batch) {
    let header = batch.header();
    assert!(header.is_dense());
    let records = match read(batch) {
        Ok(records) => records,
        // A broker takes batches that unpack to more than is looked at here.
        Err(RecordError::TooLarge { .. }) => return,
        Err(error) => panic!("taken, but not to be read: {error}"),
    };
    assert_eq!(records.len(), usize::try_from(header.record_count).expect("64 bits"));
    let newest = records.iter().map(|record| record.timestamp).max();
    assert_eq!(newest, Some(header.max_timestamp));
    let kept = read(&placed(batch)).expect("it was read before");
    assert!(kept.iter().map(said).eq(records.iter().map(said)));

    let now = Timestamp::from_millis(1_000_000);
    let stamped = read(&placed(&batch.clone().appended_at(now))).expect("it was read before");
    assert_eq!(stamped.len(), records.len());
    assert!(stamped.iter().all(|record| record.timestamp == now));

    if header.base_offset == Offset::ZERO {
        let again = built(&records, Compression::None).expect("they were in one batch");
        assert_eq!(read(&again), Ok(records));
    }
}

/// What a record holds, wherever it lies.
fn said(record: &Record) -> (Timestamp, &Option<Bytes>, &Option<Bytes>, &[Header]) {
    (record.timestamp, &record.key, &record.value, &record.headers)
}

/// A batch of these records; none if their times are too far from each other.
pub fn built(records: &[Record], compression: Compression) -> Option<Batch> {
    let mut builder = BatchBuilder::new(compression);
    for Record { timestamp, key, value, headers, .. } in records {
        builder.push(*timestamp, key.as_deref(), value.as_deref(), headers).ok()?;
    }
    builder.build().ok()
}
