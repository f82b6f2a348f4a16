//! Reading sealed segments in the background, slowly and again and again, so that bits that rotted
//! are found before someone needs them.
//!
//! What is found is reported once in the log, kept for whoever asks, and told to readers in place of
//! the records. Nothing is mended: with one replica there is nothing to mend from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use commit_log::LogKey;
use commit_log::scrub::{Scrub, Scrubbed, SealedSegment, Verdict};
use daemon::clock::Clock;
use disk::RealDisk;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::error;
use types::{Offset, Timestamp, TopicPartition};

use crate::directory::{Log, WeakDirectoryQueue};
use crate::partitions::{Partitions, View};

/// How long a read is put off while the writer has work waiting, and how often that is looked at.
/// Under a load that never ends a scrub must come to its end, too.
const LONGEST_WAY_GIVEN: Duration = Duration::from_millis(100);
const NAP: Duration = Duration::from_millis(5);

mod background;
mod damage;
mod memory;
mod on_request;
mod pace;

pub(crate) use background::Background;
pub(crate) use damage::KnownLog;
use damage::{Known, News};
pub(crate) use on_request::{Asked, Found, Progress, ScrubError, Told};
use pace::Pace;

/// What every scrub of a broker shares.
#[derive(Clone, Debug)]
pub(crate) struct Scrubs {
    known: Arc<watch::Sender<Known>>,
    /// One permit: whoever reads has it, so that the disk serves one scrub at a time.
    turn: Arc<Semaphore>,
    /// One permit: a second scrub that is asked for is refused rather than queued.
    asked: Arc<Semaphore>,
    /// Appends come first.
    writer: WeakDirectoryQueue,
    clock: Clock,
    bytes_per_second: u64,
}

/// Why a segment was not read to its end: the process is going away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ending;

impl Scrubs {
    /// Each scrub reads so many bytes in a second, unless its caller wants otherwise.
    pub(crate) fn new(clock: Clock, writer: WeakDirectoryQueue, bytes_per_second: u64) -> Self {
        let (known, _) = watch::channel(Known::default());
        let one = || Arc::new(Semaphore::new(1));
        let known = Arc::new(known);
        Self { known, turn: one(), asked: one(), writer, clock, bytes_per_second }
    }

    /// What is known to be damaged.
    pub(crate) fn known(&self) -> watch::Ref<'_, Known> {
        self.known.borrow()
    }

    /// Reads on in a segment; the verdict, once all was read. And how long to wait before the next
    /// step, whoever takes it.
    async fn step(
        &self,
        scrub: Scrub<RealDisk>,
        pace: &mut Pace,
    ) -> Result<(Step, Duration), Ending> {
        self.give_way().await;
        let began = self.clock.monotonic();
        let budget = pace.bytes_at_once();
        let read = spawn_blocking(move || {
            let mut scrub = scrub;
            let (bytes, scrubbed) = scrub.step(budget);
            match scrubbed {
                Scrubbed::Partly => (bytes, Step::On(scrub, bytes)),
                Scrubbed::Wholly => (bytes, Step::Over(scrub.verdict(), bytes)),
            }
        });
        // The runtime drops blocking work only when it ends.
        let (bytes, step) = read.await.map_err(|_cancelled| Ending)?;
        Ok((step, pace.wait_after(bytes, began, self.clock.monotonic())))
    }

    /// Waits until the writer has nothing to do, but not for ever.
    async fn give_way(&self) {
        let mut given = Duration::ZERO;
        while given < LONGEST_WAY_GIVEN && self.writer.is_busy() {
            sleep(NAP).await;
            given += NAP;
        }
    }

    /// Takes note of what was found in a segment; what is new is reported.
    fn note(&self, of: &TopicPartition, key: LogKey, base: Offset, verdict: Verdict) {
        let mut news = News::default();
        self.known.send_if_modified(|known| {
            news = known.note(key, base, verdict);
            !news.is_empty()
        });
        let News { findings, unlisted } = news;
        if 0 < unlisted {
            error!(
                topic = %of.topic,
                partition = %of.partition,
                segment = %base,
                unlisted,
                "more damage found than is listed"
            );
        }
        for finding in findings {
            error!(
                topic = %of.topic,
                partition = %of.partition,
                file = %finding.file.display(),
                first_byte = finding.bytes.start,
                end_byte = finding.bytes.end,
                first_offset = %finding.offsets.start,
                end_offset = %finding.offsets.end,
                after = finding.after.map(Timestamp::as_millis),
                before = finding.before.map(Timestamp::as_millis),
                problem = %finding.kind,
                "damage found: docs/damage.md says how to go on"
            );
        }
    }

    /// A log was read through.
    fn scrubbed(&self, target: &Target, partitions: &Partitions) {
        let Some((bases, _)) = target.extent(partitions) else { return };
        let now = self.clock.now();
        self.known.send_if_modified(|known| {
            known.scrubbed(target.key, &bases, now);
            false
        });
    }

    /// Forgets logs that are led here no more. While it is not settled which are, all are kept.
    fn forget_gone(&self, partitions: &Partitions) {
        let Ok(view) = partitions.settled(|_| true) else { return };
        let logs = targets(&view).into_iter().map(|target| target.key).collect();
        self.known.send_if_modified(|known| {
            known.retain(&logs);
            false
        });
    }
}

/// What came of reading on.
#[derive(Debug)]
enum Step {
    /// There is more to read. So many bytes were.
    On(Scrub<RealDisk>, u64),
    /// All was read.
    Over(Verdict, u64),
}

/// A log whose segments are to be read. By name: whoever held the log itself for as long as a pass
/// takes would keep the disk from getting back what a topic took that is deleted.
#[derive(Debug)]
struct Target {
    of: TopicPartition,
    key: LogKey,
}

impl Target {
    /// The log, if it is still led here.
    fn log(&self, partitions: &Partitions) -> Option<Log> {
        let view = partitions.view();
        let led = view.led.get(&self.of).filter(|led| led.key() == self.key);
        led.map(|led| led.log().clone())
    }

    /// The first sealed segment that begins at `from` or later. One at a time: whoever held them
    /// all would keep the disk from getting back what retention removes.
    fn candidate_at(&self, partitions: &Partitions, from: Offset) -> Option<Candidate> {
        let mut sealed = self.log(partitions)?.sealed_segments().into_iter();
        let segment = sealed.find(|segment| from <= segment.base())?;
        Some(Candidate { of: self.of.clone(), key: self.key, segment })
    }

    /// Where its sealed segments begin, and how many bytes they have.
    fn extent(&self, partitions: &Partitions) -> Option<(BTreeSet<Offset>, u64)> {
        let sealed = self.log(partitions)?.sealed_segments();
        let bases = sealed.iter().map(SealedSegment::base).collect();
        Some((bases, sealed.iter().map(SealedSegment::bytes).sum()))
    }
}

/// A segment to be read.
#[derive(Debug)]
struct Candidate {
    of: TopicPartition,
    key: LogKey,
    segment: SealedSegment<RealDisk>,
}

impl Candidate {
    /// Where the next one may begin at the earliest.
    fn next(&self) -> Offset {
        self.segment.base().checked_add(1).unwrap_or(Offset::MAX)
    }
}

/// The logs that this broker leads, in an order that outlasts restarts.
fn targets(view: &View) -> Vec<Target> {
    let led = view.led.iter();
    let mut targets: Vec<_> =
        led.map(|(of, partition)| Target { of: of.clone(), key: partition.key() }).collect();
    targets.sort_by_key(|target| target.key);
    targets
}

#[cfg(test)]
mod tests;
