use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile, EntryKind, FaultyDisk};
use record::Batches;

use crate::sealing::{Kind, crc32c};

/// What the files of a directory hold, by their paths.
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Reads all files below a folder.
pub(super) fn files_in(disk: &FaultyDisk, folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in disk.list(folder).expect("it is there") {
        let path = folder.join(entry.name);
        match entry.kind {
            EntryKind::Directory => files.extend(files_in(disk, &path)),
            EntryKind::File => {
                let file = disk.open(&path).expect("it was listed");
                let len = usize::try_from(file.len().expect("open")).expect("64 bits");
                files.insert(path, file.read_vec_at(len, 0).expect("as long as it is"));
            }
        }
    }
    files
}

/// What damage did to a directory, as far as the promises go.
#[derive(Debug, Default)]
pub(super) struct Harm {
    pub(super) identity: bool,
    /// The checkpoint is not what it was.
    pub(super) checkpoint: bool,
    /// Entries of the journal are not what they were, or do not count without the checkpoint.
    pub(super) journal: bool,
    logs: BTreeMap<PathBuf, LogHarm>,
}

/// What damage did to one log.
#[derive(Clone, Debug, Default)]
pub(super) struct LogHarm {
    /// Segments that are not what they were.
    pub(super) segments: BTreeSet<PathBuf>,
    /// Offsets of the batches that are not what they were. Empty where bytes came in between.
    pub(super) batches: Vec<Range<u64>>,
    /// The numbers that counted are not what they were.
    pub(super) meta: bool,
    /// Some index is not what it was.
    pub(super) index: bool,
    /// What was known of producers is not what it was.
    pub(super) producers: bool,
}

impl LogHarm {
    /// The first record that is not what it was, or that has something before it.
    pub(super) fn records_from(&self) -> Option<u64> {
        self.batches.iter().map(|batch| batch.start).min()
    }
}

/// Files of logs that were harmed and still are what the harm made of them, however long ago that
/// was: what is derived is made anew only when it is needed, and records before the start of a log
/// never are.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Standing {
    /// Adds what happened between two looks.
    pub(super) fn note(&mut self, before: &Files, after: &Files) {
        for (path, old) in before {
            let new = after.get(path);
            if new != Some(old) {
                self.0.insert(path.clone(), new.cloned());
            }
        }
    }

    /// Leaves out what was made anew since.
    pub(super) fn look(&mut self, now: &Files) {
        self.0.retain(|path, harmed| now.get(path) == harmed.as_ref());
    }

    /// Leaves out a log that is deleted.
    pub(super) fn forget(&mut self, folder: &Path) {
        self.0.retain(|path, _| !path.starts_with(folder));
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    /// Whether there is such a segment below a folder.
    pub(super) fn has_segment_in(&self, folder: &Path) -> bool {
        self.0.keys().any(|path| path.starts_with(folder) && Kind::of(path) == Kind::Segment)
    }
}

impl Harm {
    /// What happened between two looks.
    pub(super) fn between(before: &Files, after: &Files) -> Self {
        let mut harm = Self::default();
        for (path, old) in before {
            let new = after.get(path);
            if new != Some(old) {
                harm.note(path, old, new.map(Vec::as_slice));
            }
        }
        harm
    }

    pub(super) fn of(&self, folder: &Path) -> LogHarm {
        self.logs.get(folder).cloned().unwrap_or_default()
    }

    fn note(&mut self, path: &Path, old: &[u8], new: Option<&[u8]>) {
        let folder = path.parent().expect("in a folder").to_path_buf();
        let kind = Kind::of(path);
        match kind {
            Kind::Identity => self.identity = true,
            Kind::Checkpoint => {
                self.checkpoint = true;
                self.journal = true;
            }
            Kind::Journal => self.journal = true,
            // Nobody has use for an unfinished file.
            Kind::Other => {}
            Kind::Meta | Kind::Index | Kind::Producers | Kind::Segment => {
                let harm = self.logs.entry(folder).or_default();
                harm.meta |= kind == Kind::Meta && counts(old, new);
                harm.index |= kind == Kind::Index;
                harm.producers |= kind == Kind::Producers;
                if kind == Kind::Segment {
                    harm.batches.extend(harmed(base(path), old, new.unwrap_or_default()));
                    harm.segments.insert(path.to_path_buf());
                }
            }
        }
    }
}

/// The first offset of a segment, by its name.
fn base(path: &Path) -> u64 {
    let name = path.file_name().and_then(|name| name.to_str()).expect("as we named it");
    let base = name.split('-').next().and_then(|base| base.parse().ok());
    base.expect("as segments are named")
}

/// Offsets of the batches of a segment whose bytes are not what they were. What comes behind its
/// last batch counts as an empty one.
fn harmed(base: u64, old: &[u8], new: &[u8]) -> Vec<Range<u64>> {
    let (mut at, mut end) = (0, base);
    let mut harmed = Vec::new();
    for batch in Batches::new(old.to_vec().into()).map_while(Result::ok) {
        let bytes = at..at + batch.bytes().len();
        let offsets = end..batch.header().end_offset().get();
        if new.get(bytes.clone()) != old.get(bytes.clone()) {
            harmed.push(offsets.clone());
        }
        (at, end) = (bytes.end, offsets.end);
    }
    if new.get(at..) != old.get(at..) {
        harmed.push(end..end);
    }
    harmed
}

/// Whether the slot that counted has changed.
fn counts(old: &[u8], new: Option<&[u8]>) -> bool {
    const STRIDE: usize = 4096;
    const LEN: usize = 96;
    let slot = |bytes: &[u8], at: usize| bytes.get(at..at + LEN).map(<[u8]>::to_vec);
    let sequence = |slot: &[u8]| {
        let (fields, crc) = slot.split_last_chunk::<4>()?;
        let is_whole = crc32c(fields).to_be_bytes() == *crc;
        is_whole.then(|| u64::from_be_bytes(slot[8..16].try_into().expect("eight")))
    };
    let newest = (0..2).map(|number| number * STRIDE).max_by_key(|at| {
        let slot = slot(old, *at);
        slot.and_then(|slot| sequence(&slot))
    });
    let at = newest.expect("of two");
    slot(new.unwrap_or_default(), at) != slot(old, at)
}
