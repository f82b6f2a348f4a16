//! What two threads must agree on before either touches a file of a log.

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Action, StorageFault};

/// Guards a file or folder that the writer and a round of upkeep may both want to sync.
///
/// The system reports a failed write-back to one caller of `fsync` and lets the next one succeed, as
/// users of databases had to learn in 2018 ("fsyncgate"). Whoever syncs the same file second must
/// therefore learn from us that the first one failed.
#[derive(Debug, Default)]
pub(crate) struct Duty(Mutex<State>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Live,
    /// A sync failed: no later one means anything.
    Failed,
    /// No longer part of its log: about to be removed or replaced.
    Retired,
}

/// What came of a sync in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Background {
    /// It was done.
    Done,
    /// There was nothing to act on any more.
    Retired,
}

impl Duty {
    /// Syncs, unless a sync failed before. Waits while another thread syncs.
    ///
    /// # Errors
    /// What `sync` reports, and from then on that it failed.
    pub(crate) fn sync(
        &self,
        path: &Path,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), StorageFault> {
        let mut state = self.lock();
        if *state == State::Failed {
            return Err(failed_earlier(path));
        }
        let synced = sync().map_err(Action::Sync.failed(path));
        if synced.as_ref().is_err_and(StorageFault::is_final) {
            *state = State::Failed;
        }
        synced
    }

    /// Acts unless retired, and keeps [`Duty::retire`] waiting until that is done. A fault that is
    /// final counts as a failed sync.
    ///
    /// # Errors
    /// What `act` reports, and that a sync failed before.
    pub(crate) fn in_background(
        &self,
        path: &Path,
        act: impl FnOnce() -> Result<(), StorageFault>,
    ) -> Result<Background, StorageFault> {
        let mut state = self.lock();
        match *state {
            State::Live => {}
            State::Failed => return Err(failed_earlier(path)),
            State::Retired => return Ok(Background::Retired),
        }
        let acted = act();
        if acted.as_ref().is_err_and(StorageFault::is_final) {
            *state = State::Failed;
        }
        acted.map(|()| Background::Done)
    }

    /// From here on nothing is done to it in the background.
    pub(crate) fn retire(&self) {
        let mut state = self.lock();
        if *state == State::Live {
            *state = State::Retired;
        }
    }

    /// It stays part of its log after all.
    pub(crate) fn resume(&self) {
        let mut state = self.lock();
        if *state == State::Retired {
            *state = State::Live;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed_earlier(path: &Path) -> StorageFault {
    Action::Sync.failed(path)(io::Error::other("an earlier sync of it failed"))
}

/// Counts changes, and how many of them a sync has covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    made: u64,
    synced: u64,
}

impl Changes {
    pub(crate) fn note(&mut self) {
        self.made += 1;
    }

    /// What a sync that begins now will cover.
    pub(crate) fn so_far(self) -> u64 {
        self.made
    }

    pub(crate) fn are_synced(self) -> bool {
        self.synced == self.made
    }

    /// Notes a sync that covered so many.
    pub(crate) fn synced(&mut self, covered: u64) {
        self.synced = self.synced.max(covered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_was_not_tried_is_no_failed_one() {
        let (duty, path) = (Duty::default(), Path::new("/folder"));
        // EMFILE.
        let not_opened = || Err(io::Error::from_raw_os_error(24));
        assert!(!duty.sync(path, not_opened).unwrap_err().is_final());
        duty.sync(path, || Ok(())).unwrap();
    }

    #[test]
    fn no_sync_succeeds_after_one_failed() {
        let duty = Duty::default();
        let path = Path::new("/file");
        duty.sync(path, || Ok(())).unwrap();
        duty.sync(path, || Err(io::Error::other("the disk is gone"))).unwrap_err();
        for second in [
            duty.sync(path, || Ok(())).unwrap_err(),
            duty.in_background(path, || Ok(())).unwrap_err(),
        ] {
            assert!(second.source.to_string().contains("earlier sync"), "{second}");
        }
    }

    #[test]
    fn nor_after_one_failed_in_the_background() {
        let duty = Duty::default();
        let path = Path::new("/file");
        let fault = || Action::Sync.failed(path)(io::Error::other("the disk is gone"));
        duty.in_background(path, || Err(fault())).unwrap_err();
        duty.sync(path, || Ok(())).unwrap_err();
    }

    #[test]
    fn what_is_retired_is_left_alone_in_the_background_and_synced_by_who_owns_it() {
        let (duty, path) = (Duty::default(), Path::new("/file"));
        assert_eq!(duty.in_background(path, || Ok(())).unwrap(), Background::Done);
        duty.retire();
        let never =
            || Err(Action::Write.failed(Path::new("/gone"))(io::ErrorKind::NotFound.into()));
        assert_eq!(duty.in_background(path, never).unwrap(), Background::Retired);
        duty.sync(path, || Err(io::Error::other("asked"))).unwrap_err();
    }

    #[test]
    fn a_change_during_a_sync_is_not_covered_by_it() {
        let mut changes = Changes::default();
        changes.note();
        let covered = changes.so_far();
        changes.note();
        changes.synced(covered);
        assert!(!changes.are_synced());
        changes.synced(changes.so_far());
        assert!(changes.are_synced());
    }
}
