//! Reading: what a fetch asks for, what it got so far, and when to answer.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use commit_log::ReadError;
use daemon::clock::Clock;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use record::RecordError;
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::{Coded, LeaderEpoch, Offset, Reason, TopicPartition};
use wire::bounds::{Held, Purse};

use crate::causes::with_causes;
use crate::partition::Partition;
use crate::partitions::{Partitions, RoutingError};
use crate::scrubbing::Scrubs;

mod advance;
mod assignments;
mod credit;
mod gathered;
mod reading;
mod rotten;

pub(crate) use advance::Advance;
pub(crate) use assignments::{Assignments, Parked};
pub(crate) use credit::Credit;
pub(crate) use gathered::{Gathered, end_of};
pub(crate) use reading::LargeBatch;

/// One partition of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Which.
    pub(crate) partition: TopicPartition,
    /// First offset wanted.
    pub(crate) offset: Offset,
    /// At most this many bytes, but one whole batch at least.
    pub(crate) max_bytes: usize,
    /// The epoch that the reader knows of; `None`: not checked.
    pub(crate) current_epoch: Option<LeaderEpoch>,
}

/// A fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// What to read, in the order of the answer.
    pub(crate) partitions: Vec<Asked>,
    /// How long to wait for `min_bytes`.
    pub(crate) max_wait: Duration,
    /// How much makes an answer worth sending before that.
    pub(crate) min_bytes: usize,
    /// At most this much over all partitions, but one whole batch at least.
    pub(crate) max_bytes: usize,
}

/// What one partition gave.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Which.
    pub(crate) partition: TopicPartition,
    /// Whole batches as they lie in the log, or why there are none.
    pub(crate) outcome: Result<Gathered, FetchError>,
}

/// Why a partition gave nothing.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    /// It is elsewhere, or nowhere.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// The offset is not, or no longer, in the log.
    #[error(
        "offset {asked} of {partition} is out of range: it holds {start} to {end} (exclusive); \
         begin at one of these"
    )]
    OutOfRange {
        /// Which partition.
        partition: TopicPartition,
        /// What was asked for.
        asked: Offset,
        /// First offset held.
        start: Offset,
        /// First offset that is not yet committed.
        end: Offset,
    },
    /// The reader's metadata is old.
    #[error(
        "leader epoch {known} of {partition} has passed, {current} is current; refresh the \
         metadata"
    )]
    FencedEpoch {
        /// Which partition.
        partition: TopicPartition,
        /// What the reader knows.
        known: LeaderEpoch,
        /// What is.
        current: LeaderEpoch,
    },
    /// This broker's metadata is old.
    #[error("leader epoch {known} of {partition} is not known here yet, {current} is; retry")]
    UnknownEpoch {
        /// Which partition.
        partition: TopicPartition,
        /// What the reader knows.
        known: LeaderEpoch,
        /// What this broker knows.
        current: LeaderEpoch,
    },
    /// The log could not be read.
    #[error("{partition} could not be read: {}", with_causes(source))]
    Read {
        /// Which partition.
        partition: TopicPartition,
        /// Why.
        source: ReadError,
    },
    /// The records are damaged on the disk; those behind them are not.
    #[error(
        "offsets {} to {} (exclusive) of {partition} are damaged: {what}; seek to {} to read what \
         lies behind them",
        offsets.start, offsets.end, offsets.end
    )]
    Lost {
        /// Which partition.
        partition: TopicPartition,
        /// Which records.
        offsets: Range<Offset>,
        /// What is wrong, and where.
        what: String,
    },
    /// What the log gave is no batch.
    #[error("{partition} holds bytes at offset {offset} that are no record batch: {source}")]
    Damaged {
        /// Which partition.
        partition: TopicPartition,
        /// Where reading began.
        offset: Offset,
        /// What is wrong.
        source: RecordError,
    },
    /// There is no memory for what the request itself takes.
    #[error(
        "answers that wait for their readers hold all of the broker's limits.answer_bytes; back \
         off and retry, or name fewer partitions"
    )]
    Busy,
    /// The process is going away.
    #[error("the broker is shutting down; retry at another one, or when it is back")]
    ShuttingDown,
}

