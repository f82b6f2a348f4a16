//! What both sides are given: the same records, in the same batches, within the same bounds.

use std::time::Duration;

use bytes::Bytes;
use daemon::clock::Clock;
use measure::Schedule;
use record::{Batch, BatchBuilder, Compression, HEADER_LEN, record_size_bound};
use tokio_util::sync::CancellationToken;
use types::Timestamp;

use crate::args::bench::Load;
use crate::exit::{Exit, Failure};

/// A turn ends after so many bytes of values: beyond a few of them the system holds up whoever
/// writes until the disk has caught up, which is another thing than is measured here.
const TURN_BYTES: u64 = 1 << 30;
/// Before the first work of a schedule is due.
const LEAD: Duration = Duration::from_millis(20);
/// Records a second while latencies are taken, unless told otherwise.
const RATE: u32 = 1000;
/// A full batch, unless told otherwise.
const BATCH_BYTES: u32 = 1 << 20;
/// Some more than a batch adds to the value of its one record.
const SLACK: u32 = 128;

/// What is measured, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Bytes of a record's value.
    pub(super) value_bytes: u32,
    /// Bytes of a full batch.
    pub(super) batch_bytes: u32,
    /// How long a turn is.
    pub(super) turn: Duration,
    /// Most records of a turn.
    pub(super) max_records: Option<u64>,
    /// Records a second while latencies are taken.
    pub(super) rate: u32,
}

impl From<&Load> for Shape {
    fn from(load: &Load) -> Self {
        Self {
            value_bytes: load.size,
            batch_bytes: load.batch_bytes,
            turn: load.turn(),
            max_records: load.records,
            rate: load.rate,
        }
    }
}

impl Shape {
    /// Batches of exactly so many bytes, where that can be, of one record each: what a batch costs shows, and what a
    /// record costs does not.
    ///
    /// # Errors
    ///
    /// A batch of so few bytes has no room for a record.
    pub(super) fn of_batches(batch_bytes: u32, turn: Duration) -> Result<Self, Failure> {
        // A value of nearly that length, whose length is written in as many bytes.
        let short = batch_bytes.checked_sub(SLACK).ok_or_else(too_small)?;
        let found = batch(&Bytes::from(vec![0; short as usize]), 0)?.bytes().len();
        let rest = u32::try_from(found).ok().and_then(|found| batch_bytes.checked_sub(found));
        let value_bytes = short + rest.ok_or_else(too_small)?;
        Ok(Self { value_bytes, batch_bytes, turn, max_records: None, rate: RATE })
    }

    /// Records of so many bytes, a thousand a second.
    pub(super) const fn of_records(value_bytes: u32, turn: Duration) -> Self {
        Self { value_bytes, batch_bytes: BATCH_BYTES, turn, max_records: None, rate: RATE }
    }
}

fn too_small() -> Failure {
    Failure::usage("a batch needs more bytes than its header")
}

/// The records, and how long it takes.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// Every record's value.
    pub(super) value: Bytes,
    /// Largest batch.
    pub(super) batch_bytes: u32,
    /// A batch as full as `batch_bytes` allows, of one record at least.
    pub(super) full: Batch,
    /// A batch of one record.
    pub(super) single: Batch,
    turn: Duration,
    max_records: u64,
    rate: u32,
    clock: Clock,
    interrupted: CancellationToken,
}

impl Work {
    /// Of this shape.
    ///
    /// # Errors
    ///
    /// Nothing that the command line can name: its bounds fit the format.
    pub(super) fn new(
        shape: Shape,
        clock: Clock,
        interrupted: CancellationToken,
    ) -> Result<Self, Failure> {
        let value = Bytes::from(vec![b'x'; shape.value_bytes as usize]);
        let max_bytes = TURN_BYTES / u64::from(shape.value_bytes.max(1));
        Ok(Self {
            full: batch(&value, shape.batch_bytes as usize)?,
            single: batch(&value, 0)?,
            value,
            batch_bytes: shape.batch_bytes,
            turn: shape.turn,
            max_records: shape.max_records.unwrap_or(u64::MAX).min(max_bytes).max(1),
            rate: shape.rate,
            clock,
            interrupted,
        })
    }

    /// The time.
    pub(super) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Records of a full batch.
    pub(super) fn records_per_batch(&self) -> u64 {
        u64::from(self.full.header().record_count)
    }

    /// Most records of a turn, in whole batches.
    pub(super) fn records_per_turn(&self) -> u64 {
        self.max_records.div_ceil(self.records_per_batch()) * self.records_per_batch()
    }

