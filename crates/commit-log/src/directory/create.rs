use std::collections::BTreeSet;
use std::path::PathBuf;

use disk::Disk;
use types::{LogId, Offset};

use super::upkeep::side_by_side;
use super::{Directory, Synced};
use crate::config::LogConfig;
use crate::error::{Action, LogError, StorageFault};
use crate::log::{Log, sweep};
use crate::name::{LogKey, new_folder};
use crate::reader::LogReader;

/// A log to be made.
#[derive(Clone, Debug)]
pub struct NewLog {
    /// What it is called.
    pub log: LogKey,
    /// Which life of it this is: 16 random bytes, never used before.
    pub id: LogId,
    /// How it is kept.
    pub config: LogConfig,
    /// Offset of its first record.
    pub start: Offset,
}

/// A log that is whole but for its name.
struct Unnamed<D: Disk> {
    log: Log<D>,
    key: LogKey,
    from: PathBuf,
    to: PathBuf,
}

impl<D: Disk> Directory<D> {
    /// Makes an empty log that begins at `start`, durably. `id` must be new: 16 random bytes.
    ///
    /// # Errors
    /// [`LogError::Exists`], or what the disk reports.
    pub fn create_log(
        &mut self,
        log: LogKey,
        id: LogId,
        config: LogConfig,
        start: Offset,
    ) -> Result<LogReader<D>, LogError> {
        let made = self.create_logs(vec![NewLog { log, id, config, start }]).pop();
        // One asked for is one answered.
        made.unwrap_or(Err(LogError::Unknown { log }))
    }

    /// Makes empty logs, durably, side by side: a thousand cost little more than the syncs of a
    /// few. The answers come in the order asked.
    pub fn create_logs(&mut self, new: Vec<NewLog>) -> Vec<Result<LogReader<D>, LogError>> {
        let mut outcomes = Vec::with_capacity(new.len());
        let mut wanted = Vec::with_capacity(new.len());
        let mut keys = BTreeSet::new();
        for (number, new) in new.into_iter().enumerate() {
            match self.check_new(new.log, keys.insert(new.log)) {
                Ok(()) => wanted.push((number, new)),
                Err(error) => outcomes.push((number, Err(error))),
            }
        }
        let prepared = self.prepare(wanted);
        outcomes.extend(self.name(prepared));
        outcomes.sort_by_key(|(number, _)| *number);
        let mut take_in = |Unnamed { log, key, .. }: Unnamed<D>| {
            let reader = log.reader();
            self.logs.insert(key, log);
            reader
        };
        outcomes.into_iter().map(|(_, outcome)| outcome.map(&mut take_in)).collect()
    }

    fn check_new(&self, log: LogKey, is_first: bool) -> Result<(), LogError> {
        self.check_fence()?;
        if !is_first || self.logs.contains_key(&log) || self.damaged.contains(&log) {
            return Err(LogError::Exists { log });
        }
        self.room.for_logs()
    }

    /// Makes each durable under a name that nobody looks for.
    fn prepare(
        &mut self,
        wanted: Vec<(usize, NewLog)>,
    ) -> Vec<(usize, Result<Unnamed<D>, LogError>)> {
        let (disk, path) = (&self.disk, &self.path);
        let prepare = |(number, new): (usize, NewLog)| {
            let (from, to) = (path.join(new_folder(new.id)), path.join(new.log.to_string()));
            let prepared = Log::prepare(disk, &from, &to, &new);
            if prepared.as_ref().is_err_and(|fault| !fault.is_final()) {
                // Or every new try on a full disk would leave a folder. The next start tries again.
                sweep(disk, &from).ok();
            }
            (number, prepared.map(|log| Unnamed { log, key: new.log, from, to }))
        };
        let threads = self.config.sync_threads.get();
        let prepared = side_by_side(wanted, threads, prepare);
        prepared.into_iter().map(|(number, made)| (number, self.stored(made))).collect()
    }

    /// Gives each its name, and makes all names durable at once.
    fn name(
        &mut self,
        prepared: Vec<(usize, Result<Unnamed<D>, LogError>)>,
    ) -> Vec<(usize, Result<Unnamed<D>, LogError>)> {
        let mut named = Vec::with_capacity(prepared.len());
        for (number, prepared) in prepared {
            let renamed = prepared.and_then(|unnamed| {
                let renamed = self.rename(&unnamed);
                self.stored(renamed).map(|()| unnamed)
            });
            named.push((number, renamed));
        }
        let mut synced = Synced::No;
        for (_, made) in &mut named {
            let durable = made.as_ref().is_ok().then(|| self.sync_names_once(&mut synced));
            if let Some(Err(error)) = durable
                && let Ok(unnamed) = std::mem::replace(made, Err(error))
            {
                // Nobody is told that it was made. A crash may leave it there, empty.
                self.unmade.insert(unnamed.key);
            }
        }
        named
    }

    fn rename(&mut self, unnamed: &Unnamed<D>) -> Result<(), StorageFault> {
        let Unnamed { key, from, to, .. } = unnamed;
        if self.unmade.contains(key) {
            // What an earlier try left would be in the way.
            sweep(&self.disk, to)?;
            self.unmade.remove(key);
        }
        self.disk.rename(from, to).map_err(Action::Rename.failed(to)).inspect_err(|fault| {
            if !fault.is_final() {
                sweep(&self.disk, from).ok();
            }
        })
    }
}
