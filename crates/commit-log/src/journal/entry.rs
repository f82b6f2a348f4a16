//! One entry: a header, then batches of one log exactly as its segments hold them.

use types::LogId;

use crate::checkpoint::JournalPosition;
use crate::checksum::{Crc32c, crc32c};

/// Bytes before the batches of an entry.
pub(crate) const ENTRY_HEADER_LEN: usize = CRC_LEN + FIELDS_LEN;
const CRC_LEN: usize = 4;
const FIELDS_LEN: usize = 4 + 8 + 8 + 16;

/// What stands before the batches of an entry, behind its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) position: JournalPosition,
    pub(crate) log: LogId,
    /// Bytes of the batches.
    pub(crate) len: u32,
}

impl EntryHeader {
    /// The stored form: a checksum over all that follows it, then the fields.
    pub(crate) fn encode<'a>(
        self,
        batches: impl IntoIterator<Item = &'a [u8]>,
    ) -> [u8; ENTRY_HEADER_LEN] {
        let mut fields = [0; FIELDS_LEN];
        let bytes = (self.len.to_be_bytes().into_iter())
            .chain(self.position.generation.to_be_bytes())
            .chain(self.position.sequence.to_be_bytes())
            .chain(self.log.to_bytes());
        fill(&mut fields, bytes);
        let mut crc = Crc32c::new();
        crc.update(&fields);
        batches.into_iter().for_each(|part| crc.update(part));
        let mut header = [0; ENTRY_HEADER_LEN];
        fill(&mut header, crc.finish().to_be_bytes().into_iter().chain(fields));
        header
    }

    /// Reads a header without looking at its checksum; `None` if it cannot be one.
    pub(crate) fn decode(header: &[u8]) -> Option<Self> {
        let (_crc, fields) = header.split_first_chunk::<CRC_LEN>()?;
        let (len, fields) = fields.split_first_chunk::<4>()?;
        let (generation, fields) = fields.split_first_chunk::<8>()?;
        let (sequence, fields) = fields.split_first_chunk::<8>()?;
        let (log, _batches) = fields.split_first_chunk::<16>()?;
        let position = JournalPosition {
            generation: u64::from_be_bytes(*generation),
            sequence: u64::from_be_bytes(*sequence),
        };
        position.was_counted().then(|| Self {
            position,
            log: LogId::from_bytes(*log),
            len: u32::from_be_bytes(*len),
        })
    }

    /// Bytes of the whole entry.
    pub(crate) fn total_len(self) -> usize {
        ENTRY_HEADER_LEN.saturating_add(usize::try_from(self.len).unwrap_or(usize::MAX))
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
        }
    }

    fn entry() -> Vec<u8> {
        let mut entry = header().encode([&b"ba"[..], b"tch"]).to_vec();
        entry.extend(b"batch");
        entry
    }

    #[test]
    fn an_entry_reads_back() {
        assert!(is_intact(&entry()));
        assert_eq!(EntryHeader::decode(&entry()), Some(header()));
        assert_eq!(header().total_len(), entry().len());
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
        for (generation, sequence) in [(1 << 63, 0), (0, 1 << 63)] {
            let position = JournalPosition { generation, sequence };
            let header = EntryHeader { position, ..header() };
            assert_eq!(EntryHeader::decode(&header.encode([&b"batch"[..]])), None);
        }
    }

    #[test]
    fn zeros_are_no_entry() {
        assert!(!is_intact(&[0; 64]));
    }
}
