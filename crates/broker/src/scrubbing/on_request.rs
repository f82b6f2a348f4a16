use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use commit_log::scrub::{Finding, Scrubbed, Verdict};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{sleep, timeout};
use types::{Coded, Offset, Reason, TopicName, TopicPartition};

use super::{Candidate, Ending, Pace, Scrubs, Step, Target, targets};
use crate::partitions::{Partitions, RoutingError};

/// What somebody wants read now.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Of which topics; none: of all.
    pub(crate) topics: BTreeSet<TopicName>,
    /// How many bytes in a second; `None`: as many as always.
    pub(crate) bytes_per_second: Option<NonZeroU64>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) segments_done: u64,
    pub(crate) segments: u64,
    pub(crate) bytes_done: u64,
    /// Of the segments; their indexes are read besides.
    pub(crate) bytes: u64,
}

/// What whoever asked is told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) progress: Progress,
    /// What was found in the segment that was just read.
    pub(crate) found: Option<Found>,
    /// Whether this is the last word, because all was read.
    pub(crate) scrubbed: Scrubbed,
}

/// Damage in one segment.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Of which partition.
    pub(crate) of: TopicPartition,
    pub(crate) findings: Vec<Finding>,
    /// How much more there is.
    pub(crate) unlisted: u64,
}

/// Whoever asked.
type Listener = mpsc::Sender<Result<Told, ScrubError>>;

/// How long one who does not take what it is told keeps others from reading.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest silence, however slowly it is read: whoever hears nothing for longer may give up.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Why nothing is read.
#[derive(Debug, Error)]
pub(crate) enum ScrubError {
    /// There is no such topic, or it is not settled yet which of its partitions are led here: what
    /// was not read would look sound.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// One at a time.
    #[error("a scrub that was asked for is under way on this broker; wait for its end")]
    Busy,
    /// The process is going away.
    #[error("the broker is shutting down; what it had read so far was told")]
    ShuttingDown,
}

impl Coded for ScrubError {
    fn reason(&self) -> Reason {
        match self {
            Self::Routing(error) => error.reason(),
            Self::Busy => Reason::Busy,
            Self::ShuttingDown => Reason::ShuttingDown,
        }
    }
}

/// A scrub that may begin.
#[derive(Debug)]
pub(crate) struct Requested {
    scrubs: Scrubs,
    partitions: Partitions,
    targets: Vec<Target>,
    pace: Pace,
    /// Held to the end.
    alone: OwnedSemaphorePermit,
}

impl Scrubs {
    /// Prepares to read what was asked for.
    ///
    /// # Errors
    ///
    /// A topic is not known, a partition of one is not led yet, or somebody else's scrub is under
    /// way.
    pub(crate) fn request(
        &self,
        asked: Asked,
        partitions: &Partitions,
    ) -> Result<Requested, ScrubError> {
        let Asked { topics, bytes_per_second } = asked;
        for topic in &topics {
            partitions.topic(topic)?;
        }
        let alone = Arc::clone(&self.asked).try_acquire_owned();
        let alone = alone.map_err(|_taken| ScrubError::Busy)?;
        let wanted = |target: &Target| topics.is_empty() || topics.contains(&target.of.topic);
        let view = partitions.settled(|topic| topics.is_empty() || topics.contains(topic))?;
        let targets = targets(&view).into_iter().filter(wanted).collect();
        self.forget_gone(partitions);
        let pace = Pace::new(bytes_per_second.map_or(self.bytes_per_second, NonZeroU64::get));
        let (scrubs, partitions) = (self.clone(), partitions.clone());
        Ok(Requested { scrubs, partitions, targets, pace, alone })
    }
}

impl Requested {
    /// Reads, and tells as it goes. Ends early, without a last word, when nobody listens any more.
    ///
    /// # Errors
    ///
    /// [`ScrubError::ShuttingDown`]; a log ceased to be led here, and is not led elsewhere.
    pub(crate) async fn run(self, listener: &Listener) -> Result<(), ScrubError> {
        let Self { scrubs, partitions, targets, mut pace, alone } = self;
        let ending = |Ending| ScrubError::ShuttingDown;
        let mut progress = Progress::default();
        for target in &targets {
            let Some((bases, bytes)) = target.extent(&partitions) else { continue };
            progress.segments += bases.len() as u64;
            progress.bytes += bytes;
        }
        if !tell(listener, partly(progress, None)).await {
            return Ok(());
        }
        let turn = meanwhile(progress, listener, scrubs.turn.acquire());
        let Some(turn) = turn.await else { return Ok(()) };
        let turn = turn.map_err(|_closed| ScrubError::ShuttingDown)?;
        for target in targets {
            let mut next = Offset::ZERO;
            while let Some(candidate) = target.candidate_at(&partitions, next) {
                next = candidate.next();
                let found = read(&scrubs, candidate, &mut pace, &mut progress, listener).await;
                let found = found.map_err(ending)?;
                if !tell(listener, partly(progress, found)).await {
                    return Ok(());
                }
            }
            if target.log(&partitions).is_none() {
                // It was deleted or leads elsewhere; else its rest is not read.
                partitions.settled(|topic| *topic == target.of.topic)?;
            }
            scrubs.scrubbed(&target, &partitions);
        }
        drop((turn, alone));
        tell(listener, Told { progress, found: None, scrubbed: Scrubbed::Wholly }).await;
        Ok(())
    }
}

const fn partly(progress: Progress, found: Option<Found>) -> Told {
    Told { progress, found, scrubbed: Scrubbed::Partly }
}

/// Whether whoever asked still listens.
async fn tell(listener: &Listener, told: Told) -> bool {
    timeout(PATIENCE, listener.send(Ok(told))).await.is_ok_and(|sent| sent.is_ok())
}

/// Awaits `work` and says meanwhile that it goes on; `None` once nobody listens any more.
async fn meanwhile<T>(
    progress: Progress,
    listener: &Listener,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            () = listener.closed() => return None,
            // If it does not fit, something else is about to be heard.
            () = sleep(HEARTBEAT) => drop(listener.try_send(Ok(partly(progress, None)))),
        }
    }
}

/// Reads one segment; what was found there, if anything was.
async fn read(
    scrubs: &Scrubs,
    candidate: Candidate,
    pace: &mut Pace,
    progress: &mut Progress,
    listener: &Listener,
) -> Result<Option<Found>, Ending> {
    let Candidate { of, key, segment } = candidate;
    let (base, bytes) = (segment.base(), segment.bytes());
    let done = progress.bytes_done + bytes;
    let mut scrub = segment.scrub();
    loop {
        let step = async {
            let (step, wait) = scrubs.step(scrub, pace).await?;
            sleep(wait).await;
            Ok(step)
        };
        let Some(step) = meanwhile(*progress, listener, step).await else { return Ok(None) };
        match step? {
            Step::On(rest, read) => {
                scrub = rest;
                progress.bytes_done = done.min(progress.bytes_done + read);
                // Whoever does not keep up misses some of the progress, and nothing else.
                drop(listener.try_send(Ok(partly(*progress, None))));
            }
            Step::Over(verdict, _) => {
                let found = match &verdict {
                    Verdict::Damaged { findings, unlisted } => {
                        let (of, findings) = (of.clone(), findings.clone());
                        Some(Found { of, findings, unlisted: *unlisted })
                    }
                    Verdict::Sound | Verdict::Gone => None,
                };
                scrubs.note(&of, key, base, verdict);
                progress.bytes_done = done;
                progress.segments_done += 1;
                return Ok(found);
            }
        }
    }
}
