//! The rows: what is measured, beside what, and what it is held to.

use measure::{Condition, Goal, Task};
use types::Durability;

use super::super::durable::Clients;
use Condition::{CpuRatioAtMost, OursBelow, RatioAtLeast, RatioAtMost};

/// One measurement, which has a line for each of its tasks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) tasks: &'static [Task],
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Batches of so many bytes, each full of one record, to a page-cache topic.
    Produce { batch_bytes: u32 },
    /// The same, read while the page cache holds them.
    Fetch { batch_bytes: u32 },
    /// 4 KiB batches to each log of a directory, synced together, without a network.
    Append { partitions: u32, disk: DiskLoad },
    /// 4 KiB batches to durable partitions, one under way for each.
    Durable { partitions: u32, disk: DiskLoad },
    /// 16 KiB batches to one durable partition, one under way for each producer.
    Group { producers: u32, of: Clients },
    /// Records of 1 KiB at a thousand a second; tasks: p50, p99.
    Latency { until: Until, durability: Durability },
    /// 128 KiB batches, into and from a log that holds much and one that holds little; tasks:
    /// produce, fetch.
    Full,
}

/// Whether anybody else uses the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskLoad {
    Quiet,
    Busy,
}

/// When a record has come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Its producer has the acknowledgement.
    Acknowledged,
    /// A consumer has it.
    Consumed,
}

/// Of an append to one log or to each of many.
pub(super) const SMALL_BATCH: u32 = 4 << 10;
/// Of producers who share a sync.
pub(super) const GROUP_BATCH: u32 = 16 << 10;
/// Into a log that holds much.
pub(super) const FULL_BATCH: u32 = 128 << 10;
/// Of a record whose latency is taken.
pub(super) const LATENCY_RECORD: u32 = 1 << 10;

impl Row {
    /// What it is called while it is measured.
    pub(super) fn label(&self) -> &'static str {
        self.tasks.first().map_or("", |task| task.name)
    }
}

const NO_GOAL: Goal = &[];

const TCP_COPY: &str = "a TCP copy in tokio: checks the CRC32C, appends to a file, acknowledges";
const TCP_READ: &str = "a TCP server in tokio: preads its file and writes to the socket";
const RAW_FILE: &str = "appends to one file, fdatasync after each: no network, no format";
const RAW_JOURNAL: &str = "a raw journal: appends to each of N files, the same bytes over one \
                           prepared file, fdatasync of that one; no network, no format";
const RAW_GROUP: &str =
    "raw group commit: 64 threads, one that appends to a file and syncs; no network, no format";
const TCP_ECHO: &str = "TCP echo";
const TCP_SYNCED_ECHO: &str = "TCP echo of what was appended to a file and synced";
const EMPTY: &str = "the same in a log that holds one turn's worth, or nothing";

const fn task(name: &'static str, beside: &'static str, gate: Goal, moonshot: Goal) -> Task {
    Task { name, beside, gate, moonshot }
}

const fn produce(batch_bytes: u32, tasks: &'static [Task]) -> Row {
    Row { kind: Kind::Produce { batch_bytes }, tasks }
}

const fn append(partitions: u32, disk: DiskLoad, tasks: &'static [Task]) -> Row {
    Row { kind: Kind::Append { partitions, disk }, tasks }
}

const fn durable(partitions: u32, disk: DiskLoad, tasks: &'static [Task]) -> Row {
    Row { kind: Kind::Durable { partitions, disk }, tasks }
}

const fn latency(until: Until, durability: Durability, tasks: &'static [Task]) -> Row {
    Row { kind: Kind::Latency { until, durability }, tasks }
}

/// Measured to tell what of the durable rows is the network's.
const fn appended(name: &'static str, beside: &'static str) -> Task {
    task(name, beside, NO_GOAL, NO_GOAL)
}

const fn synced(name: &'static str, beside: &'static str) -> Task {
    task(name, beside, &[RatioAtLeast(0.4)], &[RatioAtLeast(0.8)])
}

const fn answered(name: &'static str, beside: &'static str) -> Task {
    task(name, beside, &[RatioAtMost(4.0)], NO_GOAL)
}

