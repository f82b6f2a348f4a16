use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use disk::Disk;
use types::{LogId, Timestamp};

use super::Directory;
use super::fence::Fence;
use crate::checkpoint::{Checkpoint, JournalLife, RecoveryPoint};
use crate::error::{LogError, StorageFault};
use crate::journal::{Preparation, Prepared};
use crate::log::{LogUpkeep, LogUpkept};

/// What a round of upkeep is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpkeepScope {
    /// Everything: segments that are old enough are closed, and all that is not durable in the
    /// files of its log becomes so. For every few seconds.
    Everything,
    /// What the journal needs to take more; see [`Directory::needs_upkeep`].
    Journal,
}

/// Work that a [`Directory`] asks for, to be done by any thread while its writer goes on: syncs
/// files, stores indexes of closed segments, moves recovery points up, prepares the journal.
#[derive(Debug)]
pub struct Upkeep<D: Disk> {
    disk: D,
    path: PathBuf,
    threads: usize,
    logs: Vec<LogUpkeep<D>>,
    /// Of every log, as they are before this work.
    points: BTreeMap<LogId, RecoveryPoint>,
    /// Which entries of the journal count before this work, and after all of it was done.
    journal: JournalLife,
    journal_after: JournalLife,
    preparation: Option<Preparation>,
    /// What the disk says now.
    current: Checkpoint,
    fence: Fence,
}

/// What came of an [`Upkeep`], for [`Directory::finish_upkeep`].
#[derive(Debug)]
pub struct UpkeepDone<D: Disk> {
    logs: Vec<LogUpkept<D>>,
    checkpoint: Option<Checkpoint>,
    prepared: Option<Prepared<D>>,
    /// The one that weighs most.
    fault: Option<StorageFault>,
}

impl<D: Disk> Upkeep<D> {
    /// Does the work. Waits for the disk, and for nothing else.
    pub fn run(self) -> UpkeepDone<D> {
        let (disk, path, fence) = (&self.disk, &self.path, &self.fence);
        let run = |log: LogUpkeep<D>| {
            if fence.is_set() {
                return None;
            }
            let done = log.run(disk);
            if let Some(fault) = done.fault.as_ref().filter(|fault| fault.is_final()) {
                fence.set_in_background(disk, path, fault);
            }
            Some(done)
        };
        let (mut logs, mut fault) = (Vec::with_capacity(self.logs.len()), None);
        for mut done in side_by_side(self.logs, self.threads, run).into_iter().flatten() {
            weigh(&mut fault, done.fault.take());
            logs.push(done);
        }
        let mut done = UpkeepDone { logs, checkpoint: None, prepared: None, fault };
        if fence.is_set() {
            return done;
        }
        let mut points = self.points;
        for log in &done.logs {
            points.extend(log.point.map(|point| (log.id, point)));
        }
        // A log of which something is not synced may have nothing but the journal.
        let all = done.logs.iter().all(|log| log.point.is_some());
        let journal = if all { self.journal_after } else { self.journal };
        let checkpoint = Checkpoint { journal, points };
        if checkpoint != self.current {
            match checkpoint.write(disk, path) {
                Ok(()) => done.checkpoint = Some(checkpoint),
                Err(fault) => {
                    if fault.is_final() {
                        fence.set_in_background(disk, path, &fault);
                    }
                    weigh(&mut done.fault, Some(fault));
                }
            }
        }
        if fence.is_set() {
            return done;
        }
        match self.preparation.map(|preparation| preparation.prepare(disk)) {
            Some(Ok(prepared)) => done.prepared = Some(prepared),
            Some(Err(fault)) => weigh(&mut done.fault, Some(fault)),
            None => {}
        }
        if let Some(fault) = done.fault.as_ref().filter(|fault| fault.is_final()) {
            fence.set_in_background(disk, path, fault);
        }
        done
    }
}

/// Keeps the first of two faults, unless only the other one is final.
pub(super) fn weigh(told: &mut Option<StorageFault>, new: Option<StorageFault>) {
    if told.is_none() || new.as_ref().is_some_and(StorageFault::is_final) {
        *told = new.or(told.take());
    }
}

impl<D: Disk> Directory<D> {
    /// Whether appends would be quicker after a round of [`UpkeepScope::Journal`]. False while one
    /// is under way, and after one that failed until the next of [`UpkeepScope::Everything`].
    pub fn needs_upkeep(&self) -> bool {
        self.upkeep == UpkeepStage::Idle && self.journal.needs_upkeep()
    }

    /// What is to be done between steps; `None` if that is nothing, or a round is under way. Its
    /// outcome must come back through [`Directory::finish_upkeep`], before [`Directory::close`].
    ///
    /// # Errors
    /// [`LogError::Fenced`].
    pub fn begin_upkeep(
        &mut self,
        now: Timestamp,
        scope: UpkeepScope,
    ) -> Result<Option<Upkeep<D>>, LogError> {
        if scope == UpkeepScope::Everything && !self.fence.is_set() {
            // What the disk still does not let go of is tried again next time.
            self.sweep_leftovers().ok();
            for log in self.logs.values_mut() {
                log.age(now);
            }
        }
        self.upkeep_of(scope)
    }

