use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use types::{Offset, Timestamp};

use super::memory::{Memory, Place};
use super::{Candidate, Ending, Pace, Scrubs, Step, targets};
use crate::partitions::Partitions;

/// How often it is noted where a pass is. What was read since is read again after a crash.
const NOTE_INTERVAL: Duration = Duration::from_mins(1);
/// Between two notes at the least, however much is found.
const NOTE_PAUSE: Duration = Duration::from_secs(1);

/// How long it is waited after a start for partitions to find their leaders.
const SETTLING: Duration = Duration::from_mins(1);
/// Between two passes at the least, however short the interval and however little there is.
const PASS_PAUSE: Duration = Duration::from_millis(10);

/// Reads all sealed segments of the logs that the broker leads, again and again.
#[derive(Debug)]
pub(crate) struct Background {
    scrubs: Scrubs,
    partitions: Partitions,
    /// The data directory, where it is noted how far this is.
    directory: PathBuf,
    /// From the beginning of one pass to that of the next; `None`: never.
    interval: Option<Duration>,
    /// Locked for moments only.
    memory: Mutex<Memory>,
    /// A pass is over.
    passed: Notify,
}

impl Background {
    /// Reads the directory once in each `interval`; `None`: only what was damaged before the start.
    pub(crate) fn new(
        scrubs: Scrubs,
        partitions: Partitions,
        directory: PathBuf,
        interval: Option<Duration>,
    ) -> Self {
        let (memory, passed) = (Mutex::default(), Notify::new());
        Self { scrubs, partitions, directory, interval, memory, passed }
    }

    /// Goes round until `leaving`. Whatever is under way then is read again after the next start.
    pub(crate) async fn keep(self, leaving: CancellationToken) {
        let remembered = self.remember().await;
        *self.memory() = remembered.clone();
        tokio::select! {
            Err(Ending) = self.go_round() => return,
            // Ends between two notes: they would be written to the same file.
            () = self.take_notes(remembered, &leaving) => {}
        }
        self.note_down(None).await;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing panics under this lock, and what it guards is whole at any time.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn remember(&self) -> Memory {
        let directory = self.directory.clone();
        let loaded = spawn_blocking(move || Memory::load(&directory)).await;
        loaded.unwrap_or_else(|stopped| Err(io::Error::other(stopped))).unwrap_or_else(|error| {
            warn!(%error, "where the scrubber was is not known: it begins anew");
            Memory::default()
        })
    }

    /// Stores where the scrubber is, unless that is what was stored last.
    async fn note_down(&self, stored: Option<&Memory>) -> Memory {
        let mut memory = self.memory().clone();
        memory.suspects.extend(self.scrubs.known().segments());
        if stored == Some(&memory) {
            return memory;
        }
        let (directory, to_store) = (self.directory.clone(), memory.clone());
        let stored = spawn_blocking(move || to_store.store(&directory)).await;
        if let Err(error) = stored.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
            warn!(%error, "where the scrubber is could not be noted; after a restart it reads again");
        }
        memory
    }

    /// Stores where the scrubber is, again and again until `leaving`.
    async fn take_notes(&self, mut stored: Memory, leaving: &CancellationToken) {
        let mut news = self.scrubs.known.subscribe();
        let mut next_note = async || {
            let news = async {
                tokio::select! {
                    // The sender lives as long as the scrubs.
                    Ok(()) = news.changed() => {}
                    () = self.passed.notified() => {}
                }
            };
            timeout(NOTE_INTERVAL, news).await.ok();
        };
        while leaving.run_until_cancelled(next_note()).await.is_some() {
            stored = self.note_down(Some(&stored)).await;
            if leaving.run_until_cancelled(sleep(NOTE_PAUSE)).await.is_none() {
                return;
            }
        }
    }

    async fn go_round(&self) -> Result<(), Ending> {
        self.wait_for_logs().await?;
        self.read_suspects().await?;
        let Some(interval) = self.interval else { return std::future::pending().await };
        loop {
            let (began, at) = {
                let memory = self.memory();
                (memory.began, memory.at)
            };
            if at.is_none() {
                sleep(self.until_due(began, interval).max(PASS_PAUSE)).await;
                self.memory().began = Some(self.scrubs.clock.now());
            }
            self.wait_for_logs().await?;
            self.pass(at, interval).await?;
        }
    }