/// In the order in which they are measured.
pub(super) const ROWS: &[Row] = &[
    produce(
        1 << 20,
        &[task(
            "produce-1m",
            TCP_COPY,
            &[RatioAtLeast(0.55)],
            &[RatioAtLeast(0.85), CpuRatioAtMost(1.1)],
        )],
    ),
    produce(
        128 << 10,
        &[task("produce-128k", TCP_COPY, &[RatioAtLeast(0.7)], &[RatioAtLeast(0.9)])],
    ),
    produce(16 << 10, &[task("produce-16k", TCP_COPY, &[RatioAtLeast(0.9)], &[RatioAtLeast(1.3)])]),
    Row {
        kind: Kind::Fetch { batch_bytes: 1 << 20 },
        tasks: &[task("fetch-1m", TCP_READ, &[RatioAtLeast(0.7)], &[RatioAtLeast(1.0)])],
    },
    append(1, DiskLoad::Quiet, &[appended("append-1", RAW_FILE)]),
    append(10, DiskLoad::Quiet, &[appended("append-10", RAW_JOURNAL)]),
    append(100, DiskLoad::Quiet, &[appended("append-100", RAW_JOURNAL)]),
    append(1000, DiskLoad::Quiet, &[appended("append-1000", RAW_JOURNAL)]),
    durable(1, DiskLoad::Quiet, &[synced("durable-1", RAW_FILE)]),
    durable(10, DiskLoad::Quiet, &[synced("durable-10", RAW_JOURNAL)]),
    durable(100, DiskLoad::Quiet, &[synced("durable-100", RAW_JOURNAL)]),
    durable(1000, DiskLoad::Quiet, &[synced("durable-1000", RAW_JOURNAL)]),
    append(1, DiskLoad::Busy, &[appended("busy-append-1", RAW_FILE)]),
    append(10, DiskLoad::Busy, &[appended("busy-append-10", RAW_JOURNAL)]),
    append(100, DiskLoad::Busy, &[appended("busy-append-100", RAW_JOURNAL)]),
    append(1000, DiskLoad::Busy, &[appended("busy-append-1000", RAW_JOURNAL)]),
    durable(1, DiskLoad::Busy, &[synced("busy-durable-1", RAW_FILE)]),
    durable(10, DiskLoad::Busy, &[synced("busy-durable-10", RAW_JOURNAL)]),
    durable(100, DiskLoad::Busy, &[synced("busy-durable-100", RAW_JOURNAL)]),
    durable(1000, DiskLoad::Busy, &[synced("busy-durable-1000", RAW_JOURNAL)]),
    Row {
        kind: Kind::Group { producers: 64, of: Clients::One },
        tasks: &[task("group-64", RAW_GROUP, &[RatioAtLeast(0.7)], &[RatioAtLeast(0.95)])],
    },
    Row {
        kind: Kind::Group { producers: 64, of: Clients::Each },
        tasks: &[task("crowd-64", RAW_GROUP, NO_GOAL, NO_GOAL)],
    },
    latency(
        Until::Acknowledged,
        Durability::PageCache,
        &[answered("ack-page-cache-p50", TCP_ECHO), answered("ack-page-cache-p99", TCP_ECHO)],
    ),
    latency(
        Until::Acknowledged,
        Durability::Fsync,
        &[answered("ack-fsync-p50", TCP_SYNCED_ECHO), answered("ack-fsync-p99", TCP_SYNCED_ECHO)],
    ),
    latency(
        Until::Consumed,
        Durability::PageCache,
        &[
            task("e2e-page-cache-p50", TCP_ECHO, &[RatioAtMost(4.0)], &[OursBelow(1_000.0)]),
            task("e2e-page-cache-p99", TCP_ECHO, &[RatioAtMost(4.0)], &[OursBelow(5_000.0)]),
        ],
    ),
    latency(
        Until::Consumed,
        Durability::Fsync,
        &[answered("e2e-fsync-p50", TCP_SYNCED_ECHO), answered("e2e-fsync-p99", TCP_SYNCED_ECHO)],
    ),
    Row {
        kind: Kind::Full,
        tasks: &[
            task("full-produce", EMPTY, &[RatioAtLeast(0.9)], &[RatioAtLeast(1.0)]),
            task("full-fetch", EMPTY, &[RatioAtLeast(0.9)], &[RatioAtLeast(1.0)]),
        ],
    },
];

/// The rows of which a task is called as one of `asked` says; where none is called so, those of which
/// one begins with it. All of them without any.
///
/// # Errors
///
/// The first one with which no name begins.
pub(super) fn chosen(asked: &[String]) -> Result<Vec<Row>, &str> {
    let is_called = |row: &Row, name: &String| row.tasks.iter().any(|task| task.name == name);
    let begins = |row: &Row, name: &String| {
        if ROWS.iter().any(|other| is_called(other, name)) {
            return is_called(row, name);
        }
        row.tasks.iter().any(|task| task.name.starts_with(name.as_str()))
    };
    let is_unknown = |name: &&String| !ROWS.iter().any(|row| begins(row, name));
    if let Some(unknown) = asked.iter().find(is_unknown) {
        return Err(unknown);
    }
    let is_chosen = |row: &&Row| asked.is_empty() || asked.iter().any(|name| begins(row, name));
    Ok(ROWS.iter().filter(is_chosen).copied().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(rows: &[Row]) -> Vec<&'static str> {
        rows.iter().flat_map(|row| row.tasks.iter().map(|task| task.name)).collect()
    }

    #[test]
    fn every_name_stands_for_one_line() {
        let names = names(ROWS);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn a_moonshot_is_never_below_its_gate() {
        let least = |goal: Goal| {
            goal.iter().find_map(|condition| match condition {
                RatioAtLeast(least) => Some(*least),
                RatioAtMost(_) | CpuRatioAtMost(_) | OursBelow(_) => None,
            })
        };
        for task in ROWS.iter().flat_map(|row| row.tasks) {
            if let (Some(gate), Some(moonshot)) = (least(task.gate), least(task.moonshot)) {
                assert!(gate < moonshot, "{}", task.name);
            }
        }
    }

    #[test]
    fn latencies_and_full_logs_have_the_lines_that_their_measurement_gives() {
        for row in ROWS {
            let lines = match row.kind {
                Kind::Latency { .. } | Kind::Full => 2,
                Kind::Produce { .. }
                | Kind::Fetch { .. }
                | Kind::Append { .. }
                | Kind::Durable { .. }
                | Kind::Group { .. } => 1,
            };
            assert_eq!(row.tasks.len(), lines, "{:?}", row.kind);
        }
    }

    #[test]
    fn rows_are_chosen_by_how_their_names_begin() {
        let chosen_by = |prefixes: &[&str]| {
            let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            chosen(&prefixes).map(|rows| names(&rows)).map_err(str::to_owned)
        };
        assert_eq!(chosen_by(&[]), Ok(names(ROWS)));
        let expected = vec!["fetch-1m", "full-produce", "full-fetch"];
        assert_eq!(chosen_by(&["full-fetch", "fetch"]), Ok(expected));
        assert_eq!(chosen_by(&["fetch", "fast"]), Err("fast".to_owned()));
        assert_eq!(chosen_by(&["durable-10"]), Ok(vec!["durable-10"]), "not -100 and -1000 too");
    }
}
