use std::collections::BTreeMap;
use std::iter::once;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::Disk;
use record::HEADER_LEN;
use types::Timestamp;

use super::upkeep::side_by_side;
use super::{Append, Appended, Directory};
use crate::error::{AppendError, StorageFault};
use crate::journal::{ENTRY_HEADER_LEN, JournalAppend};
use crate::log::{Failure, Placement, Unsynced, Writing};
use crate::name::LogKey;

/// An append that was written.
struct Written {
    log: LogKey,
    placement: Placement,
}

impl Written {
    fn is_new(&self) -> bool {
        self.placement.writing == Writing::New
    }
}

/// What a step does to one log.
#[derive(Clone, Copy)]
struct Touched {
    /// Bytes of its batches.
    bytes: u64,
    /// Appends that were written.
    appends: u64,
    /// Whether everything before was durable.
    journallable: bool,
}

/// How a step makes a log durable.
enum Sync<D: Disk> {
    Log(LogKey, Unsynced<D>),
    Journal,
}

type Answers = Vec<Result<Written, AppendError>>;

impl<D: Disk> Directory<D> {
    /// One group commit: writes every append to its log, then makes durable what must be, then
    /// answers, in the order given.
    ///
    /// Logs come first: an append that fails is rolled back and has left before anything is
    /// promised. Then either their files are synced, side by side, or, where many logs took a
    /// little each, their batches are written to the journal and that one file is synced. What is
    /// written is visible to readers before it is durable;
    /// [`LogReader::durable_end`](crate::LogReader::durable_end) tells how far it is. A sync that
    /// fails fences the directory.
    pub fn step(
        &mut self,
        appends: &[Append],
        now: Timestamp,
    ) -> Vec<Result<Appended, AppendError>> {
        let mut touched = BTreeMap::new();
        let written: Answers =
            appends.iter().map(|append| self.write(append, now, &mut touched)).collect();
        for log in touched.keys().filter_map(|log| self.logs.get(log)) {
            log.publish();
        }
        if !self.fence.is_set() {
            self.make_durable(&touched, appends, &written);
        }
        written
            .into_iter()
            .map(|written| written.and_then(|written| self.answer(&written)))
            .collect()
    }

