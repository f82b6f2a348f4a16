//! Reading what nobody reads, before somebody has to.
//!
//! Bits rot where they lie, and a disk tells only when it is asked. A scrub reads one sealed segment
//! from the disk itself, past what the system keeps of it in memory, and checks all that a log knows:
//! the format and checksum of each batch, the epoch by the file's name, that each offset follows the
//! one before, that the segment ends where it was sealed, and that its index and what is remembered
//! of its producers are whole and true. What is wrong is reported record by record, as far as it
//! goes; nothing is mended, cut or moved.

mod finding;
mod index;
mod walk;

use std::io;
use std::path::Path;
use std::sync::Arc;

use disk::{Disk, DiskFile};
use types::{LogId, Offset};

use crate::meta::META_FILE;
use crate::reader::LogReader;
use crate::view::{Piece, Published};

pub use finding::{Finding, FindingKind};
use index::CheckedIndex;
use walk::Walk;

/// A segment of a log that takes no more appends, and is durable with its index. Nothing in it
/// changes until it is removed.
#[derive(Debug)]
pub struct SealedSegment<D: Disk> {
    published: Arc<Published<D>>,
    log_id: LogId,
    /// How often the log had been cut when it was found.
    cuts: u64,
    piece: Piece<D>,
}

/// How far a scrub has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrubbed {
    /// There is more to read.
    Partly,
    /// All was read.
    Wholly,
}

/// What a scrub has to say of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it was sealed.
    Sound,
    /// Something is wrong.
    Damaged {
        /// What, in the order of the segment; at most [`Verdict::MOST_FINDINGS`].
        findings: Vec<Finding>,
        /// How many more there are.
        unlisted: u64,
    },
    /// The segment was removed or cut meanwhile: whatever was read says nothing.
    Gone,
}

/// One segment on its way to a verdict.
#[derive(Debug)]
pub struct Scrub<D: Disk> {
    segment: SealedSegment<D>,
    stage: Stage<D>,
    findings: Findings,
}

#[derive(Debug)]
enum Stage<D: Disk> {
    /// Nothing was read yet.
    New,
    /// Batches are read.
    Walking(D::File, Box<Walk>),
    /// All was read.
    Done,
}

/// What was found, up to a bound: a disk that dies may damage every batch there is.
#[derive(Debug)]
struct Findings {
    /// First offset held: nobody misses records before it.
    log_start: Offset,
    listed: Vec<Finding>,
    unlisted: u64,
}

impl Verdict {
    /// Findings that are listed of one segment; of more there is only the number.
    pub const MOST_FINDINGS: usize = 100;
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        if finding.hits_records() && finding.offsets.end <= self.log_start {
            return;
        }
        if self.listed.len() < Verdict::MOST_FINDINGS {
            self.listed.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

impl<D: Disk> LogReader<D> {
    /// The sealed segments as they are now, oldest first.
    pub fn sealed_segments(&self) -> Vec<SealedSegment<D>> {
        let view = self.published().load();
        let sealed = view.pieces().filter(|piece| piece.segment.is_sealed());
        sealed
            .map(|piece| SealedSegment {
                published: Arc::clone(self.published()),
                log_id: view.log_id,
                cuts: view.cuts,
                piece: piece.clone(),
            })
            .collect()
    }
}

impl<D: Disk> SealedSegment<D> {
    /// Its first offset.
    pub fn base(&self) -> Offset {
        self.piece.base()
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.piece.len
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.piece.segment.path()
    }

    /// Begins to read it. Records that were deleted before that are not reported.
    pub fn scrub(self) -> Scrub<D> {
        let log_start = self.published.log_start();
        let findings = Findings { log_start, listed: Vec::new(), unlisted: 0 };
        Scrub { segment: self, stage: Stage::New, findings }
    }

    /// Whether it is still part of its log, as it was.
    fn is_there(&self) -> bool {
        let view = self.published.load();
        let same = |piece: &Piece<D>| Arc::ptr_eq(&piece.segment, &self.piece.segment);
        view.cuts == self.cuts && view.pieces().any(same) && self.has_log()
    }

    /// Whether its log is there. A log that is deleted leaves its folder at once; handles that read
    /// it do not hear of that.
    fn has_log(&self) -> bool {
        let meta = self.path().with_file_name(META_FILE);
        let opened = self.piece.segment.disk().open(&meta);
        !opened.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn open(&self) -> io::Result<(D::File, u64)> {
        let file = self.piece.segment.disk().open_uncached(self.path())?;
        let len = file.len()?;
        Ok((file, len))
    }
}

impl<D: Disk> Scrub<D> {
    /// Reads on, some `budget` bytes, and one batch at least. Returns how many were read, and whether
    /// that was all. Holds some hundred KiB in memory, however long a batch is or says it is, and the
    /// index of the segment.
    pub fn step(&mut self, budget: u64) -> (u64, Scrubbed) {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::New => self.begin(),
            Stage::Walking(file, mut walk) => {
                let read = walk.go_on(&file, budget, &mut self.findings);
                if walk.is_over() {
                    walk.finish(&mut self.findings);
                    return (read, Scrubbed::Wholly);
                }
                self.stage = Stage::Walking(file, walk);
                (read, Scrubbed::Partly)
            }
            Stage::Done => (0, Scrubbed::Wholly),
        }
    }

    /// What was found. Of a segment that was not read to its end, what was found so far.
    pub fn verdict(self) -> Verdict {
        if !self.segment.is_there() {
            return Verdict::Gone;
        }
        let Findings { mut listed, unlisted, .. } = self.findings;
        if listed.is_empty() {
            return Verdict::Sound;
        }
        listed.sort_by_key(|finding| (finding.offsets.start, finding.bytes.start));
        Verdict::Damaged { findings: listed, unlisted }
    }

    fn begin(&mut self) -> (u64, Scrubbed) {
        let Self { segment, findings, .. } = self;
        let (file, len) = match segment.open() {
            Ok(opened) => opened,
            Err(error) => {
                findings.add(Finding::of_all(&segment.piece, FindingKind::of(&error)));
                return (0, Scrubbed::Wholly);
            }
        };
        let index = CheckedIndex::read(&segment.piece, segment.log_id, findings);
        let walk = Walk::new(&segment.piece, len, index);
        let read = walk.index_bytes();
        self.stage = Stage::Walking(file, Box::new(walk));
        (read, Scrubbed::Partly)
    }
}