    fn upkeep_of(&mut self, scope: UpkeepScope) -> Result<Option<Upkeep<D>>, LogError> {
        self.check_fence()?;
        if self.upkeep == UpkeepStage::UnderWay {
            return Ok(None);
        }
        let logs: Vec<LogUpkeep<D>> = match scope {
            UpkeepScope::Everything => {
                self.logs.values().filter_map(|log| log.upkeep(self.room)).collect()
            }
            UpkeepScope::Journal => {
                let keys = self.journal.logs_in_full_files();
                keys.iter().filter_map(|key| self.logs.get(key)?.upkeep(self.room)).collect()
            }
        };
        let points = self.points();
        let journal = self.journal.life();
        let journal_after = match scope {
            UpkeepScope::Everything => self.journal.life_behind_all(),
            UpkeepScope::Journal => self.journal.life_behind_full_files(),
        };
        let preparation = self.journal.preparation();
        let as_it_is = points == self.checkpoint.points && journal_after == self.checkpoint.journal;
        if logs.is_empty() && preparation.is_none() && as_it_is {
            self.upkeep = UpkeepStage::Idle;
            return Ok(None);
        }
        self.upkeep = UpkeepStage::UnderWay;
        Ok(Some(Upkeep {
            disk: self.disk.clone(),
            path: self.path.clone(),
            threads: self.config.sync_threads.get(),
            logs,
            points,
            journal,
            journal_after,
            preparation,
            current: self.checkpoint.clone(),
            fence: self.fence.clone(),
        }))
    }

    /// How far the files of every log are synced.
    pub(super) fn points(&self) -> BTreeMap<LogId, RecoveryPoint> {
        let mut points = self.points_of_damaged.clone();
        points.extend(self.logs.values().map(|log| (log.id(), log.point())));
        points
    }

    /// Takes note of what was done.
    ///
    /// # Errors
    /// What the disk reported; a failed sync fences the directory.
    pub fn finish_upkeep(&mut self, done: UpkeepDone<D>) -> Result<(), LogError> {
        let UpkeepDone { logs, checkpoint, prepared, fault } = done;
        self.upkeep = if fault.is_some() { UpkeepStage::Failed } else { UpkeepStage::Idle };
        if let Some(fault) = fault.as_ref().filter(|fault| fault.is_final()) {
            // Nor is what went well believed any more.
            return Err(self.fence(fault).into());
        }
        self.check_fence()?;
        for done in &logs {
            if let Some(log) = self.logs.get_mut(&done.log) {
                log.upkept(done);
            }
        }
        if let Some(checkpoint) = checkpoint {
            self.journal.is_checkpointed(checkpoint.journal);
            self.journal.announced();
            self.checkpoint = checkpoint;
        }
        match prepared {
            Some(prepared) => self.journal.take(prepared),
            None => self.journal.not_prepared(),
        }
        self.stored(fault.map_or(Ok(()), Err))
    }

    /// A whole round of upkeep at once, on the caller's thread.
    ///
    /// # Errors
    /// What the disk reports, after as many logs as it allowed.
    pub fn upkeep(&mut self, now: Timestamp) -> Result<(), LogError> {
        match self.begin_upkeep(now, UpkeepScope::Everything)? {
            Some(upkeep) => self.finish_upkeep(upkeep.run()),
            None => Ok(()),
        }
    }

    /// Makes everything durable and gives the directory back.
    ///
    /// # Errors
    /// What the disk reports; what was answered is safe all the same.
    pub fn close(mut self) -> Result<(), LogError> {
        match self.upkeep_of(UpkeepScope::Everything)? {
            Some(upkeep) => self.finish_upkeep(upkeep.run()),
            None => Ok(()),
        }
    }
}

/// Whether a round of upkeep is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpkeepStage {
    Idle,
    UnderWay,
    /// The last one was not completed, for want of room most likely: only time brings the next.
    Failed,
}

/// Acts on all of `work`, many at a time: each waits for the disk, which takes syncs of many files
/// together in hardly more time than one. The answers come in any order.
pub(super) fn side_by_side<T: Send, A: Send>(
    work: Vec<T>,
    threads: usize,
    act: impl Fn(T) -> A + Sync,
) -> Vec<A> {
    let threads = threads.min(work.len());
    let answers = Mutex::new(Vec::with_capacity(work.len()));
    let left = Mutex::new(work.into_iter());
    let act_on_some = || {
        loop {
            let Some(next) = lock(&left).next() else { return };
            let answer = act(next);
            lock(&answers).push(answer);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(act_on_some);
        }
        act_on_some();
    });
    answers.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked takes the scope with it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn as_many_wait_for_the_disk_at_once_as_there_are_threads_and_no_more() {
        const THREADS: usize = 4;
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // None goes on before all of the threads are at work.
        let together = Barrier::new(THREADS);
        let answers = side_by_side((0..5 * THREADS).collect(), THREADS, |number| {
            most.fetch_max(1 + at_once.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
            together.wait();
            at_once.fetch_sub(1, Ordering::Relaxed);
            number
        });
        assert_eq!((answers.len(), most.load(Ordering::Relaxed)), (5 * THREADS, THREADS));
    }
}
