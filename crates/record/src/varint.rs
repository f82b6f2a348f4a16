//! Kafka's variable-length integers: zigzag, then seven bits a byte, lowest first.

/// Most bytes that a 64-bit integer takes.
pub(crate) const MAX_LEN: usize = 10;

#[expect(clippy::cast_sign_loss, reason = "zigzag is a bijection of the bits")]
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[expect(clippy::cast_possible_wrap, reason = "zigzag is a bijection of the bits")]
const fn unzigzag(bits: u64) -> i64 {
    ((bits >> 1) as i64) ^ -((bits & 1) as i64)
}

/// How many bytes [`put`] writes.
pub(crate) const fn len(value: i64) -> usize {
    // One byte for each seven bits begun; 0 has one byte too.
    ((64 + 6 - (zigzag(value) | 1).leading_zeros()) / 7) as usize
}

/// Appends an integer.
#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
#[inline]
pub(crate) fn put(buffer: &mut Vec<u8>, value: i64) {
    let mut bits = zigzag(value);
    while 0x80 <= bits {
        buffer.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    buffer.push(bits as u8);
}

/// Reads an integer off the front; `None` if there is none or it has more than 64 bits.
#[inline]
pub(crate) fn take(rest: &mut &[u8]) -> Option<i64> {
    let (first, behind) = rest.split_first()?;
    if *first < 0x80 {
        *rest = behind;
        return Some(unzigzag(u64::from(*first)));
    }
    take_long(rest)
}

fn take_long(rest: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    for (at, byte) in rest.iter().enumerate().take(MAX_LEN) {
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if at == MAX_LEN - 1 && 1 < part {
            return None;
        }
        bits |= part << (7 * at);
        if *byte < 0x80 {
            *rest = rest.get(at + 1..)?;
            return Some(unzigzag(bits));
        }
    }
    None
}

/// Like [`take`], for a field that Kafka holds in 32 bits.
#[inline]
pub(crate) fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    i32::try_from(take(rest)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_integer_reads_back_and_has_the_length_foretold(value: i64, shift in 0_u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            prop_assert_eq!(bytes.len(), len(value));
            bytes.push(0xff);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take(&mut rest), Some(value));
            prop_assert_eq!(rest, &[0xff][..]);
        }

        #[test]
        fn any_bytes_are_an_integer_or_none(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = bytes.as_slice();
            let taken = take(&mut rest);
            prop_assert_eq!(taken.is_none(), rest.len() == bytes.len());
        }
    }

    #[test]
    fn an_integer_of_more_than_64_bits_is_none() {
        let mut eleven: &[u8] = &[0x80; 11];
        assert_eq!(take(&mut eleven), None);
        let mut sixty_five: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert_eq!(take(&mut sixty_five), None);
    }
}
