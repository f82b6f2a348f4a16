//! Gives bytes the checksums, lengths and magic numbers that would be right for them, so that what
//! lies behind those is reached too. Formats as the crates that own them document.

use std::path::Path;

use crc_fast::CrcAlgorithm;
use record::HEADER_LEN;

/// What the entries of all journals bear here.
pub const MARK: [u8; 16] = *b"the fuzzers' own";

/// Files of a data directory that have checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `directory.meta`
    Identity,
    /// `checkpoint`
    Checkpoint,
    /// `partition.meta`
    Meta,
    /// `*.index`
    Index,
    /// `*.producers`
    Producers,
    /// `*.journal`
    Journal,
    /// `*.log`
    Segment,
    /// None of these.
    Other,
}

impl Kind {
    /// The kind of a file by its name.
    pub fn of(path: &Path) -> Self {
        let part =
            |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str().map(str::to_owned));
        match (part(path.file_name()).as_deref(), part(path.extension()).as_deref()) {
            (Some("directory.meta"), _) => Self::Identity,
            (Some("checkpoint"), _) => Self::Checkpoint,
            (Some("partition.meta"), _) => Self::Meta,
            (_, Some("index")) => Self::Index,
            (_, Some("producers")) => Self::Producers,
            (_, Some("journal")) => Self::Journal,
            (_, Some("log")) => Self::Segment,
            _ => Self::Other,
        }
    }
}

/// CRC32C.
pub fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes)).expect("it has 32 bits")
}

/// Makes `bytes` pass for a file of a kind.
pub fn seal(kind: Kind, bytes: &mut [u8]) {
    match kind {
        Kind::Identity => around(b"DLD1", bytes),
        Kind::Checkpoint => checkpoint(bytes),
        Kind::Meta => bytes.chunks_mut(SLOT_STRIDE).for_each(slot),
        Kind::Index => index(bytes),
        Kind::Producers => around(b"DLP1", bytes),
        Kind::Journal => journal(bytes),
        Kind::Segment => batches(bytes),
        Kind::Other => {}
    }
}

/// Makes sure that this module still knows the formats: a whole file is sealed as it is.
pub fn holds(path: &Path, file: &[u8]) {
    let kind = Kind::of(path);
    // Behind the entries of a journal lie parts of older ones.
    let len = if kind == Kind::Journal { first_entry(file) } else { file.len() };
    let mut sealed = file[..len].to_vec();
    seal(kind, &mut sealed);
    assert_eq!(sealed, file[..len], "{} has another format", path.display());
}

/// Magic at the front, the checksum of all before it at the end.
fn around(magic: &[u8; 4], bytes: &mut [u8]) {
    let Some((fields, crc)) = bytes.split_last_chunk_mut::<4>() else { return };
    if let Some(front) = fields.first_chunk_mut() {
        *front = *magic;
    }
    *crc = crc32c(fields).to_be_bytes();
}

/// As early builds wrote it, unless it says that it is of this one.
fn checkpoint(bytes: &mut [u8]) {
    const POINT: usize = 32;
    const MARK_AT: usize = 4;
    const NUMBERS_OF_LIFE: usize = 4 * 8;
    let (magic, count_at) = match bytes.get(..MARK_AT) {
        Some(b"DLC2") => (b"DLC2", MARK_AT + MARK.len() + NUMBERS_OF_LIFE),
        _ => (b"DLC1", MARK_AT),
    };
    let mark = bytes.get_mut(MARK_AT..MARK_AT + MARK.len()).filter(|_| magic == b"DLC2");
    if let Some(mark) = mark.filter(|mark| mark.iter().any(|byte| *byte != 0)) {
        mark.copy_from_slice(&MARK);
    }
    let around_points = count_at + 4 + 16 + 4;
    let points = bytes.len().saturating_sub(around_points) / POINT;
    if let Some(count) = bytes.get_mut(count_at..count_at + 4) {
        count.copy_from_slice(&u32::try_from(points).expect("short").to_be_bytes());
    }
    around(magic, bytes);
}

const SLOT_STRIDE: usize = 4096;
const SLOT_LEN: usize = 96;

fn slot(bytes: &mut [u8]) {
    if let Some(slot) = bytes.first_chunk_mut::<SLOT_LEN>() {
        around(b"DLM2", slot);
    }
}

fn index(bytes: &mut [u8]) {
    const FOOTER: usize = 64;
    const ENTRY: usize = 16;
    let Some((entries, footer)) = bytes.split_last_chunk_mut::<FOOTER>() else { return };
    let count = u32::try_from(entries.len() / ENTRY).expect("short");
    footer[48..52].copy_from_slice(&count.to_be_bytes());
    footer[52..56].copy_from_slice(&crc32c(entries).to_be_bytes());
    footer[56..60].copy_from_slice(b"DLX2");
    let crc = crc32c(&footer[..60]);
    footer[60..].copy_from_slice(&crc.to_be_bytes());
}

/// Bytes before the batches of an entry, as early builds wrote them, and before the mark of one.
const OLD_ENTRY_HEADER: usize = 40;
const BEFORE_MARK: usize = 48;

/// Bytes before the batches of the entry at the front: the highest bit of its generation tells.
fn entry_header(entry: &[u8]) -> usize {
    let is_old = entry.get(8).is_none_or(|byte| byte & 128 == 0);
    if is_old { OLD_ENTRY_HEADER } else { BEFORE_MARK + MARK.len() }
}

/// Bytes of the first entry of a journal's file, if there is one.
fn first_entry(file: &[u8]) -> usize {
    let Some(header) = file.get(..entry_header(file)) else { return 0 };
    let len = u32::from_be_bytes(header[4..8].try_into().expect("four"));
    if header.iter().all(|byte| *byte == 0) { 0 } else { header.len() + len as usize }
}

/// Seals entry by entry, as far as they say anything. One that reaches beyond the end of the file
/// ends there.
fn journal(mut rest: &mut [u8]) {
    while 0 < first_entry(rest) {
        let len = first_entry(rest).min(rest.len());
        let header = entry_header(rest);
        let stored = u32::try_from(len - header).expect("short");
        rest[4..8].copy_from_slice(&stored.to_be_bytes());
        let (entry, behind) = rest.split_at_mut(len);
        batches(&mut entry[header..]);
        if header != OLD_ENTRY_HEADER {
            entry[BEFORE_MARK..header].copy_from_slice(&MARK);
        }
        let crc = crc32c(&entry[4..]);
        entry[..4].copy_from_slice(&crc.to_be_bytes());
        rest = behind;
    }
}

/// Seals batch by batch. One that is too short to be one, or reaches beyond the end, ends there.
pub fn batches(mut rest: &mut [u8]) {
    const LENGTH_END: usize = 12;
    while HEADER_LEN <= rest.len() {
        let len = i32::from_be_bytes(rest[8..LENGTH_END].try_into().expect("four"));
        let len = usize::try_from(len).map_or(0, |len| len + LENGTH_END);
        let len = if (HEADER_LEN..=rest.len()).contains(&len) { len } else { rest.len() };
        let stored = i32::try_from(len - LENGTH_END).expect("short");
        rest[8..LENGTH_END].copy_from_slice(&stored.to_be_bytes());
        rest[16] = 2;
        let (batch, behind) = rest.split_at_mut(len);
        let crc = crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        rest = behind;
    }
}
