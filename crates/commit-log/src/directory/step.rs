use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::Disk;
use record::HEADER_LEN;
use types::Timestamp;

use super::upkeep::side_by_side;
use super::{Append, Appended, Directory};
use crate::error::{AppendError, StorageFault};
use crate::journal::{ENTRY_HEADER_LEN, JournalAppend};
use crate::log::{Failure, FileWrite, Placement, Unsynced, Writing};
use crate::name::LogKey;
use crate::room::Room;

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

/// What a step is to add to one log.
#[derive(Clone, Copy, Default)]
struct Planned {
    /// Bytes of its batches.
    bytes: u64,
    appends: u64,
}

/// How a step makes a log durable.
enum Sync<D: Disk> {
    Log(LogKey, Unsynced<D>),
    Journal,
}

type Answers = Vec<Result<Written, AppendError>>;

impl<D: Disk> Directory<D> {
    /// One group commit: adds every append to its log, then makes durable what must be, then
    /// answers, in the order given.
    ///
    /// Logs come first: an append that fails is rolled back and has left before anything is
    /// promised. Then either their files are synced, side by side, or, where many logs are to take
    /// a little each, their batches are written to the journal and that one file is synced. Which
    /// it is going to be is planned before: what the journal takes need not be in the files yet.
    /// What is added is visible to readers before it is durable;
    /// [`LogReader::durable_end`](crate::LogReader::durable_end) tells how far it is. A sync that
    /// fails fences the directory.
    pub fn step(
        &mut self,
        appends: &[Append],
        now: Timestamp,
    ) -> Vec<Result<Appended, AppendError>> {
        let planned = self.suited_to_journal(appends);
        let written: Answers =
            appends.iter().map(|append| self.write(append, now, &planned)).collect();
        let touched: BTreeSet<LogKey> = appends.iter().map(|append| append.log).collect();
        for log in touched.iter().filter_map(|log| self.logs.get(log)) {
            log.publish();
        }
        if !self.fence.is_set() {
            let journalled = self.journalled(planned, &written);
            self.make_durable(&touched, &journalled, appends, &written);
        }
        written
            .into_iter()
            .map(|written| written.and_then(|written| self.answer(&written)))
            .collect()
    }

    /// The logs whose appends are to go through the journal; none where syncing the files is as
    /// good.
    fn suited_to_journal(&mut self, appends: &[Append]) -> BTreeSet<LogKey> {
        let mut small: BTreeMap<LogKey, Planned> = BTreeMap::new();
        for append in appends.iter().filter(|append| !append.batches.is_empty()) {
            let planned = small.entry(append.log).or_default();
            let bytes = append.batches.iter().map(|batch| batch.bytes().len() as u64);
            planned.bytes = planned.bytes.saturating_add(bytes.sum());
            planned.appends += 1;
        }
        small.retain(|key, planned| {
            let log = self.logs.get(key);
            // A write that was taken back has to be synced away.
            log.is_some_and(|log| log.must_be_durable() && log.is_durable())
                && !self.journal.is_large(planned.bytes)
        });
        let header = ENTRY_HEADER_LEN as u64;
        let bytes = small.values().map(|planned| planned.bytes + planned.appends * header).sum();
        if self.journal.suits(small.len(), bytes) {
            small.into_keys().collect()
        } else {
            BTreeSet::new()
        }
    }

    fn write(
        &mut self,
        append: &Append,
        now: Timestamp,
        planned: &BTreeSet<LogKey>,
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
        // On a disk that fills up nothing waits that would need room later.
        let waits = self.room == Room::Ample && planned.contains(&key) && !log.took_back();
        let file = if waits { FileWrite::Behind(&self.write_buffers) } else { FileWrite::Now };
        match log.append(append, now, self.room, file) {
            Ok(placement) => Ok(Written { log: key, placement }),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(fault)) => Err(self.fence(&fault).into()),
        }
    }

    /// The logs whose appends go through the journal, now that it is known what became of those.
    fn journalled(&self, planned: BTreeSet<LogKey>, written: &Answers) -> BTreeSet<LogKey> {
        let new = written.iter().flatten().filter(|written| written.is_new());
        let new: BTreeSet<LogKey> = new.map(|written| written.log).collect();
        let mut journalled = planned;
        journalled.retain(|key| {
            new.contains(key) && self.logs.get(key).is_some_and(|log| !log.took_back())
        });
        journalled
    }

    /// Makes durable the logs that promise it. Each is durable whole: what was acknowledged is
    /// worth nothing without the records before it, whoever wrote those and in whatever mode.
    fn make_durable(
        &mut self,
        touched: &BTreeSet<LogKey>,
        journalled: &BTreeSet<LogKey>,
        appends: &[Append],
        written: &Answers,
    ) {
        if !journalled.is_empty()
            && let Err(fault) = self.write_journal(journalled, appends, written)
        {
            self.fence(&fault);
            return;
        }
        let mut work: Vec<Sync<D>> = touched
            .difference(journalled)
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
            self.mark_durable(synced, journalled);
        }
    }

    /// Writes the batches to the journal as they lie in their logs.
    fn write_journal(
        &mut self,
        journalled: &BTreeSet<LogKey>,
        appends: &[Append],
        written: &Answers,
    ) -> Result<(), StorageFault> {
        let taken = || {
            let written = written.iter().zip(appends).filter_map(|(written, append)| {
                written.as_ref().ok().map(|written| (written, append))
            });
            written.filter(|(written, _)| written.is_new() && journalled.contains(&written.log))
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

    fn mark_durable(&mut self, synced: &Sync<D>, journalled: &BTreeSet<LogKey>) {
        match synced {
            Sync::Log(key, _) => {
                if let Some(log) = self.logs.get_mut(key) {
                    log.mark_synced();
                }
            }
            Sync::Journal => {
                for key in journalled {
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
