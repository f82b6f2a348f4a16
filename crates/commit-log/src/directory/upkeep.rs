use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use disk::Disk;
use types::Timestamp;

use super::Directory;
use crate::error::{LogError, StorageFault};
use crate::log::Log;

impl<D: Disk> Directory<D> {
    /// What a writer does between steps, every few seconds: closes segments that are old enough,
    /// makes durable what no step had to, stores indexes of closed segments, and moves recovery
    /// points up.
    ///
    /// # Errors
    /// What the disk reports, after as many logs as it allowed.
    pub fn upkeep(&mut self, now: Timestamp) -> Result<(), LogError> {
        self.for_each_log(|log| log.upkeep(now))
    }

    /// Makes everything durable and gives the directory back.
    ///
    /// # Errors
    /// What the disk reports; what was answered is safe all the same.
    pub fn close(mut self) -> Result<(), LogError> {
        self.for_each_log(Log::settle)
    }

    fn for_each_log(
        &mut self,
        act: impl Fn(&mut Log<D>) -> Result<(), StorageFault> + Sync,
    ) -> Result<(), LogError> {
        self.check_fence()?;
        let threads = self.config.sync_threads.get();
        let done = side_by_side(self.logs.values_mut().collect(), threads, act);
        self.stored(done)
    }
}

/// Acts on all of `work`, many at a time: each waits for the disk, which takes syncs of many files
/// together in hardly more time than one. Ends early only at a fault that nothing may follow; of
/// several faults, that one is told.
fn side_by_side<T: Send>(
    work: Vec<T>,
    threads: usize,
    act: impl Fn(T) -> Result<(), StorageFault> + Sync,
) -> Result<(), StorageFault> {
    let threads = threads.min(work.len());
    let left = Mutex::new(work.into_iter());
    let fault: Mutex<Option<StorageFault>> = Mutex::new(None);
    let is_over = || lock(&fault).as_ref().is_some_and(StorageFault::is_final);
    let act_on_some = || {
        while !is_over() {
            let Some(next) = lock(&left).next() else { return };
            if let Err(new) = act(next) {
                let mut told = lock(&fault);
                if told.is_none() || new.is_final() {
                    *told = Some(new);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(act_on_some);
        }
        act_on_some();
    });
    fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked takes the scope with it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