    /// The bounds of a turn that begins now.
    pub(super) fn bound(&self) -> Bound {
        Bound {
            clock: self.clock,
            until: self.clock.monotonic() + self.turn,
            records: self.max_records,
            interrupted: self.interrupted.clone(),
        }
    }

    /// Bounds that know no time: for so many records, written in advance.
    pub(super) fn preload(&self, records: u64) -> Bound {
        Bound { until: Duration::MAX, records, ..self.bound() }
    }

    /// Records a second while latencies are taken.
    pub(super) const fn rate(&self) -> u32 {
        self.rate
    }

    /// One record at a time for as long as a turn, from soon on.
    pub(super) fn schedule(&self) -> Schedule {
        let millis = u64::try_from(self.turn.as_millis()).unwrap_or(u64::MAX);
        let count = millis.saturating_mul(u64::from(self.rate)) / 1000;
        let start = self.clock.monotonic() + LEAD;
        Schedule { start, rate: self.rate, count: count.min(self.max_records).max(1) }
    }

    /// Whether Ctrl-C came.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.is_cancelled()
    }
}

/// When a turn ends: with time, with records, or with Ctrl-C.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    clock: Clock,
    until: Duration,
    records: u64,
    interrupted: CancellationToken,
}

impl Bound {
    /// Whether more may be done after `records`.
    pub(super) fn allows_more_than(&self, records: u64) -> bool {
        records < self.records
            && self.clock.monotonic() < self.until
            && !self.interrupted.is_cancelled()
    }

    /// Records that may follow after `records`, if there is time.
    pub(super) const fn rest(&self, records: u64) -> u64 {
        self.records.saturating_sub(records)
    }
}

/// A batch of as many records as fit.
fn batch(value: &Bytes, batch_bytes: usize) -> Result<Batch, Failure> {
    let mut builder = BatchBuilder::with_capacity(Compression::None, batch_bytes.max(HEADER_LEN));
    let record = record_size_bound(None, Some(value), &[]);
    loop {
        let pushed = builder.push(Timestamp::from_millis(0), None, Some(value), &[]);
        pushed.map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        if batch_bytes < builder.plain_size() + record {
            break;
        }
    }
    builder.build().map_err(|error| Failure::new(Exit::Other, error.to_string()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: Load,
    }

    fn work(line: &str) -> Work {
        let line = Line::try_parse_from(format!("bench {line}").split_whitespace()).unwrap();
        Work::new(Shape::from(&line.load), Clock::new(), CancellationToken::new()).unwrap()
    }

    #[test]
    fn a_full_batch_is_as_large_as_allowed_and_no_larger() {
        let work = work("--size 1k --batch-bytes 64k");
        let size = work.full.bytes().len();
        assert!((63 * 1024..=64 * 1024).contains(&size), "{size}");
        assert_eq!(work.records_per_batch(), u64::from(work.full.header().record_count));
    }

    #[test]
    fn a_batch_of_one_record_is_as_large_as_asked_to_the_byte() {
        for size in [256, 1 << 10, 4 << 10, 16 << 10, 128 << 10, 1 << 20, 32 << 20] {
            let shape = Shape::of_batches(size, Duration::ZERO).unwrap();
            let work = Work::new(shape, Clock::new(), CancellationToken::new()).unwrap();
            assert_eq!(work.full.bytes().len(), size as usize);
            assert_eq!(work.records_per_batch(), 1);
        }
        assert!(Shape::of_batches(60, Duration::ZERO).is_err());
    }

    #[test]
    fn a_record_larger_than_a_batch_travels_alone() {
        assert_eq!(work("--size 1m --batch-bytes 16k").records_per_batch(), 1);
    }

    #[test]
    fn a_turn_ends_with_its_records_its_time_or_ctrl_c() {
        let work = work("--records 10 --seconds 3600");
        assert!(work.bound().allows_more_than(9));
        assert!(!work.bound().allows_more_than(10));
        let over = Bound { until: Duration::ZERO, ..work.bound() };
        assert!(!over.allows_more_than(0));
        work.interrupted.cancel();
        assert!(!work.bound().allows_more_than(9));
    }

    #[test]
    fn a_turn_never_writes_more_than_a_gib() {
        let large = work("--size 1m --records 1000000");
        assert!(large.bound().allows_more_than(1023));
        assert!(!large.bound().allows_more_than(1024));
        assert_eq!(work("--size 1k").records_per_turn() % work("--size 1k").records_per_batch(), 0);
    }

    #[test]
    fn a_schedule_is_as_long_as_a_turn_unless_records_are_fewer() {
        assert_eq!(work("--rate 500 --seconds 3").schedule().count, 1500);
        assert_eq!(work("--rate 500 --seconds 3 --records 7").schedule().count, 7);
    }
}
