//! The least that makes appends to many files durable: plain files and, for many of them, one file
//! more that takes the same bytes, is overwritten in place, and is the only one that is synced. No
//! checksums, no offsets, no index, and nothing that could be recovered from.

use std::fs::{File, create_dir, remove_dir_all};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use record::Batch;
use types::Durability;

use super::append::{Sink, SinkSpec, below};
use super::load::Work;
use crate::exit::Failure;

/// What the one file holds before it is written from its start again.
const JOURNAL_BYTES: u64 = 128 << 20;
/// What is written at once while that file is prepared.
const PREPARE_BYTES: usize = 1 << 20;

/// Files that batches go to in turn.
pub(super) struct RawFiles {
    folder: PathBuf,
    files: Vec<RawFile>,
    /// The file that is next.
    next: usize,
    way: Way,
}

struct RawFile {
    file: File,
    end: u64,
}

/// How appends become durable.
enum Way {
    /// Not at all.
    Unsynced,
    /// The files are synced; with one file this is the quickest way.
    Files,
    /// This file takes them too, and is synced.
    Journal(RawJournal),
}

impl Sink for RawFiles {
    fn open(spec: &SinkSpec, _work: &Work) -> Result<Self, Failure> {
        let folder = below(spec, "raw");
        create_dir(&folder)?;
        let mut files = Vec::new();
        for number in 0..spec.partitions {
            let file = File::create_new(folder.join(number.to_string()))?;
            files.push(RawFile { file, end: 0 });
        }
        let way = match (spec.durability, spec.partitions) {
            (Durability::PageCache, _) => Way::Unsynced,
            (Durability::Fsync, 1) => Way::Files,
            (Durability::Fsync, _) => Way::Journal(RawJournal::create(&folder.join("journal"))?),
        };
        File::open(&folder)?.sync_all()?;
        Ok(Self { folder, files, next: 0, way })
    }

    fn append(&mut self, batch: &Batch, times: usize) -> Result<(), Failure> {
        let bytes = batch.bytes();
        for _ in 0..times {
            let count = self.files.len();
            if let Some(RawFile { file, end }) = self.files.get_mut(self.next) {
                file.write_all_at(bytes, *end)?;
                *end += bytes.len() as u64;
            }
            self.next = (self.next + 1) % count;
        }
        match &mut self.way {
            Way::Unsynced => {}
            Way::Files => {
                for RawFile { file, .. } in &self.files {
                    file.sync_data()?;
                }
            }
            Way::Journal(journal) => journal.append(bytes, times)?,
        }
        Ok(())
    }

    fn remove(self) -> Result<(), Failure> {
        Ok(remove_dir_all(self.folder)?)
    }
}

struct RawJournal {
    file: File,
    at: u64,
    /// What one sync makes durable.
    tick: Vec<u8>,
}

impl RawJournal {
    /// Full of zeros and synced, so that a later sync has no more to do than to write.
    fn create(path: &std::path::Path) -> std::io::Result<Self> {
        let file = File::create_new(path)?;
        let zeros = vec![0; PREPARE_BYTES];
        for at in (0..JOURNAL_BYTES).step_by(PREPARE_BYTES) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0, tick: Vec::new() })
    }

    fn append(&mut self, bytes: &[u8], times: usize) -> std::io::Result<()> {
        let length = bytes.len() * times;
        if self.tick.len() != length {
            self.tick = bytes.repeat(times);
        }
        if JOURNAL_BYTES < self.at + length as u64 {
            self.at = 0;
        }
        self.file.write_all_at(&self.tick, self.at)?;
        self.at += length as u64;
        self.file.sync_data()
    }
}
