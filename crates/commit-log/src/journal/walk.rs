//! Walking a file of the journal entry by entry, and on behind what is none.

use std::io;

use bytes::Bytes;
use disk::DiskFile;
use memchr::memmem::Finder;

use super::entry::{BEFORE_MARK, ENTRY_HEADER_LEN, EntryHeader, is_intact};
use crate::checkpoint::{JournalLife, JournalMark};
use crate::scan::Window;

/// How far behind the last entry another one is sought. Damage is a sector or a few; behind the end
/// of a file's last use, where there is nothing to be found, this is what a start reads in vain.
const SEARCH_BYTES: u64 = 4 << 20;
/// What is searched at once, and where that cannot be read.
const SEARCH_STEP: u64 = 64 << 10;
const SECTOR: u64 = 4 << 10;

/// An entry as it lies in a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) header: EntryHeader,
    pub(super) batches: Bytes,
    /// Of the batches.
    pub(super) at: u64,
}

/// How an entry was come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// All of the file before it is whole.
    Whole,
    /// Something before it is not what was written there, or not yet written.
    BehindDamage,
}

/// A walk over the entries of one generation in one file.
#[derive(Debug)]
pub(super) struct Walk<'a, F> {
    window: Window<'a, F>,
    len: u64,
    life: JournalLife,
    /// Behind the last entry.
    at: u64,
    /// The sequence of the last entry.
    last: Option<u64>,
    order: Order,
    /// Why the first entry that is not whole could not be read, if that is what is wrong with it.
    unreadable: Option<io::Error>,
}

impl<'a, F: DiskFile> Walk<'a, F> {
    pub(super) fn new(file: &'a F, life: JournalLife) -> io::Result<Self> {
        let len = file.len()?;
        let window = Window::new(file, len);
        Ok(Self { window, len, life, at: 0, last: None, order: Order::Whole, unreadable: None })
    }

    /// The next entry. First all that follow one another from the start of the file, then those
    /// that are found behind; where an earlier use of the file shines through, its entries do not
    /// count.
    pub(super) fn next(&mut self) -> Option<(Entry, Order)> {
        let next = self.entry_at(self.at).unwrap_or_else(|error| {
            if self.order == Order::Whole {
                self.unreadable = Some(error);
            }
            None
        });
        let next = next.filter(|entry| self.follows(entry.header.position.sequence));
        let found = next.or_else(|| {
            self.order = Order::BehindDamage;
            self.search()
        });
        let entry = found?;
        self.at = entry.at.saturating_add(entry.batches.len() as u64);
        self.last = Some(entry.header.position.sequence);
        Some((entry, self.order))
    }

    /// What kept the walk from going on in order, if that was the disk. What lies there may be whole,
    /// and was not seen.
    pub(super) fn into_unreadable(self) -> Option<io::Error> {
        self.unreadable
    }

    fn follows(&self, sequence: u64) -> bool {
        self.last.is_none_or(|last| last.saturating_add(1) == sequence)
    }

    /// A whole entry of the generation.
    fn entry_at(&mut self, at: u64) -> io::Result<Option<Entry>> {
        let entry = whole_entry(&mut self.window, self.len, at)?;
        Ok(entry.filter(|entry| self.counts(&entry.header)))
    }

    fn counts(&self, header: &EntryHeader) -> bool {
        let JournalLife { floor, mark, .. } = self.life;
        // Unknown of a life by an early build, or of which only the files are left.
        let is_ours = mark.is_none_or(|mark| header.proof.is_some_and(|it| it.mark == mark));
        is_ours && header.position.generation == floor.generation
    }

    /// The next entry of this use that lies anywhere behind the last.
    fn search(&mut self) -> Option<Entry> {
        let mark = self.life.mark?.to_bytes();
        let finder = Finder::new(&mark);
        let end = self.at.saturating_add(SEARCH_BYTES).min(self.len);
        let mut from = self.at;
        while from < end {
            let (bytes, searched) = match self.piece(from, SEARCH_STEP) {
                Ok(bytes) => (bytes, SEARCH_STEP),
                // What cannot be read on the way holds no entry, but what lies beside it may.
                Err(_) => (self.piece(from, SECTOR).unwrap_or_default(), SECTOR),
            };
            for found in finder.find_iter(&bytes) {
                let place = from.saturating_add(found as u64).checked_sub(BEFORE_MARK as u64);
                let place = place.filter(|place| self.at <= *place);
                let entry = place.and_then(|place| self.entry_at(place).ok().flatten());
                let is_later = |entry: &Entry| self.last < Some(entry.header.position.sequence);
                if let Some(entry) = entry.filter(is_later) {
                    return Some(entry);
                }
            }
            from = from.saturating_add(searched);
        }
        None
    }

    /// So many bytes from a place on, and what is needed to find marks: those that begin in one step, and may end in the next.
    fn piece(&mut self, from: u64, bytes: u64) -> io::Result<Bytes> {
        let len = bytes.saturating_add(JournalMark::LEN as u64).saturating_sub(1);
        self.window.get(from, usize::try_from(len).unwrap_or(usize::MAX))
    }
}

/// The entry that a file begins with, of whatever generation.
pub(super) fn first_entry<F: DiskFile>(file: &F) -> io::Result<Option<Entry>> {
    let len = file.len()?;
    whole_entry(&mut Window::new(file, len), len, 0)
}

/// The entry at a place of a file of `len` bytes, if one is there, and is as it was written.
fn whole_entry<F: DiskFile>(
    window: &mut Window<'_, F>,
    len: u64,
    at: u64,
) -> io::Result<Option<Entry>> {
    let header = window.get(at, ENTRY_HEADER_LEN)?;
    let left = len.saturating_sub(at);
    let header = EntryHeader::decode(&header).filter(|header| header.total_len() as u64 <= left);
    let Some(header) = header else { return Ok(None) };
    let entry = window.get(at, header.total_len())?;
    if !is_intact(&entry) {
        return Ok(None);
    }
    let batches = entry.slice(header.header_len()..);
    Ok(Some(Entry { header, batches, at: at.saturating_add(header.header_len() as u64) }))
}
