//! One entry: a header, then batches of one log exactly as its segments hold them.

use types::LogId;

use crate::checkpoint::{JournalMark, JournalPosition};
use crate::checksum::{Crc32c, crc32c};

/// Bytes before the batches of an entry, as they are written now.
pub(crate) const ENTRY_HEADER_LEN: usize = OLD_HEADER_LEN + PROOF_LEN;
/// Bytes before the batches of an entry without a [`Proof`].
const OLD_HEADER_LEN: usize = CRC_LEN + 4 + 8 + 8 + 16;
const CRC_LEN: usize = 4;
const PROOF_LEN: usize = 8 + JournalMark::LEN;
/// Bytes of an entry before its mark.
pub(super) const BEFORE_MARK: usize = ENTRY_HEADER_LEN - JournalMark::LEN;
/// Set in the stored generation of an entry that has a [`Proof`]: no generation is as large.
const HAS_PROOF: u64 = 1 << 63;

/// What stands before the batches of an entry, behind its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) position: JournalPosition,
    pub(crate) log: LogId,
    /// Bytes of the batches.
    pub(crate) len: u32,
    /// Entries of early builds have none.
    pub(crate) proof: Option<Proof>,
}

/// What an entry proves of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// All entries of its generation below this sequence were synced before it was written: those of
    /// earlier steps. Never above its own sequence.
    pub(crate) synced_below: u64,
    /// What every entry of its generation bears.
    pub(crate) mark: JournalMark,
}