    /// Before it is settled which logs the broker leads (after a start, or when the coordinator took
    /// it for dead for a while), a pass would be over at once.
    async fn wait_for_logs(&self) -> Result<(), Ending> {
        let mut view = self.partitions.changes();
        while self.partitions.topics().is_err() {
            view.changed().await.map_err(|_closed| Ending)?;
        }
        let settled = async {
            while self.partitions.settled(|_| true).is_err() {
                view.changed().await.map_err(|_closed| Ending)?;
            }
            Ok(())
        };
        // Whoever waits for a partition that never finds its leader reads nothing.
        timeout(SETTLING, settled).await.unwrap_or(Ok(()))
    }

    fn until_due(&self, began: Option<Timestamp>, interval: Duration) -> Duration {
        let now = self.scrubs.clock.now();
        // A clock that was set back puts a pass off, but for no longer than always.
        let passed = began.map_or(interval, |began| Duration::from_millis(now.millis_since(began)));
        interval.saturating_sub(passed)
    }

    /// Finds again what was found before the start.
    async fn read_suspects(&self) -> Result<(), Ending> {
        let suspects = self.memory().suspects.clone();
        let mut pace = Pace::new(self.scrubs.bytes_per_second);
        for target in targets(&self.partitions.view()) {
            for (_, base) in suspects.iter().filter(|(key, _)| *key == target.key) {
                let candidate = target.candidate_at(&self.partitions, *base);
                if let Some(candidate) =
                    candidate.filter(|candidate| candidate.segment.base() == *base)
                {
                    self.read(candidate, &mut pace).await?;
                }
            }
        }
        self.memory().suspects.clear();
        Ok(())
    }

    async fn pass(&self, from: Option<Place>, interval: Duration) -> Result<(), Ending> {
        let mut pace = Pace::new(self.scrubs.bytes_per_second);
        let (mut segments, mut bytes) = (0_u64, 0_u64);
        let targets = targets(&self.partitions.view());
        for target in targets {
            let mut next = match from {
                Some((log, _)) if target.key < log => continue,
                Some((log, base)) if target.key == log => base,
                Some(_) | None => Offset::ZERO,
            };
            while let Some(candidate) = target.candidate_at(&self.partitions, next) {
                self.memory().at = Some((target.key, candidate.segment.base()));
                next = candidate.next();
                bytes += self.read(candidate, &mut pace).await?;
                segments += 1;
            }
            self.scrubs.scrubbed(&target, &self.partitions);
            yield_now().await;
        }
        self.memory().at = None;
        self.passed.notify_one();
        self.scrubs.forget_gone(&self.partitions);
        let damaged = self.scrubs.known().segments().len();
        info!(segments, bytes, damaged, "scrub pass was completed");
        let began = self.memory().began;
        let took = began.map(|began| self.scrubs.clock.now().millis_since(began));
        if took.is_some_and(|took| interval < Duration::from_millis(took)) {
            warn!(
                "a scrub pass took longer than log_scrub_interval_ms: raise that, or \
                 log_scrub_bytes_per_second"
            );
        }
        Ok(())
    }

    /// Reads a segment to its end, a step at a time: whoever wants to read meanwhile gets between.
    async fn read(&self, candidate: Candidate, pace: &mut Pace) -> Result<u64, Ending> {
        let Candidate { of, key, segment } = candidate;
        let base = segment.base();
        let mut scrub = segment.scrub();
        let mut bytes = 0;
        loop {
            let turn = self.scrubs.turn.acquire().await.map_err(|_closed| Ending)?;
            let (step, wait) = self.scrubs.step(scrub, pace).await?;
            drop(turn);
            sleep(wait).await;
            match step {
                Step::On(rest, read) => {
                    bytes += read;
                    scrub = rest;
                }
                Step::Over(verdict, read) => {
                    self.scrubs.note(&of, key, base, verdict);
                    return Ok(bytes + read);
                }
            }
        }
    }
}
