//! Where each thing lies in the store. A subject holds no control characters, so a zero byte ends
//! it; numbers are big-endian, so that they sort.

use types::SchemaId;

pub(super) const FORMAT: &[u8] = b"format";
pub(super) const NEXT_ID: &[u8] = b"next-id";
/// All versions of all subjects, by subject and version.
pub(super) const VERSIONS: &[u8] = b"version\0";

/// The pieces of one schema.
pub(super) fn schema(id: SchemaId) -> Vec<u8> {
    with_number(b"schema\0".to_vec(), id.get())
}

/// One piece of a schema.
pub(super) fn schema_piece(id: SchemaId, piece: u32) -> Vec<u8> {
    with_number(schema(id), piece)
}

/// The id of a content.
pub(super) fn content(hash: &[u8; 16]) -> Vec<u8> {
    [b"content\0", hash.as_slice()].concat()
}

/// All versions of one subject.
pub(super) fn versions(subject: &str) -> Vec<u8> {
    [VERSIONS, subject.as_bytes(), b"\0"].concat()
}

/// One version of one subject.
pub(super) fn version(subject: &str, version: u32) -> Vec<u8> {
    with_number(versions(subject), version)
}

/// Grows with every change to a subject's versions, or to what refers to them.
pub(super) fn revision(subject: &str) -> Vec<u8> {
    [b"revision\0", subject.as_bytes()].concat()
}

/// All versions that have one schema.
pub(super) fn uses(id: SchemaId) -> Vec<u8> {
    with_number(b"use\0".to_vec(), id.get())
}

/// One version that has one schema.
pub(super) fn used(id: SchemaId, subject: &str, version: u32) -> Vec<u8> {
    with_number([uses(id).as_slice(), subject.as_bytes(), b"\0"].concat(), version)
}

/// All schemas that refer to one version.
pub(super) fn referrers(subject: &str, version: u32) -> Vec<u8> {
    with_number([b"referrer\0", subject.as_bytes(), b"\0"].concat(), version)
}

/// One schema that refers to one version.
pub(super) fn referrer(subject: &str, version: u32, id: SchemaId) -> Vec<u8> {
    with_number(referrers(subject, version), id.get())
}

/// The settings of a subject, or of the registry.
pub(super) fn config(subject: Option<&str>) -> Vec<u8> {
    scoped(b"config", subject)
}

/// The mode of a subject, or of the registry.
pub(super) fn mode(subject: Option<&str>) -> Vec<u8> {
    scoped(b"mode", subject)
}

fn scoped(what: &[u8], subject: Option<&str>) -> Vec<u8> {
    match subject {
        Some(subject) => [what, b"\0", subject.as_bytes()].concat(),
        None => what.to_vec(),
    }
}

fn with_number(mut key: Vec<u8>, number: u32) -> Vec<u8> {
    key.extend(number.to_be_bytes());
    key
}

/// Reads `subject \0 number` behind a prefix of `skip` bytes.
pub(super) fn subject_and_number(key: &[u8], skip: usize) -> Option<(String, u32)> {
    let (_, rest) = key.split_at_checked(skip)?;
    let (rest, number) = rest.split_last_chunk::<4>()?;
    let (end, subject) = rest.split_last()?;
    let subject = String::from_utf8(subject.to_vec()).ok()?;
    (*end == 0).then_some((subject, u32::from_be_bytes(*number)))
}

/// Reads the number at the end of a key.
pub(super) fn last_number(key: &[u8]) -> Option<u32> {
    key.last_chunk().map(|number| u32::from_be_bytes(*number))
}
