//! Group commit at its plainest: threads that each hand over a batch and wait, and one more that
//! writes what has come to the end of a file, syncs it, and tells all of them.

use std::fs::{File, OpenOptions, remove_file};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use measure::Server;

use super::append::blocking;
use super::contest::{Contender, Saturate};
use super::load::{Bound, Work};
use super::stage::CLIENT_THREADS;
use crate::exit::Failure;

/// Writers of one file, which stays from turn to turn as a topic does.
pub(super) struct RawGroup {
    work: Work,
    writers: u32,
    path: PathBuf,
    file: Arc<File>,
}

impl RawGroup {
    /// # Errors
    ///
    /// The file cannot be made.
    pub(super) fn new(work: Work, folder: &Path, writers: u32) -> Result<Self, Failure> {
        let path = folder.join("group");
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        Ok(Self { work, writers, path, file: Arc::new(file) })
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(super) fn end(self) -> Result<(), Failure> {
        Ok(remove_file(self.path)?)
    }
}

impl Contender for RawGroup {
    fn server(&self) -> Server {
        Server::BesideClient(CLIENT_THREADS)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Saturate for RawGroup {
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let (file, work, writers) = (Arc::clone(&self.file), self.work.clone(), self.writers);
        blocking(move || commit(&file, &work, writers, &bound)).await
    }
}

/// Who waits for its batch.
type Waiter = SyncSender<()>;

/// Returns how many records were made durable.
fn commit(file: &File, work: &Work, writers: u32, bound: &Bound) -> Result<u64, Failure> {
    let begun = AtomicU64::new(0);
    let (hand_over, batches) = sync_channel::<Waiter>(writers as usize);
    let synced = thread::scope(|scope| {
        for _ in 0..writers {
            let (hand_over, begun) = (hand_over.clone(), &begun);
            scope.spawn(move || write(&hand_over, begun, bound));
        }
        drop(hand_over);
        // If this fails, whoever waits hears of it by the end of its channel.
        sync_groups(file, work, batches)
    })?;
    Ok(synced * work.records_per_batch())
}

/// Hands over batches until the bound says that it is enough.
fn write(hand_over: &SyncSender<Waiter>, begun: &AtomicU64, bound: &Bound) {
    while bound.allows_more_than(begun.fetch_add(1, Ordering::Relaxed)) {
        let (waiter, synced) = sync_channel(1);
        if hand_over.send(waiter).is_err() || synced.recv().is_err() {
            return;
        }
    }
}

/// Returns how many batches were made durable.
#[expect(clippy::needless_pass_by_value, reason = "those who hand over learn of its end")]
fn sync_groups(file: &File, work: &Work, batches: Receiver<Waiter>) -> Result<u64, Failure> {
    let (mut end, mut synced) = (file, 0);
    let mut group = Vec::new();
    while let Ok(first) = batches.recv() {
        group.push(first);
        group.extend(batches.try_iter());
        for _ in &group {
            end.write_all(work.full.bytes())?;
        }
        file.sync_data()?;
        synced += group.len() as u64;
        for waiter in group.drain(..) {
            // It waits for nothing else.
            waiter.send(()).ok();
        }
    }
    Ok(synced)
}