impl Coded for FetchError {
    fn reason(&self) -> Reason {
        match self {
            Self::Routing(error) => error.reason(),
            Self::OutOfRange { .. } => Reason::OffsetOutOfRange,
            Self::FencedEpoch { .. } => Reason::FencedLeaderEpoch,
            Self::UnknownEpoch { .. } => Reason::UnknownLeaderEpoch,
            Self::Read { source, .. } => source.reason(),
            Self::Lost { .. } | Self::Damaged { .. } => Reason::CorruptMessage,
            Self::Busy => Reason::Busy,
            Self::ShuttingDown => Reason::ShuttingDown,
        }
    }
}

/// Serves fetches.
#[derive(Clone, Debug)]
pub(crate) struct Fetching {
    partitions: Partitions,
    scrubs: Scrubs,
    clock: Clock,
    draining: CancellationToken,
}

impl Fetching {
    pub(crate) const fn new(
        partitions: Partitions,
        scrubs: Scrubs,
        clock: Clock,
        draining: CancellationToken,
    ) -> Self {
        Self { partitions, scrubs, clock, draining }
    }

    /// Reads, and waits for more while there is too little. The memory for it comes out of `purse`:
    /// while little is to be had, the answer is the smaller.
    pub(crate) async fn fetch(&self, query: Query, purse: &Purse) -> Vec<Fetched> {
        let deadline = self.clock.monotonic().saturating_add(query.max_wait);
        let mut round = Round::new(query);
        loop {
            let mut advances = FuturesUnordered::new();
            for index in 0..round.len() {
                if let Some(advance) = self.read_more(&mut round, index, purse).await {
                    advances.push(advance.come());
                }
            }
            let left = deadline.saturating_sub(self.clock.monotonic());
            if round.is_enough() || left.is_zero() || advances.is_empty() {
                return round.finish();
            }
            tokio::select! {
                _ = advances.next() => {}
                () = sleep(left) => {}
                () = self.draining.cancelled() => return round.finish(),
            }
        }
    }

    /// Reads on where the round left a partition, until there is enough or nothing more. Gives word
    /// of the next advance, unless the partition failed.
    async fn read_more(&self, round: &mut Round, index: usize, purse: &Purse) -> Option<Advance> {
        loop {
            let (next, max_bytes) = round.next(index)?;
            let large = if round.bytes == 0 { LargeBatch::Take } else { LargeBatch::Leave };
            match self.read(&next, max_bytes, large, purse).await {
                Ok((gathered, advance)) => {
                    // The log gives what lies in one of its segments: more may lie in the next.
                    let was_all = gathered.is_empty();
                    round.add(index, gathered, max_bytes);
                    if was_all || round.is_enough() {
                        return Some(advance);
                    }
                }
                Err(error) => {
                    round.fail(index, error);
                    return None;
                }
            }
        }
    }

    /// Reads once, without waiting for records; also gives word of what is committed after them.
    pub(crate) async fn read(
        &self,
        asked: &Asked,
        max_bytes: usize,
        large: LargeBatch,
        purse: &Purse,
    ) -> Result<(Gathered, Advance), FetchError> {
        if self.draining.is_cancelled() {
            return Err(FetchError::ShuttingDown);
        }
        let view = self.partitions.changes();
        let partition = self.partitions.led(&asked.partition)?;
        check_epoch(&partition, asked)?;
        let mut committed = partition.committed();
        let high_watermark = *committed.borrow_and_update();
        let log_start = partition.log().log_start();
        let out_of_range = || FetchError::OutOfRange {
            partition: asked.partition.clone(),
            asked: asked.offset,
            start: log_start,
            end: high_watermark,
        };
        // Between the high watermark and the end lies what a reader may have seen from a leader
        // before this one: it waits there.
        if asked.offset < log_start || partition.log().end() < asked.offset {
            return Err(out_of_range());
        }
        let read = if asked.offset < high_watermark && max_bytes != 0 {
            let range = asked.offset..high_watermark;
            self.read_log(&partition, range, max_bytes, large, purse).await?
        } else {
            Some((Bytes::new(), Held::default()))
        };
        let read = self.without_rot(&partition, asked.offset, read)?;
        let next = end_of(read.as_ref().map_or(&[], |(batches, _)| batches.as_ref()))
            .map_err(|source| FetchError::Damaged {
                partition: asked.partition.clone(),
                offset: asked.offset,
                source,
            })?
            .unwrap_or(asked.offset);
        // What was read under a lease that has since run out may be stale.
        self.partitions.still_leading(&asked.partition)?;
        let epoch = partition.epoch();
        let gathered = Gathered::of(read, next, high_watermark, log_start, epoch);
        Ok((gathered, Advance::new(committed, view)))
    }
}

