//! The sparse index of one segment: where batches begin, and how new the records before them are.
//!
//! One list answers both questions that readers have, "where is this offset" and "where is this
//! time". It is derived from the segment and never evidence about it: whoever follows an entry
//! checks what lies there.

use types::{LogId, Offset, Timestamp};

use crate::checksum::crc32c;
use crate::resync::Place;

/// A batch begins at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// Base offset of the batch, counted from the segment's.
    pub(crate) relative_offset: u32,
    /// Where it begins, in bytes from the segment's start.
    pub(crate) position: u32,
    /// Largest timestamp in the segment before it.
    pub(crate) newest_before: Timestamp,
}

impl IndexEntry {
    /// Where the batch begins, in a segment that begins at `base`.
    pub(crate) fn place(self, base: Offset) -> Option<Place> {
        let offset = base.checked_add(u64::from(self.relative_offset))?;
        Some(Place { position: u64::from(self.position), offset })
    }
}

/// Older than every record: what comes before the first one.
pub(crate) const BEFORE_ALL: Timestamp = Timestamp::from_millis(i64::MIN);

/// Entries in the order of the segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    entries: Vec<IndexEntry>,
}

/// Where to look in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// A batch begins here, at or before the one that is sought.
    pub(crate) position: u64,
    /// Base offset of that batch, counted from the segment's.
    pub(crate) relative_offset: u32,
    /// Bytes to the next entry, within which the batch begins; `None` behind the last.
    pub(crate) span: Option<u64>,
    /// Largest timestamp in the segment before `position`.
    pub(crate) newest_before: Timestamp,
}

impl Lookup {
    /// Where that batch begins, in a segment that begins at `base`.
    pub(crate) fn place(&self, base: Offset) -> Place {
        // A segment has no offset that its base cannot be counted to.
        let offset = base.checked_add(u64::from(self.relative_offset)).unwrap_or(base);
        Place { position: self.position, offset }
    }
}

impl Index {
    /// Notes a batch unless one less than `interval` bytes before it is noted. The first batch of
    /// a segment needs no entry.
    pub(crate) fn note(&mut self, interval: u32, entry: IndexEntry) {
        let last = self.entries.last().map_or(0, |last| last.position);
        if entry.position.saturating_sub(last) >= interval.max(1) {
            self.entries.push(entry);
        }
    }

    /// Where to look for an offset, counted from the segment's base.
    pub(crate) fn find_offset(&self, relative_offset: u32) -> Lookup {
        let behind = self.entries.partition_point(|entry| entry.relative_offset <= relative_offset);
        let lookup = self.lookup(behind);
        let last = behind.checked_sub(1).and_then(|place| self.entries.get(place));
        // Whoever reads on where it left off mostly does so at the beginning of a batch, and needs
        // nothing before it.
        if last.map_or(0, |last| last.relative_offset) == relative_offset {
            return Lookup { span: Some(0), ..lookup };
        }
        lookup
    }

    /// Where to look for the first record that is not older than `timestamp`.
    pub(crate) fn find_timestamp(&self, timestamp: Timestamp) -> Lookup {
        self.lookup(self.entries.partition_point(|entry| entry.newest_before < timestamp))
    }

    fn lookup(&self, entries_at_or_before: usize) -> Lookup {
        let (before, after) =
            self.entries.split_at_checked(entries_at_or_before).unwrap_or_default();
        let first = IndexEntry { relative_offset: 0, position: 0, newest_before: BEFORE_ALL };
        let IndexEntry { relative_offset, position, newest_before } =
            before.last().copied().unwrap_or(first);
        let position = u64::from(position);
        let span = after.first().map(|next| u64::from(next.position).saturating_sub(position));
        Lookup { position, relative_offset, span, newest_before }
    }

    /// All entries, in the order of the segment.
    pub(crate) fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// The first entry behind `position`.
    pub(crate) fn entry_behind(&self, position: u64) -> Option<IndexEntry> {
        let behind = self.entries.partition_point(|entry| u64::from(entry.position) <= position);
        self.entries.get(behind).copied()
    }

