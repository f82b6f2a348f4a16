//! A file whose newest bytes may still lie in memory.
//!
//! Appends that the journal makes durable need not be in the file of their log at once. They gather
//! here until there are many, so that the system's page cache is entered once for all of them.
//! Whoever reads finds them all the same, and whoever syncs writes them first.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use disk::DiskFile;

use crate::config::WriteBufferConfig;

/// The least that is reserved for one file, so that its first appends do not each ask for more.
const FIRST_RESERVATION: usize = 8 << 10;

/// A [`DiskFile`] that keeps what it is asked to [hold](WriteBehind::hold) in memory until
/// [`WriteBehind::flush`]. All else goes straight to the file, after what is held.
#[derive(Debug)]
pub(crate) struct WriteBehind<F> {
    file: F,
    held: RwLock<Held>,
    /// Taken by whoever brings to the file what is held: one at a time, in order.
    flushing: Mutex<()>,
}

/// What is not in the file yet. Readers wait for whoever changes it, which is never for the disk.
#[derive(Debug, Default)]
struct Held {
    /// Where in the file its first byte belongs.
    position: u64,
    /// Being written to the file. Still here after a write that failed.
    leaving: Option<Arc<Vec<u8>>>,
    /// What comes behind that.
    gathered: Vec<u8>,
    /// The memory of both.
    reserved: Reserved,
    use_of_memory: Use,
}

/// Whether a file still makes use of its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Use {
    /// It held something since it was last asked.
    Recent,
    #[default]
    Past,
}

/// Memory for what the files of a directory hold, shared by all of them.
#[derive(Debug)]
pub(crate) struct WriteBuffers {
    config: WriteBufferConfig,
    reserved: AtomicUsize,
}

/// A part of [`WriteBuffers`].
#[derive(Debug, Default)]
struct Reserved {
    of: Option<Arc<WriteBuffers>>,
    bytes: usize,
}

/// Whether bytes that were to be held are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Readers find them; the file does not have them yet.
    Held,
    /// There is no memory for them. Nothing was changed.
    Full,
}

impl<F: DiskFile> WriteBehind<F> {
    pub(crate) fn new(file: F) -> Self {
        Self { file, held: RwLock::default(), flushing: Mutex::default() }
    }

