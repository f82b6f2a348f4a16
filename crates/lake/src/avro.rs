//! Avro as bytes: datums walked without decoding them, container files written around them.
//!
//! A datum on the topic is already what a container file holds between its block headers, so it
//! goes from one to the other unchanged; walking it proves that a reader of its schema can read it.

mod codec;
mod container;
mod datum;
mod scan;
mod shape;
mod wire_format;

pub use codec::{BlockEncoder, Codec, UnknownCodec};
pub use container::{Header, SyncMarker};
pub use datum::{Captured, InvalidDatum};
pub use scan::{ContainerScan, InvalidContainer};
pub use shape::{Meaning, Shape, UnreadableSchema};
pub use wire_format::{InvalidFraming, unframe};

/// Appends a `long` as Avro encodes it: zigzag, then base 128, low bits first.
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends `bytes` as Avro encodes bytes and strings: their length, then themselves.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    out.extend_from_slice(bytes);
}

/// Takes a `long` off the front: its value and what follows. `None` if the bytes end within it or
/// it has more than 64 bits.
pub(crate) fn take_long(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = 0_u64;
    let mut shift = 0;
    let mut rest = bytes;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && 1 < low {
            return None;
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            let magnitude = (value >> 1).cast_signed();
            return Some((if value & 1 == 0 { magnitude } else { !magnitude }, rest));
        }
        shift += 7;
        if 63 < shift {
            return None;
        }
    }
}