    /// Forgets what begins at or behind `position`.
    pub(crate) fn truncate(&mut self, position: u64) {
        let kept = self.entries.partition_point(|entry| u64::from(entry.position) < position);
        self.entries.truncate(kept);
    }
}

/// What a stored index says about its segment, which was whole and durable when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The life of the log that the segment belongs to.
    pub(crate) log_id: LogId,
    /// Bytes of the segment.
    pub(crate) segment_len: u64,
    /// Behind the last offset of the segment.
    pub(crate) end: Offset,
    /// Largest timestamp in the segment.
    pub(crate) newest: Timestamp,
    /// When its last batch was appended, by the writer's clock.
    pub(crate) written: Timestamp,
}

const MAGIC: [u8; 4] = *b"DLX2";
const ENTRY_LEN: usize = 16;
/// Bytes of the footer, which ends the file.
pub(crate) const FOOTER_LEN: usize = 16 + 8 + 8 + 8 + 8 + 4 + 4 + 4 + 4;

/// The stored form: entries, then a footer that can be checked without them.
pub(crate) fn encode(index: &Index, seal: Seal) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(index.entries.len() * ENTRY_LEN + FOOTER_LEN);
    for entry in &index.entries {
        bytes.extend(entry.relative_offset.to_be_bytes());
        bytes.extend(entry.position.to_be_bytes());
        bytes.extend(entry.newest_before.as_millis().to_be_bytes());
    }
    let mut footer = Vec::with_capacity(FOOTER_LEN);
    footer.extend(seal.log_id.to_bytes());
    footer.extend(seal.segment_len.to_be_bytes());
    footer.extend(seal.end.get().to_be_bytes());
    footer.extend(seal.newest.as_millis().to_be_bytes());
    footer.extend(seal.written.as_millis().to_be_bytes());
    // Positions fit 32 bits, so the number of entries does.
    footer.extend(u32::try_from(index.entries.len()).unwrap_or(u32::MAX).to_be_bytes());
    footer.extend(crc32c(&bytes).to_be_bytes());
    footer.extend(MAGIC);
    footer.extend(crc32c(&footer).to_be_bytes());
    bytes.extend(footer);
    bytes
}

/// Reads the footer of a stored index that has `file_len` bytes in all.
pub(crate) fn decode_footer(footer: &[u8; FOOTER_LEN], file_len: u64) -> Option<Seal> {
    let (seal, _crc, entries_len) = split_footer(footer)?;
    (entries_len.checked_add(FOOTER_LEN as u64) == Some(file_len)).then_some(seal)
}

/// Reads a whole stored index.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Index, Seal)> {
    let (stored, footer) = bytes.split_last_chunk::<FOOTER_LEN>()?;
    let (seal, crc, entries_len) = split_footer(footer)?;
    if stored.len() as u64 != entries_len || crc32c(stored) != crc {
        return None;
    }
    let (chunks, _none) = stored.as_chunks::<ENTRY_LEN>();
    let entries = chunks.iter().map(decode_entry).collect::<Option<_>>()?;
    Some((Index { entries }, seal))
}

fn decode_entry(bytes: &[u8; ENTRY_LEN]) -> Option<IndexEntry> {
    let (relative_offset, rest) = bytes.split_first_chunk::<4>()?;
    let (position, rest) = rest.split_first_chunk::<4>()?;
    let newest_before = rest.first_chunk::<8>()?;
    Some(IndexEntry {
        relative_offset: u32::from_be_bytes(*relative_offset),
        position: u32::from_be_bytes(*position),
        newest_before: Timestamp::from_millis(i64::from_be_bytes(*newest_before)),
    })
}