    /// Takes `slices`, which belong at `position`, the end of the file, if there is memory for
    /// them.
    pub(crate) fn hold(
        &self,
        slices: &[IoSlice<'_>],
        position: u64,
        buffers: &Arc<WriteBuffers>,
    ) -> Hold {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        let mut held = self.held_mut();
        if held.is_empty() {
            held.position = position;
        }
        debug_assert_eq!(held.end(), position, "what is held lies back to back");
        if held.make_room(bytes, buffers) == Hold::Full {
            return Hold::Full;
        }
        for slice in slices {
            held.gathered.extend_from_slice(slice);
        }
        held.use_of_memory = Use::Recent;
        Hold::Held
    }

    /// Writes to the file what is held now. Not durable by itself.
    ///
    /// # Errors
    /// What the disk reports. What is held stays so then: any part of it may be in the file, and
    /// the next flush begins with all of it.
    pub(crate) fn flush(&self) -> io::Result<()> {
        if self.held().is_empty() {
            return Ok(());
        }
        let _one_at_a_time: MutexGuard<'_, ()> =
            self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.held().end();
        loop {
            // Nobody waits for the disk on account of `held`: it is let go of before the write.
            let leaving = self.held_mut().leave(end);
            let Some((position, bytes)) = leaving else { return Ok(()) };
            self.file.write_all_at(&bytes, position)?;
            drop(bytes);
            self.held_mut().left();
        }
    }

    /// Gives back the memory of a file that holds nothing.
    pub(crate) fn release(&self) {
        self.held_mut().release();
    }

    /// As [`WriteBehind::release`], if it held nothing since this was called before, either. Memory
    /// that is used again is at hand, while new memory has to be found and cleared.
    pub(crate) fn release_unused(&self) {
        let mut held = self.held_mut();
        if mem::take(&mut held.use_of_memory) == Use::Past {
            held.release();
        }
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: DiskFile> DiskFile for WriteBehind<F> {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let held = self.held();
        if held.is_empty() {
            drop(held);
            return self.file.read_at(buffer, position);
        }
        match held.position.checked_sub(position).filter(|before| 0 < *before) {
            Some(before) => {
                drop(held);
                let before = usize::try_from(before).unwrap_or(usize::MAX).min(buffer.len());
                let (in_file, _) = buffer.split_at_mut(before);
                self.file.read_at(in_file, position)
            }
            None => Ok(held.copy_to(buffer, position)),
        }
    }

    fn write_all_vectored_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        self.flush()?;
        self.file.write_all_vectored_at(slices, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.flush()?;
        self.file.set_len(len)
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.file.forget_cached()
    }

    fn len(&self) -> io::Result<u64> {
        let held_to = Some(self.held()).filter(|held| !held.is_empty()).map(|held| held.end());
        self.file.len().map(|len| len.max(held_to.unwrap_or_default()))
    }
}

impl Held {
    fn len(&self) -> usize {
        self.leaving().len() + self.gathered.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn end(&self) -> u64 {
        self.position.saturating_add(self.len() as u64)
    }

    fn leaving(&self) -> &[u8] {
        self.leaving.as_ref().map_or(&[], |leaving| leaving.as_slice())
    }

    /// Makes sure that `bytes` more can be gathered without further memory.
    fn make_room(&mut self, bytes: usize, buffers: &Arc<WriteBuffers>) -> Hold {
        let limit = buffers.config.log_bytes;
        if limit < self.len().saturating_add(bytes) {
            return Hold::Full;
        }
        let needed = self.gathered.len() + bytes;
        let missing = needed.saturating_sub(self.gathered.capacity());
        if missing == 0 {
            return Hold::Held;
        }
        // Doubled, so that few of many appends move what was gathered before.
        let wanted = needed.next_power_of_two().max(FIRST_RESERVATION).min(limit);
        let more = wanted.saturating_sub(self.gathered.capacity()).max(missing);
        if self.reserved.add(more, buffers) == Hold::Full {
            return Hold::Full;
        }
        self.gathered.reserve_exact(self.gathered.capacity() + more - self.gathered.len());
        Hold::Held
    }

    /// What is to be written next, and where, of what lies before `end`.
    fn leave(&mut self, end: u64) -> Option<(u64, Arc<Vec<u8>>)> {
        if self.is_empty() || end <= self.position {
            return None;
        }
        let gathered = &mut self.gathered;
        let leaving = self.leaving.get_or_insert_with(|| Arc::new(mem::take(gathered)));
        Some((self.position, Arc::clone(leaving)))
    }

    /// Notes that what was leaving is in the file.
    fn left(&mut self) {
        let Some(left) = self.leaving.take() else { return };
        self.position = self.position.saturating_add(left.len() as u64);
        if self.gathered.capacity() == 0
            && let Ok(mut again) = Arc::try_unwrap(left)
        {
            again.clear();
            self.gathered = again;
        }
        self.reserved.keep(self.gathered.capacity());
    }

    fn release(&mut self) {
        if self.is_empty() {
            self.gathered = Vec::new();
            self.reserved.keep(0);
        }
    }

    /// Copies what is held from `position` on, which does not lie before it; returns how much.
    fn copy_to(&self, buffer: &mut [u8], position: u64) -> usize {
        let before = position.saturating_sub(self.position);
        let mut before = usize::try_from(before).unwrap_or(usize::MAX);
        let mut copied = 0;
        for part in [self.leaving(), self.gathered.as_slice()] {
            let passed = before.min(part.len());
            before -= passed;
            let part = part.get(passed..).unwrap_or_default();
            let rest = buffer.get_mut(copied..).unwrap_or_default();
            let some = rest.len().min(part.len());
            let ((rest, _), (part, _)) = (rest.split_at_mut(some), part.split_at(some));
            rest.copy_from_slice(part);
            copied += some;
        }
        copied
    }
}

impl WriteBuffers {
    pub(crate) fn new(config: WriteBufferConfig) -> Self {
        Self { config, reserved: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> Hold {
        let limit = self.config.bytes;
        let take = |reserved: usize| reserved.checked_add(bytes).filter(|sum| *sum <= limit);
        match self.reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_before) => Hold::Held,
            Err(_enough) => Hold::Full,
        }
    }
}

impl Reserved {
    fn add(&mut self, more: usize, buffers: &Arc<WriteBuffers>) -> Hold {
        let taken = buffers.take(more);
        if taken == Hold::Held {
            self.of.get_or_insert_with(|| Arc::clone(buffers));
            self.bytes += more;
        }
        taken
    }

    /// Gives back all but `bytes`.
    fn keep(&mut self, bytes: usize) {
        let given = self.bytes.saturating_sub(bytes);
        self.bytes -= given;
        if let Some(buffers) = &self.of {
            buffers.reserved.fetch_sub(given, Ordering::Relaxed);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.keep(0);
    }
}

#[cfg(test)]
mod tests;