impl EntryHeader {
    /// The stored form, in the first [`header_len`](Self::header_len) bytes: a checksum over all that
    /// follows it, then the fields.
    pub(crate) fn encode<'a>(
        self,
        batches: impl IntoIterator<Item = &'a [u8]>,
    ) -> [u8; ENTRY_HEADER_LEN] {
        let JournalPosition { generation, sequence } = self.position;
        let mut header = [0; ENTRY_HEADER_LEN];
        let (stored, fields) = header.split_at_mut(CRC_LEN);
        let proof = self.proof.into_iter().flat_map(|Proof { synced_below, mark }| {
            synced_below.to_be_bytes().into_iter().chain(mark.to_bytes())
        });
        let bytes = (self.len.to_be_bytes().into_iter())
            .chain((generation | self.proof.map_or(0, |_| HAS_PROOF)).to_be_bytes())
            .chain(sequence.to_be_bytes())
            .chain(self.log.to_bytes())
            .chain(proof);
        fill(fields, bytes);
        let mut crc = Crc32c::new();
        let (fields, _unused) = fields.split_at(self.header_len().saturating_sub(CRC_LEN));
        crc.update(fields);
        batches.into_iter().for_each(|part| crc.update(part));
        fill(stored, crc.finish().to_be_bytes().into_iter());
        header
    }

    /// Reads a header without looking at its checksum; `None` if it cannot be one.
    pub(crate) fn decode(header: &[u8]) -> Option<Self> {
        let (_crc, fields) = header.split_first_chunk::<CRC_LEN>()?;
        let (len, fields) = fields.split_first_chunk::<4>()?;
        let (generation, fields) = fields.split_first_chunk::<8>()?;
        let (sequence, fields) = fields.split_first_chunk::<8>()?;
        let (log, fields) = fields.split_first_chunk::<16>()?;
        let generation = u64::from_be_bytes(*generation);
        let position = JournalPosition {
            generation: generation & !HAS_PROOF,
            sequence: u64::from_be_bytes(*sequence),
        };
        let proof = match generation & HAS_PROOF {
            0 => None,
            _ => Some(Proof::decode(fields, position.sequence)?),
        };
        position.was_counted().then(|| Self {
            position,
            log: LogId::from_bytes(*log),
            len: u32::from_be_bytes(*len),
            proof,
        })
    }

    /// Bytes before the batches.
    pub(crate) fn header_len(self) -> usize {
        self.proof.map_or(OLD_HEADER_LEN, |_| ENTRY_HEADER_LEN)
    }

    /// Bytes of the whole entry.
    pub(crate) fn total_len(self) -> usize {
        self.header_len().saturating_add(usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

impl Proof {
    fn decode(fields: &[u8], sequence: u64) -> Option<Self> {
        let (synced_below, fields) = fields.split_first_chunk::<8>()?;
        let (mark, _batches) = fields.split_first_chunk::<{ JournalMark::LEN }>()?;
        let synced_below = u64::from_be_bytes(*synced_below);
        let mark = JournalMark::from_bytes(*mark);
        (synced_below <= sequence).then_some(Self { synced_below, mark })
    }
}

/// Whether the bytes of a whole entry are as they were written.
pub(crate) fn is_intact(entry: &[u8]) -> bool {
    let checked = entry.split_first_chunk::<CRC_LEN>();
    checked.is_some_and(|(crc, rest)| crc32c(rest) == u32::from_be_bytes(*crc))
}

fn fill(target: &mut [u8], bytes: impl Iterator<Item = u8>) {
    for (target, byte) in target.iter_mut().zip(bytes) {
        *target = byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> EntryHeader {
        EntryHeader {
            position: JournalPosition { generation: 2, sequence: 9 },
            log: LogId::from_bytes([7; 16]),
            len: 5,
            proof: Some(Proof { synced_below: 8, mark: JournalMark::from_bytes([3; 16]) }),
        }
    }

    fn entry_of(header: EntryHeader) -> Vec<u8> {
        let mut entry = header.encode([&b"ba"[..], b"tch"])[..header.header_len()].to_vec();
        entry.extend(b"batch");
        entry
    }

    fn entry() -> Vec<u8> {
        entry_of(header())
    }

    #[test]
    fn an_entry_reads_back() {
        for (header, len) in [(header(), 64), (EntryHeader { proof: None, ..header() }, 40)] {
            let entry = entry_of(header);
            assert!(is_intact(&entry));
            assert_eq!(EntryHeader::decode(&entry), Some(header));
            assert_eq!((header.header_len(), header.total_len()), (len, entry.len()));
        }
    }

    #[test]
    fn the_mark_is_where_it_is_looked_for() {
        assert_eq!(entry()[BEFORE_MARK..ENTRY_HEADER_LEN], [3; 16]);
    }

    #[test]
    fn an_entry_of_an_early_build_is_read() {
        let mut entry = vec![0, 0, 0, 5];
        entry.extend([0, 0, 0, 0, 0, 0, 0, 2]);
        entry.extend([0, 0, 0, 0, 0, 0, 0, 9]);
        entry.extend([7; 16]);
        entry.extend(b"batch");
        entry.splice(0..0, crc32c(&entry).to_be_bytes());
        assert!(is_intact(&entry));
        assert_eq!(EntryHeader::decode(&entry), Some(EntryHeader { proof: None, ..header() }));
    }

    #[test]
    fn an_entry_that_proves_what_came_after_it_is_none_of_ours() {
        let proof = header().proof.map(|proof| Proof { synced_below: 10, ..proof });
        assert_eq!(EntryHeader::decode(&entry_of(EntryHeader { proof, ..header() })), None);
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        for bit in 0..entry().len() * 8 {
            let mut entry = entry();
            entry[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_intact(&entry), "bit {bit}");
        }
    }

    #[test]
    fn a_position_that_nobody_came_to_is_none_of_ours() {
        let position = JournalPosition { generation: 0, sequence: 1 << 63 };
        for proof in [None, header().proof] {
            let header = EntryHeader { position, proof, ..header() };
            assert_eq!(EntryHeader::decode(&header.encode([&b"batch"[..]])), None);
        }
    }

    #[test]
    fn zeros_are_no_entry() {
        assert!(!is_intact(&[0; 64]));
    }
}
