//! What was written, what was read, and the laws between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use types::{Offset, TopicPartition};

/// One record: its writer numbers them, from 0, over all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) writer: u64,
    pub(crate) number: u64,
}

/// One record that was handed over, and where its writer was told that it lies.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) to: TopicPartition,
    pub(crate) entry: Entry,
    pub(crate) offset: Offset,
}

/// Every record that can be read, in order.
pub(crate) type Logs = BTreeMap<TopicPartition, Vec<(Offset, Entry)>>;

/// Every so many records one is long: a batch by itself.
const LONG_EVERY: u64 = 23;
/// In turn: long enough to stay a piece of its own until the connection gathers it, and to be sent
/// from where it lies.
const LONG: [usize; 2] = [12 * 1024, 40 * 1024];

impl Entry {
    pub(crate) fn to_value(self) -> Bytes {
        let mut text = self.to_string();
        if self.number.is_multiple_of(LONG_EVERY) {
            let word = format!(" {self}");
            let [short, long] = LONG;
            let length = if (self.number / LONG_EVERY).is_multiple_of(2) { short } else { long };
            text.push_str(&word.repeat(length / word.len()));
        }
        Bytes::from(text)
    }

    /// The record that says this, all of it.
    pub(crate) fn from_value(value: &Bytes) -> Self {
        let text = std::str::from_utf8(value).expect("values are text");
        let first = text.split_once(' ').map_or(text, |(first, _rest)| first);
        let (writer, number) = first.split_once(':').expect("values begin with WRITER:NUMBER");
        let entry = Self { writer: writer.parse().unwrap(), number: number.parse().unwrap() };
        assert_eq!(*value, entry.to_value(), "{entry} has another's value");
        entry
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.writer, self.number)
    }
}

/// Checks all laws.
pub(crate) fn check(written: &[Written], logs: &Logs) {
    let logs_of_nothing_else = written.iter().map(|record| (record.entry, &record.to));
    each_record_is_there_once_at_most(&logs_of_nothing_else.collect(), logs);
    no_offset_is_given_out_twice(written);
    what_was_acknowledged_is_where_that_said(written, logs);
    no_record_was_left_out(written);
    writers_keep_their_order(logs);
    offsets_have_no_holes(logs);
}

fn each_record_is_there_once_at_most(written: &BTreeMap<Entry, &TopicPartition>, logs: &Logs) {
    let mut seen = BTreeSet::new();
    for (partition, log) in logs {
        for (offset, entry) in log {
            assert!(seen.insert(*entry), "{entry} is there again, at {partition} {offset}");
            assert_eq!(written.get(entry), Some(&partition), "{entry} at {partition} {offset}");
        }
    }
}

fn no_offset_is_given_out_twice(written: &[Written]) {
    let mut given = BTreeMap::new();
    for Written { to, entry, offset } in written {
        let before = given.insert((to, *offset), entry);
        assert_eq!(before, None, "{to} {offset} was given to {entry} too");
    }
}

fn what_was_acknowledged_is_where_that_said(written: &[Written], logs: &Logs) {
    for Written { to, entry, offset } in written {
        let log = logs.get(to).map_or(&[][..], Vec::as_slice);
        let at = log.binary_search_by_key(offset, |(offset, _)| *offset);
        let found = at.ok().map(|index| log[index].1);
        assert_eq!(found, Some(*entry), "{to} {offset}, of {} records", log.len());
    }
}

fn no_record_was_left_out(written: &[Written]) {
    let mut numbers: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for Written { entry, .. } in written {
        numbers.entry(entry.writer).or_default().insert(entry.number);
    }
    for (writer, numbers) in numbers {
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "of writer {writer}");
    }
}

fn writers_keep_their_order(logs: &Logs) {
    for (partition, log) in logs {
        let mut last = BTreeMap::new();
        for (offset, entry) in log {
            let before = last.insert(entry.writer, entry.number);
            assert!(before < Some(entry.number), "{entry} at {partition} {offset}: {before:?}");
        }
    }
}

fn offsets_have_no_holes(logs: &Logs) {
    for (partition, log) in logs {
        for (expected, (offset, _)) in (0..).map(Offset::new).zip(log) {
            assert_eq!(*offset, expected, "{partition}");
        }
    }
}