    fn write(
        &mut self,
        append: &Append,
        now: Timestamp,
        touched: &mut BTreeMap<LogKey, Touched>,
    ) -> Result<Written, AppendError> {
        self.check_fence()?;
        let key = append.log;
        let Some(log) = self.logs.get_mut(&key) else {
            return Err(if self.damaged.contains(&key) {
                AppendError::Damaged { log: key }
            } else {
                AppendError::UnknownLog { log: key }
            });
        };
        let journallable = log.is_durable();
        let touched = touched.entry(key).or_insert(Touched { bytes: 0, appends: 0, journallable });
        match log.append(append, now, self.room) {
            Ok(placement) => {
                let written = Written { log: key, placement };
                if written.is_new() {
                    let bytes = append.batches.iter().map(|batch| batch.bytes().len() as u64);
                    touched.bytes = touched.bytes.saturating_add(bytes.sum());
                    touched.appends += 1;
                }
                Ok(written)
            }
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(fault)) => Err(self.fence(&fault).into()),
        }
    }

    /// Makes durable the logs that promise it. Each is durable whole: what was acknowledged is
    /// worth nothing without the records before it, whoever wrote those and in whatever mode.
    fn make_durable(
        &mut self,
        touched: &BTreeMap<LogKey, Touched>,
        appends: &[Append],
        written: &Answers,
    ) {
        let journalled = self.suited_to_journal(touched);
        if !journalled.is_empty()
            && let Err(fault) = self.write_journal(&journalled, appends, written)
        {
            self.fence(&fault);
            return;
        }
        let mut work: Vec<Sync<D>> = touched
            .keys()
            .filter(|key| !journalled.contains_key(key))
            .filter_map(|key| self.logs.get(key).map(|log| (*key, log)))
            .filter(|(_, log)| log.must_be_durable() && !log.is_durable())
            .map(|(key, log)| Sync::Log(key, log.unsynced()))
            .collect();
        if !journalled.is_empty() {
            work.push(Sync::Journal);
        }
        let synced = self.sync_all(work);
        if let Some(fault) = synced.iter().find_map(|(_, outcome)| outcome.as_ref().err()) {
            // Nor is what went well believed any more.
            self.fence(fault);
            return;
        }
        for (synced, _) in &synced {
            self.mark_durable(synced, &journalled);
        }
    }

    /// The logs whose appends go through the journal; none where syncing the files is as good.
    fn suited_to_journal(
        &mut self,
        touched: &BTreeMap<LogKey, Touched>,
    ) -> BTreeMap<LogKey, Touched> {
        let small: BTreeMap<LogKey, Touched> = touched
            .iter()
            .filter(|(key, touched)| {
                let log = self.logs.get(key);
                touched.journallable
                    && touched.appends > 0
                    // A write that was taken back has to be synced away.
                    && log.is_some_and(|log| log.must_be_durable() && !log.took_back())
                    && !self.journal.is_large(touched.bytes)
            })
            .map(|(key, touched)| (*key, *touched))
            .collect();
        let header = ENTRY_HEADER_LEN as u64;
        let bytes = small.values().map(|touched| touched.bytes + touched.appends * header).sum();
        if self.journal.suits(small.len(), bytes) { small } else { BTreeMap::new() }
    }

    /// Writes the batches to the journal as they lie in their logs.
    fn write_journal(
        &mut self,
        journalled: &BTreeMap<LogKey, Touched>,
        appends: &[Append],
        written: &Answers,
    ) -> Result<(), StorageFault> {
        let taken = || {
            let written = written.iter().zip(appends).filter_map(|(written, append)| {
                written.as_ref().ok().map(|written| (written, append))
            });
            written.filter(|(written, _)| written.is_new() && journalled.contains_key(&written.log))
        };
        let headers: Vec<Vec<[u8; HEADER_LEN]>> = taken()
            .map(|(written, append)| append.placed_headers(written.placement.base))
            .collect();
        let entries: Vec<JournalAppend<'_>> = taken()
            .zip(&headers)
            .filter_map(|((written, append), headers)| {
                let log = self.logs.get(&written.log)?.id();
                let bodies = append.batches.iter().map(|batch| {
                    batch.bytes().split_at_checked(HEADER_LEN).map_or(&[][..], |(_, body)| body)
                });
                let parts = headers.iter().zip(bodies);
                let parts = parts.flat_map(|(header, body)| once(&header[..]).chain(once(body)));
                Some(JournalAppend { key: written.log, log, parts: parts.collect() })
            })
            .collect();
        self.journal.append(&entries)
    }

    /// Syncs files side by side. Leaves the rest once one has failed, here or in the background.
    fn sync_all(&self, work: Vec<Sync<D>>) -> Vec<(Sync<D>, Result<(), StorageFault>)> {
        let (disk, journal, fence) = (&self.disk, &self.journal, &self.fence);
        let over = AtomicBool::new(false);
        let sync = |work: Sync<D>| {
            if over.load(Ordering::Relaxed) || fence.is_set() {
                return None;
            }
            let synced = match &work {
                Sync::Log(_, unsynced) => unsynced.sync(disk),
                Sync::Journal => journal.sync(),
            };
            if synced.is_err() {
                over.store(true, Ordering::Relaxed);
            }
            Some((work, synced))
        };
        side_by_side(work, self.config.sync_threads.get(), sync).into_iter().flatten().collect()
    }

    fn mark_durable(&mut self, synced: &Sync<D>, journalled: &BTreeMap<LogKey, Touched>) {
        match synced {
            Sync::Log(key, _) => {
                if let Some(log) = self.logs.get_mut(key) {
                    log.mark_synced();
                }
            }
            Sync::Journal => {
                for key in journalled.keys() {
                    if let Some(log) = self.logs.get_mut(key) {
                        log.mark_journalled();
                    }
                }
            }
        }
    }

    fn answer(&self, written: &Written) -> Result<Appended, AppendError> {
        let &Written { log, placement: Placement { base, end, .. } } = written;
        let found = self.logs.get(&log).ok_or(AppendError::UnknownLog { log })?;
        let durable_end = found.durable_end();
        // In a fenced directory only what a sync had covered before can be believed.
        if durable_end < end {
            self.check_fence()?;
        }
        Ok(Appended { base_offset: base, end, durable_end })
    }
}
