use thiserror::Error;
use types::SchemaId;

/// Why a payload is not in Confluent's wire format: `0x00`, the schema id in four bytes big
/// endian, the datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidFraming {
    /// Fewer than five bytes.
    #[error("the payload has {length} bytes; the magic byte and the schema id alone take 5")]
    TooShort {
        /// Bytes in the payload.
        length: usize,
    },
    /// The first byte is not 0.
    #[error("the payload begins with {found:#04x}, not with the magic byte 0x00")]
    BadMagic {
        /// The first byte.
        found: u8,
    },
}

/// Takes a payload apart: the id of the writer's schema, and the datum.
///
/// # Errors
///
/// [`InvalidFraming`] when it is no payload of that form.
pub fn unframe(payload: &[u8]) -> Result<(SchemaId, &[u8]), InvalidFraming> {
    let short = InvalidFraming::TooShort { length: payload.len() };
    match payload.split_first() {
        Some((0, rest)) => {
            let (id, datum) = rest.split_first_chunk().ok_or(short)?;
            Ok((SchemaId::new(u32::from_be_bytes(*id)), datum))
        }
        Some((found, _)) => Err(InvalidFraming::BadMagic { found: *found }),
        None => Err(short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_falls_into_schema_id_and_datum() {
        assert_eq!(unframe(&[0, 0, 0, 1, 2, 9, 8]), Ok((SchemaId::new(258), &[9, 8][..])));
        assert_eq!(unframe(&[0, 0, 0, 0, 1]), Ok((SchemaId::new(1), &[][..])));
    }

    #[test]
    fn a_payload_of_another_form_says_what_is_wrong() {
        assert_eq!(unframe(&[]), Err(InvalidFraming::TooShort { length: 0 }));
        assert_eq!(unframe(&[0, 0, 0]), Err(InvalidFraming::TooShort { length: 3 }));
        assert_eq!(unframe(b"{\"a\":1}"), Err(InvalidFraming::BadMagic { found: b'{' }));
    }
}
