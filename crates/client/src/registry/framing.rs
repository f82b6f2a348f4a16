//! Confluent's wire format: a zero, the schema's id in four bytes, the datum.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;
use types::SchemaId;

const MAGIC: u8 = 0;

/// Bytes before the datum.
pub const FRAME_LEN: usize = 5;

/// A payload that does not begin as the wire format has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotFramed {
    /// It begins with another byte.
    #[error("the payload begins with byte {found:#04x}; one with a schema id begins with 0x00")]
    Magic {
        /// The byte.
        found: u8,
    },
    /// It is too short to hold an id.
    #[error("the payload has {length} bytes; one with a schema id has 5 at least")]
    TooShort {
        /// How many there are.
        length: usize,
    },
}

/// The payload of a datum that was written with the schema of this id.
pub fn frame(id: SchemaId, datum: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(FRAME_LEN + datum.len());
    payload.put_u8(MAGIC);
    payload.put_u32(id.get());
    payload.put_slice(datum);
    payload.freeze()
}

/// Takes a payload apart into the id and the datum.
///
/// # Errors
///
/// [`NotFramed`]: a payload of another kind, or a damaged one.
pub fn unframe(payload: &[u8]) -> Result<(SchemaId, &[u8]), NotFramed> {
    match payload.split_first_chunk::<FRAME_LEN>() {
        Some(([MAGIC, id @ ..], datum)) => Ok((SchemaId::new(u32::from_be_bytes(*id)), datum)),
        Some(([found, ..], _)) => Err(NotFramed::Magic { found: *found }),
        None => Err(NotFramed::TooShort { length: payload.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_a_zero_and_the_id_in_network_order() {
        let payload = frame(SchemaId::new(0x0102_0304), b"datum");
        assert_eq!(payload.as_ref(), b"\x00\x01\x02\x03\x04datum");
        assert_eq!(unframe(&payload), Ok((SchemaId::new(0x0102_0304), &b"datum"[..])));
    }

    #[test]
    fn a_datum_may_be_empty() {
        assert_eq!(unframe(&[0, 0, 0, 0, 7]), Ok((SchemaId::new(7), &[][..])));
    }

    #[test]
    fn payloads_of_another_kind_are_told_apart() {
        assert_eq!(unframe(b"{\"a\":1}"), Err(NotFramed::Magic { found: b'{' }));
        assert_eq!(unframe(&[0, 0, 0, 0]), Err(NotFramed::TooShort { length: 4 }));
    }
}
