use std::iter::once;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::Disk;
use record::HEADER_LEN;
use types::Timestamp;

use super::logs::Place;
use super::touched::{Grew, Route, TouchedLogs};
use super::upkeep::side_by_side;
use super::{Append, Appended, Directory};
use crate::error::{AppendError, StorageFault};
use crate::journal::{ENTRY_HEADER_LEN, JournalAppend};
use crate::log::{Failure, FileWrite, Log, Placement, Unsynced, Writing};
use crate::name::LogKey;
use crate::room::Room;

/// An append that was written.
struct Written {
    /// Of its log.
    place: Place,
    placement: Placement,
}

impl Written {
    fn is_new(&self) -> bool {
        self.placement.writing == Writing::New
    }
}

/// How a step makes a log durable.
enum Sync<D: Disk> {
    Log(Place, Unsynced<D>),
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
        let mut touched = TouchedLogs::of(appends, |key| self.logs.place(key));
        self.plan(&mut touched);
        let written: Answers =
            appends.iter().map(|append| self.write(append, now, &mut touched)).collect();
        for place in touched.iter().filter_map(|touched| touched.place) {
            self.logs.at(place).into_iter().for_each(Log::publish);
        }
        if !self.fence.is_set() {
            self.settle_routes(&mut touched);
            self.make_durable(&touched, appends, &written);
        }
        let answers = written.into_iter().zip(appends);
        answers
            .map(|(written, append)| written.and_then(|it| self.answer(append.log, &it)))
            .collect()
    }

    /// Has those appends go through the journal that are suited to it, unless syncing the files is as
    /// good.
    fn plan(&mut self, touched: &mut TouchedLogs) {
        let (mut logs, mut bytes) = (0, 0_u64);
        for touched in touched.iter_mut() {
            let log = touched.place.and_then(|place| self.logs.at(place));
            // A write that was taken back has to be synced away.
            let is_suited = touched.appends != 0
                && log.is_some_and(|log| log.must_be_durable() && log.is_durable())
                && !self.journal.is_large(touched.bytes);
            if is_suited {
                touched.route = Route::Journal;
                logs += 1;
                let headers = touched.appends * ENTRY_HEADER_LEN as u64;
                bytes = bytes.saturating_add(touched.bytes).saturating_add(headers);
            }
        }
        if !self.journal.suits(logs, bytes) {
            for touched in touched.iter_mut() {
                touched.route = Route::File;
            }
        }
    }

    fn write(
        &mut self,
        append: &Append,
        now: Timestamp,
        touched: &mut TouchedLogs,
    ) -> Result<Written, AppendError> {
        self.check_fence()?;
        let key = append.log;
        let touched = touched.get_mut(&key).filter(|_| !self.moved.contains_key(&key));
        let found = touched.and_then(|touched| Some((touched.place?, touched)));
        let found = found.and_then(|(place, it)| Some((place, self.logs.at_mut(place)?, it)));
        let Some((place, log, touched)) = found else {
            return Err(if self.damaged.contains(&key) {
                AppendError::Damaged { log: key }
            } else {
                AppendError::UnknownLog { log: key }
            });
        };
        // On a disk that fills up nothing waits that would need room later.
        let waits = self.room == Room::Ample && touched.route == Route::Journal && !log.took_back();
        let file = if waits { FileWrite::Behind(&self.write_buffers) } else { FileWrite::Now };
        match log.append(append, now, self.room, file) {
            Ok(placement) => {
                let written = Written { place, placement };
                if written.is_new() {
                    touched.grew = Grew::Yes;
                }
                Ok(written)
            }
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(fault)) => Err(self.fence(&fault).into()),
        }
    }

    /// Leaves to the journal what it is to take, now that it is known what became of the appends.
    fn settle_routes(&self, touched: &mut TouchedLogs) {
        for touched in touched.iter_mut() {
            let log = touched.place.and_then(|place| self.logs.at(place));
            if touched.grew == Grew::No || log.is_none_or(Log::took_back) {
                touched.route = Route::File;
            }
        }
    }

    /// Makes durable the logs that promise it. Each is durable whole: what was acknowledged is
    /// worth nothing without the records before it, whoever wrote those and in whatever mode.
    fn make_durable(&mut self, touched: &TouchedLogs, appends: &[Append], written: &Answers) {
        let uses_journal = touched.has_any(Route::Journal);
        if uses_journal && let Err(fault) = self.write_journal(touched, appends, written) {
            self.fence(&fault);
            return;
        }
        let mut work: Vec<Sync<D>> = touched
            .places(Route::File)
            .filter_map(|place| self.logs.at(place).map(|log| (place, log)))
            .filter(|(_, log)| log.must_be_durable() && !log.is_durable())
            .map(|(place, log)| Sync::Log(place, log.unsynced()))
            .collect();
        if uses_journal {
            work.push(Sync::Journal);
        }
        let synced = self.sync_all(work);
        if let Some(fault) = synced.iter().find_map(|(_, outcome)| outcome.as_ref().err()) {
            // Nor is what went well believed any more.
            self.fence(fault);
            return;
        }
        for (synced, _) in &synced {
            self.mark_durable(synced, touched);
        }
    }

    /// Writes the batches to the journal as they lie in their logs.
    fn write_journal(
        &mut self,
        touched: &TouchedLogs,
        appends: &[Append],
        written: &Answers,
    ) -> Result<(), StorageFault> {
        let is_journalled = |append: &Append| {
            touched.get(&append.log).is_some_and(|touched| touched.route == Route::Journal)
        };
        let taken = written.iter().zip(appends).filter_map(|(written, append)| {
            let written = written.as_ref().ok()?;
            (written.is_new() && is_journalled(append)).then_some((written, append))
        });
        let taken: Vec<(&Written, &Append)> = taken.collect();
        let headers =
            taken.iter().map(|(written, append)| append.placed_headers(written.placement.base));
        let headers: Vec<Vec<[u8; HEADER_LEN]>> = headers.collect();
        let entries: Vec<JournalAppend<'_>> = taken
            .iter()
            .zip(&headers)
            .filter_map(|((written, append), headers)| {
                let log = self.logs.at(written.place)?.id();
                let bodies = append.batches.iter().map(|batch| {
                    batch.bytes().split_at_checked(HEADER_LEN).map_or(&[][..], |(_, body)| body)
                });
                let parts = headers.iter().zip(bodies);
                let parts = parts.flat_map(|(header, body)| once(&header[..]).chain(once(body)));
                Some(JournalAppend { key: append.log, log, parts: parts.collect() })
            })
            .collect();
        self.journal.append(&entries)
    }

    /// Syncs files side by side. Leaves the rest once one has failed, here or in the background.
    fn sync_all(&self, work: Vec<Sync<D>>) -> Vec<(Sync<D>, Result<(), StorageFault>)> {
        let (disk, path, journal, fence) = (&self.disk, &self.path, &self.journal, &self.fence);
        let over = AtomicBool::new(false);
        let sync = |work: Sync<D>| {
            if over.load(Ordering::Relaxed) || fence.is_set() {
                return None;
            }
            let synced = match &work {
                Sync::Log(_, unsynced) => unsynced.sync(disk),
                Sync::Journal => journal.sync(),
            };
            if let Err(fault) = &synced {
                over.store(true, Ordering::Relaxed);
                if fault.is_final() {
                    // Now: others may be waiting for the disk yet, and the process may be killed.
                    fence.set_in_background(disk, path, fault);
                }
            }
            Some((work, synced))
        };
        side_by_side(work, self.config.sync_threads.get(), sync).into_iter().flatten().collect()
    }

    fn mark_durable(&mut self, synced: &Sync<D>, touched: &TouchedLogs) {
        match synced {
            Sync::Log(place, _) => {
                if let Some(log) = self.logs.at_mut(*place) {
                    log.mark_synced();
                }
            }
            Sync::Journal => {
                for place in touched.places(Route::Journal) {
                    if let Some(log) = self.logs.at_mut(place) {
                        log.mark_journalled();
                    }
                }
            }
        }
    }

    fn answer(&self, log: LogKey, written: &Written) -> Result<Appended, AppendError> {
        let &Written { place, placement: Placement { base, end, .. } } = written;
        let found = self.logs.at(place).ok_or(AppendError::UnknownLog { log })?;
        let durable_end = found.durable_end();
        // In a fenced directory only what a sync had covered before can be believed.
        if durable_end < end {
            self.check_fence()?;
        }
        Ok(Appended { base_offset: base, end, durable_end })
    }
}