/// The seal, the checksum of the entries, and how many bytes they have.
fn split_footer(footer: &[u8; FOOTER_LEN]) -> Option<(Seal, u32, u64)> {
    let (fields, crc) = footer.split_last_chunk::<4>()?;
    if crc32c(fields) != u32::from_be_bytes(*crc) {
        return None;
    }
    let (log_id, rest) = fields.split_first_chunk::<16>()?;
    let (segment_len, rest) = rest.split_first_chunk::<8>()?;
    let (end, rest) = rest.split_first_chunk::<8>()?;
    let (newest, rest) = rest.split_first_chunk::<8>()?;
    let (written, rest) = rest.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (entries_crc, magic) = rest.split_first_chunk::<4>()?;
    if magic != MAGIC {
        return None;
    }
    let seal = Seal {
        log_id: LogId::from_bytes(*log_id),
        segment_len: u64::from_be_bytes(*segment_len),
        end: Offset::ZERO.checked_add(u64::from_be_bytes(*end))?,
        newest: Timestamp::from_millis(i64::from_be_bytes(*newest)),
        written: Timestamp::from_millis(i64::from_be_bytes(*written)),
    };
    let entries_len = u64::from(u32::from_be_bytes(*count)) * ENTRY_LEN as u64;
    Some((seal, u32::from_be_bytes(*entries_crc), entries_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(relative_offset: u32, position: u32, newest_before: i64) -> IndexEntry {
        let newest_before = Timestamp::from_millis(newest_before);
        IndexEntry { relative_offset, position, newest_before }
    }

    fn index() -> Index {
        Index { entries: vec![entry(10, 100, 5), entry(20, 200, 5), entry(30, 300, 9)] }
    }

    fn seal() -> Seal {
        Seal {
            log_id: LogId::from_bytes([1; 16]),
            segment_len: 345,
            end: Offset::new(40),
            newest: Timestamp::from_millis(12),
            written: Timestamp::from_millis(13),
        }
    }

    #[test]
    fn an_offset_is_sought_from_the_last_entry_not_behind_it() {
        let position = |offset| index().find_offset(offset).position;
        assert_eq!([0, 9, 10, 19, 20, 99].map(position), [0, 0, 100, 100, 200, 300]);
        assert_eq!(index().find_offset(15).span, Some(100));
        assert_eq!([0, 10, 30].map(|exact| index().find_offset(exact).span), [Some(0); 3]);
        assert_eq!(index().find_offset(31).span, None);
    }

    #[test]
    fn a_time_is_sought_from_the_last_entry_before_which_all_is_older() {
        let position = |millis| index().find_timestamp(Timestamp::from_millis(millis)).position;
        assert_eq!([0, 5, 6, 9, 10].map(position), [0, 0, 200, 200, 300]);
    }

    #[test]
    fn entries_keep_their_distance() {
        let mut sparse = Index::default();
        for position in (0..1000).step_by(30) {
            sparse.note(100, entry(position, position, 0));
        }
        let positions: Vec<u32> = sparse.entries.iter().map(|entry| entry.position).collect();
        assert_eq!(positions, [120, 240, 360, 480, 600, 720, 840, 960]);
    }

    #[test]
    fn a_cut_segment_has_no_entry_behind_the_cut() {
        let mut index = index();
        index.truncate(200);
        assert_eq!(index.entries, [entry(10, 100, 5)]);
    }

    #[test]
    fn a_stored_index_reads_back() {
        let bytes = encode(&index(), seal());
        assert_eq!(decode(&bytes), Some((index(), seal())));
        let footer = bytes.last_chunk().unwrap();
        assert_eq!(decode_footer(footer, bytes.len() as u64), Some(seal()));
        assert_eq!(decode_footer(footer, bytes.len() as u64 + 1), None);
    }

    #[test]
    fn a_flipped_bit_in_a_stored_index_is_noticed() {
        let bytes = encode(&index(), seal());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
        assert_eq!(decode(&bytes[1..]), None);
        assert_eq!(decode(&[]), None);
    }
}
