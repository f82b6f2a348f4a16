use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use disk::Disk;
use types::{Offset, Timestamp};

use super::{Append, Appended, Directory};
use crate::error::{AppendError, StorageFault};
use crate::log::{Failure, Unsynced};
use crate::name::LogKey;

/// An append that was written.
struct Written {
    log: LogKey,
    base_offset: Offset,
    end: Offset,
}

impl<D: Disk> Directory<D> {
    /// One group commit: writes every append to its log, then makes durable what must be, then
    /// answers, in the order given.
    ///
    /// Logs come first and syncs after: an append that fails is rolled back and has left before
    /// anything is promised. What is written is visible to readers before it is durable;
    /// [`LogReader::durable_end`](crate::LogReader::durable_end) tells how far it is. A sync that
    /// fails fences the directory.
    pub fn step(
        &mut self,
        appends: &[Append],
        now: Timestamp,
    ) -> Vec<Result<Appended, AppendError>> {
        let mut touched = BTreeSet::new();
        let written: Vec<_> =
            appends.iter().map(|append| self.write(append, now, &mut touched)).collect();
        for log in touched.iter().filter_map(|log| self.logs.get(log)) {
            log.publish();
        }
        self.sync_touched(&touched);
        written
            .into_iter()
            .map(|written| written.and_then(|written| self.answer(&written)))
            .collect()
    }

    fn write(
        &mut self,
        append: &Append,
        now: Timestamp,
        touched: &mut BTreeSet<LogKey>,
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
        touched.insert(key);
        match log.append(append, now) {
            Ok(base_offset) => Ok(Written { log: key, base_offset, end: log.end() }),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(fault)) => Err(self.fence(&fault).into()),
        }
    }

    /// Syncs the logs that promise it. Each is synced whole: what was acknowledged is worth
    /// nothing without the records before it, whoever wrote those and in whatever mode.
    fn sync_touched(&mut self, touched: &BTreeSet<LogKey>) {
        if self.fenced.is_some() {
            return;
        }
        let work: Vec<(LogKey, Unsynced<D>)> = touched
            .iter()
            .filter_map(|key| self.logs.get(key).map(|log| (*key, log)))
            .filter(|(_, log)| log.must_sync())
            .map(|(key, log)| (key, log.unsynced()))
            .collect();
        let mut done = sync_all(&self.disk, &work, self.config.sync_threads.get());
        for (index, (key, _)) in work.iter().enumerate() {
            match done.remove(&index) {
                Some(Ok(())) => {
                    if let Some(log) = self.logs.get_mut(key) {
                        log.mark_synced();
                    }
                }
                Some(Err(fault)) => {
                    self.fence(&fault);
                }
                // A syncing thread that saw another fail leaves the rest.
                None => {}
            }
        }
    }

    fn answer(&self, written: &Written) -> Result<Appended, AppendError> {
        let &Written { log, base_offset, end } = written;
        let found = self.logs.get(&log).ok_or(AppendError::UnknownLog { log })?;
        let durable_end = found.durable_end();
        // In a fenced directory only what a sync had covered before can be believed.
        if durable_end < end {
            self.check_fence()?;
        }
        Ok(Appended { base_offset, end, durable_end })
    }
}

/// Syncs logs side by side, each from its oldest segment on. Stops early once one has failed.
fn sync_all<D: Disk>(
    disk: &D,
    work: &[(LogKey, Unsynced<D>)],
    threads: usize,
) -> BTreeMap<usize, Result<(), StorageFault>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let sync_some = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((_, unsynced)) = work.get(index) else { return };
            let synced = unsynced.sync(disk);
            if synced.is_err() {
                next.store(work.len(), Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(index, synced);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(work.len()) {
            scope.spawn(sync_some);
        }
        sync_some();
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}