fn check_epoch(partition: &Partition, asked: &Asked) -> Result<(), FetchError> {
    let current = partition.epoch();
    let name = || asked.partition.clone();
    match asked.current_epoch {
        Some(known) if known < current => {
            Err(FetchError::FencedEpoch { partition: name(), known, current })
        }
        Some(known) if current < known => {
            Err(FetchError::UnknownEpoch { partition: name(), known, current })
        }
        Some(_) | None => Ok(()),
    }
}

/// One fetch on its way: what it asked for and what it has.
#[derive(Debug)]
struct Round {
    query: Query,
    got: Vec<Option<Result<Gathered, FetchError>>>,
    /// Bytes of all that was got.
    bytes: usize,
    failed: bool,
    /// A batch that is there would make the answer too large.
    full: bool,
}

impl Round {
    fn new(query: Query) -> Self {
        let got = query.partitions.iter().map(|_| None).collect();
        Self { query, got, bytes: 0, failed: false, full: false }
    }

    fn len(&self) -> usize {
        self.query.partitions.len()
    }

    /// Where to read on in a partition, and how much at most; `None` once it has failed.
    fn next(&self, index: usize) -> Option<(Asked, usize)> {
        let asked = self.query.partitions.get(index)?;
        let left = self.query.max_bytes.saturating_sub(self.bytes);
        match self.got.get(index)? {
            None => Some((asked.clone(), left.min(asked.max_bytes))),
            Some(Ok(gathered)) => {
                let own_left = asked.max_bytes.saturating_sub(gathered.len());
                let on = Asked { offset: gathered.next(), ..asked.clone() };
                Some((on, left.min(own_left)))
            }
            Some(Err(_)) => None,
        }
    }

    /// Adds what was read within `max_bytes`. One whole batch may be more than that: as the first
    /// it is taken, so that readers always advance; behind others it is left for the next fetch.
    fn add(&mut self, index: usize, more: Gathered, max_bytes: usize) {
        self.full |= more.left_one;
        let more = if max_bytes < more.len() && 0 < self.bytes {
            self.full = true;
            more.without_batches(self.next(index).map_or(Offset::ZERO, |(asked, _)| asked.offset))
        } else {
            more
        };
        if let Some(slot) = self.got.get_mut(index) {
            self.bytes += more.len();
            *slot = Some(Ok(match slot.take() {
                Some(Ok(gathered)) => gathered.and(more),
                Some(Err(_)) | None => more,
            }));
        }
    }

    /// A partition failed. What it gave before is dropped: the reader must deal with the error.
    /// But before damage lie records that are whole: the next fetch will come upon the damage first.
    fn fail(&mut self, index: usize, error: FetchError) {
        if let Some(slot) = self.got.get_mut(index) {
            let gave = matches!(slot, Some(Ok(gathered)) if !gathered.is_empty());
            if gave && error.reason() == Reason::CorruptMessage {
                self.full = true;
                return;
            }
            if let Some(Ok(dropped)) = slot.replace(Err(error)) {
                self.bytes -= dropped.len();
            }
            self.failed = true;
        }
    }

    /// Whether it should be answered without waiting: enough was read, nothing more would fit,
    /// or something failed, which the reader should hear at once.
    fn is_enough(&self) -> bool {
        self.failed
            || self.full
            || self.query.min_bytes.clamp(1, self.query.max_bytes.max(1)) <= self.bytes
    }

    fn finish(self) -> Vec<Fetched> {
        let partitions = self.query.partitions.into_iter().map(|asked| asked.partition);
        partitions
            .zip(self.got)
            .filter_map(|(partition, outcome)| Some(Fetched { partition, outcome: outcome? }))
            .collect()
    }
}

#[cfg(test)]
mod tests;
