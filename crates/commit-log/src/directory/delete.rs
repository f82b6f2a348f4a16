use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use disk::Disk;

use super::{Directory, Synced};
use crate::error::{Action, LogError, StorageFault};
use crate::log::sweep;
use crate::name::{Aside, LogKey, aside_folder};

/// What there is in a directory, once it was listed.
type Names = Option<BTreeSet<OsString>>;

impl<D: Disk> Directory<D> {
    /// Removes a log and all it holds; once this returns no crash brings it back. Readers that
    /// hold it can finish. Files that the disk does not let go of yet go with a later deletion or
    /// round of upkeep, or at the next start.
    ///
    /// # Errors
    /// [`LogError::Unknown`], or what the disk reports: then the log is still there, or on its way out:
    /// after a name that could not be synced nothing is done to it but to delete it, when that is asked
    /// for again.
    pub fn delete_log(&mut self, log: LogKey) -> Result<(), LogError> {
        let deleted = self.delete_logs(&[log]).pop();
        // One asked for is one answered.
        deleted.unwrap_or(Err(LogError::Unknown { log }))
    }

    /// Removes logs as [`Directory::delete_log`] does, for the price of one sync. The answers come in
    /// the order asked.
    pub fn delete_logs(&mut self, logs: &[LogKey]) -> Vec<Result<(), LogError>> {
        let (mut names, mut moved, mut keys) = (None, Vec::new(), BTreeSet::new());
        for log in logs {
            let is_first = keys.insert(*log);
            let mut put_aside = |directory: &mut Self| {
                directory.check_deletion(*log, is_first)?;
                directory.put_aside_deleted(*log, &mut names)
            };
            moved.push(self.with_room(&mut put_aside));
        }
        let mut deleted = Vec::with_capacity(logs.len());
        let mut synced = Synced::No;
        for (log, moved) in logs.iter().zip(moved) {
            deleted.push(moved.and_then(|gone| {
                self.sync_names_once(&mut synced)?;
                self.forget(*log, gone);
                Ok(())
            }));
        }
        // They are deleted, whatever is left of them.
        if let Err(LogError::Fenced(fenced)) = self.with_room(Self::sweep_leftovers) {
            for deleted in deleted.iter_mut().filter(|deleted| deleted.is_ok()) {
                *deleted = Err(fenced.clone().into());
            }
        }
        deleted
    }

    /// Puts the folder of a damaged log aside, durably, so that the log can be made anew; returns
    /// where it is. Nothing in it is changed.
    ///
    /// # Errors
    /// [`LogError::Unknown`] if no log of that key was found damaged, or what the disk reports.
    pub fn quarantine_log(&mut self, log: LogKey) -> Result<PathBuf, LogError> {
        self.check_fence()?;
        if !self.damaged.contains(&log) {
            return Err(LogError::Unknown { log });
        }
        let moved = self.put_aside(log, Aside::Damaged, &mut None);
        let aside = self.stored(moved)?;
        self.sync_names_once(&mut Synced::No)?;
        self.moved.remove(&log);
        self.damaged.remove(&log);
        Ok(aside)
    }

    /// Removes what is left of deleted logs.
    pub(super) fn sweep_leftovers(&mut self) -> Result<(), LogError> {
        let mut swept = Ok(());
        for gone in std::mem::take(&mut self.leftovers) {
            if let Err(fault) = sweep(&self.disk, &gone) {
                swept = self.stored(Err(fault));
                self.leftovers.push(gone);
            }
        }
        swept
    }

    fn check_deletion(&self, log: LogKey, is_first: bool) -> Result<(), LogError> {
        self.check_fence()?;
        if !is_first || !(self.logs.contains_key(&log) || self.damaged.contains(&log)) {
            return Err(LogError::Unknown { log });
        }
        Ok(())
    }

    /// Gives the folder of a log that is to be removed another name. The log is still there until
    /// that is durable.
    fn put_aside_deleted(&mut self, log: LogKey, names: &mut Names) -> Result<PathBuf, LogError> {
        if let Some(log) = self.logs.get(&log) {
            log.retire();
        }
        let moved = self.put_aside(log, Aside::Deleted, names);
        if moved.is_err()
            && let Some(log) = self.logs.get(&log)
        {
            log.resume();
        }
        self.stored(moved)
    }

    /// A log is no more, but for what is left of it in that folder.
    fn forget(&mut self, log: LogKey, gone: PathBuf) {
        self.logs.remove(&log);
        self.damaged.remove(&log);
        self.moved.remove(&log);
        self.leftovers.push(gone);
    }

    /// Gives a log's folder a name under which no log is found, unless it has one already, and which is
    /// not among `names`: those there are, listed unless they were.
    fn put_aside(
        &mut self,
        log: LogKey,
        why: Aside,
        names: &mut Names,
    ) -> Result<PathBuf, StorageFault> {
        let folder = match self.moved.get(&log) {
            Some((before, aside)) if *before == why => return Ok(aside.clone()),
            Some((_, aside)) => aside.clone(),
            None => self.path.join(log.to_string()),
        };
        let names = match names {
            Some(names) => names,
            none @ None => {
                let listed = self.disk.list(&self.path).map_err(Action::List.failed(&self.path))?;
                none.insert(listed.into_iter().map(|entry| entry.name).collect())
            }
        };
        let mut number = 0;
        let mut name = aside_folder(why, number, log);
        while names.contains(OsStr::new(&name)) {
            number += 1;
            name = aside_folder(why, number, log);
        }
        let aside = self.path.join(name);
        self.disk.rename(&folder, &aside).map_err(Action::Rename.failed(&folder))?;
        self.moved.insert(log, (why, aside.clone()));
        Ok(aside)
    }
}
