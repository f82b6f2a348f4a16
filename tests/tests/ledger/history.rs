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

/// What a writer was told about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in the log, here.
    Acknowledged(Offset),
    /// It may or may not be in the log.
    Unknown,
    /// It is certainly not in the log.
    NotDelivered,
}

/// One record that was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) to: TopicPartition,
    pub(crate) entry: Entry,
    pub(crate) outcome: Outcome,
}

/// Every record that can be read, in order.
pub(crate) type Logs = BTreeMap<TopicPartition, Vec<(Offset, Entry)>>;

impl Entry {
    pub(crate) fn to_value(self) -> Bytes {
        Bytes::from(self.to_string())
    }

    pub(crate) fn from_value(value: &Bytes) -> Self {
        let text = std::str::from_utf8(value).expect("values are text");
        let (writer, number) = text.split_once(':').expect("values are WRITER:NUMBER");
        Self { writer: writer.parse().unwrap(), number: number.parse().unwrap() }
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
    what_was_not_delivered_is_not_there(written, logs);
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
    for Written { to, entry, outcome } in written {
        if let Outcome::Acknowledged(offset) = outcome {
            let before = given.insert((to, *offset), entry);
            assert_eq!(before, None, "{to} {offset} was given to {entry} too");
        }
    }
}

fn what_was_acknowledged_is_where_that_said(written: &[Written], logs: &Logs) {
    for Written { to, entry, outcome } in written {
        if let Outcome::Acknowledged(offset) = outcome {
            let log = logs.get(to).map_or(&[][..], Vec::as_slice);
            let at = log.binary_search_by_key(offset, |(offset, _)| *offset);
            let found = at.ok().map(|index| log[index].1);
            assert_eq!(found, Some(*entry), "{to} {offset}, of {} records", log.len());
        }
    }
}

fn what_was_not_delivered_is_not_there(written: &[Written], logs: &Logs) {
    let there: BTreeSet<Entry> = logs.values().flatten().map(|(_, entry)| *entry).collect();
    for Written { to, entry, outcome } in written {
        let is_wrong = *outcome == Outcome::NotDelivered && there.contains(entry);
        assert!(!is_wrong, "{entry} is in {to}, though its writer was told it is not");
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
