use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use commit_log::LogKey;
use disk::{Disk, DiskFile, RealDisk, replace_atomically};
use types::{Offset, Timestamp};

/// The file in the data directory.
const FILE: &str = "scrub";
const HEAD: &str = "dohle-scrub 1";
/// A file that is longer is none of ours: it would name more segments than a directory holds.
const MAX_LEN: u64 = 64 * 1024 * 1024;

/// One segment: its log and its first offset.
pub(super) type Place = (LogKey, Offset);

/// Where the scrubber is, kept over restarts: a broker that is restarted more often than a pass takes
/// would never come to the end of its directory. Losing it costs time only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// When the last pass began; `None` before the first.
    pub(super) began: Option<Timestamp>,
    /// Where it goes on; `None` once it is over.
    pub(super) at: Option<Place>,
    /// Segments that were damaged: read first after a start, so that damage is not forgotten.
    pub(super) suspects: BTreeSet<Place>,
}

impl Memory {
    /// Reads what was stored; nothing if there is nothing that can be read.
    pub(super) fn load(directory: &Path) -> io::Result<Self> {
        let file = match RealDisk.open(&path(directory)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let len = usize::try_from(file.len()?.min(MAX_LEN)).map_err(io::Error::other)?;
        let text = String::from_utf8(file.read_vec_at(len, 0)?).map_err(io::Error::other)?;
        Self::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Stores it.
    pub(super) fn store(&self, directory: &Path) -> io::Result<()> {
        replace_atomically(&RealDisk, &path(directory), self.to_text().as_bytes())
    }

    fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        let mut line = |word: &str, rest: String| {
            // Writing to a string does not fail.
            writeln!(text, "{word} {rest}").ok();
        };
        let place = |(log, base): &Place| format!("{log} {base}");
        if let Some(began) = self.began {
            line("began", began.to_string());
        }
        if let Some(at) = &self.at {
            line("at", place(at));
        }
        for suspect in &self.suspects {
            line("suspect", place(suspect));
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut memory = Self::default();
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return None;
        }
        for line in lines {
            let (word, rest) = line.split_once(' ')?;
            let place = || {
                let (log, base) = rest.split_once(' ')?;
                Some((LogKey::parse(log)?, Offset::new(base.parse().ok()?)))
            };
            match word {
                "began" => memory.began = Some(Timestamp::from_millis(rest.parse().ok()?)),
                "at" => memory.at = Some(place()?),
                "suspect" => drop(memory.suspects.insert(place()?)),
                _ => return None,
            }
        }
        Some(memory)
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

#[cfg(test)]
mod tests {
    use types::{PartitionId, TopicId};

    use super::*;

    fn place(partition: u32, base: u64) -> Place {
        let partition = PartitionId::new(partition);
        (LogKey { topic_id: TopicId::from_bytes([7; 16]), partition }, Offset::new(base))
    }

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        let memory = Memory {
            began: Some(Timestamp::from_millis(-5)),
            at: Some(place(3, 70)),
            suspects: BTreeSet::from([place(0, 0), place(3, 9)]),
        };
        assert_eq!(Memory::parse(&memory.to_text()), Some(memory));
        let empty = Memory::default();
        assert_eq!(Memory::parse(&empty.to_text()), Some(empty));
        for other in ["", "x", "dohle-scrub 2\n", "dohle-scrub 1\nat 5\n", "dohle-scrub 1\nat\n"] {
            assert_eq!(Memory::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_without_one_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Memory::load(directory.path()).unwrap(), Memory::default());
        let memory = Memory { at: Some(place(1, 2)), ..Memory::default() };
        memory.store(directory.path()).unwrap();
        assert_eq!(Memory::load(directory.path()).unwrap(), memory);
        std::fs::write(path(directory.path()), "?").unwrap();
        Memory::load(directory.path()).unwrap_err();
    }
}
