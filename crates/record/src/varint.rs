//! Kafka's variable-length integers: zigzag, then seven bits a byte, lowest first.

/// Most bytes that a 64-bit integer takes.
pub(crate) const MAX_LEN: usize = 10;
/// Most bytes that a 32-bit integer takes.
const MAX_LEN_I32: usize = 5;
/// Most bytes of an integer that is read as one word.
const MAX_LEN_BY_WORD: usize = 8;

#[expect(clippy::cast_sign_loss, reason = "zigzag is a bijection of the bits")]
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[expect(clippy::cast_possible_wrap, reason = "zigzag is a bijection of the bits")]
const fn unzigzag(bits: u64) -> i64 {
    ((bits >> 1) as i64) ^ -((bits & 1) as i64)
}

#[expect(clippy::cast_possible_wrap, reason = "zigzag is a bijection of the bits")]
const fn unzigzag_i32(bits: u32) -> i32 {
    ((bits >> 1) as i32) ^ -((bits & 1) as i32)
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
pub(crate) fn take(rest: &mut &[u8]) -> Option<i64> {
    take_by_byte(rest, next)
}

/// Like [`take`], for a field that Kafka holds in 32 bits.
pub(crate) fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    take_by_byte(rest, next_i32)
}

/// What is no integer stays where it is.
fn take_by_byte<T>(
    rest: &mut &[u8],
    read: impl Fn(&mut dyn FnMut() -> Option<u8>) -> Option<T>,
) -> Option<T> {
    let mut ahead = *rest;
    let taken = read(&mut || {
        let (byte, behind) = ahead.split_first()?;
        ahead = behind;
        Some(*byte)
    })?;
    *rest = ahead;
    Some(taken)
}

/// Like [`take`], at a fraction of the cost, but `None` as well for an integer of nine bytes or ten
/// and for one with fewer than eight bytes from its first to the end.
#[inline]
pub(crate) fn take_by_word(rest: &mut &[u8]) -> Option<i64> {
    take_word(rest, MAX_LEN_BY_WORD).map(unzigzag)
}

/// [`take_by_word`] for [`take_i32`].
#[inline]
pub(crate) fn take_i32_by_word(rest: &mut &[u8]) -> Option<i32> {
    let bits = take_word(rest, MAX_LEN_I32)?;
    u32::try_from(bits).ok().map(unzigzag_i32)
}

/// An integer of so many bytes at most, before its sign is put in place.
///
/// Within a batch their number hardly ever changes from one record to the next, so that the
/// processor foresees which way it goes here.
#[inline]
fn take_word(rest: &mut &[u8], most: usize) -> Option<u64> {
    let word = u64::from_le_bytes(*rest.first_chunk()?);
    let (bits, bytes) = if word & 0x80 == 0 {
        (word & 0x7f, 1)
    } else if word & 0x8000 == 0 {
        (word & 0x7f | word >> 1 & 0x3f80, 2)
    } else {
        gathered(word, most)?
    };
    *rest = rest.get(bytes..)?;
    Some(bits)
}

/// The integer at the low end of `word`, seven bits of each byte, and its length, if that is not
/// more than `most`.
#[inline]
const fn gathered(word: u64, most: usize) -> Option<(u64, usize)> {
    let ends = !word & 0x8080_8080_8080_8080;
    let bytes = ends.trailing_zeros() as usize / 8 + 1;
    // Without an end these are nine.
    if most < bytes {
        return None;
    }
    let bits = word & (ends ^ (ends - 1)) & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = bits & 0x007f_007f_007f_007f | (bits & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    Some((fours & 0x0fff_ffff | fours >> 32 << 28, bytes))
}

/// Reads an integer byte by byte; `None` if there is none or it has more than 64 bits.
pub(crate) fn next(next_byte: &mut dyn FnMut() -> Option<u8>) -> Option<i64> {
    next_bits(next_byte, MAX_LEN).map(unzigzag)
}

/// Like [`next`], for a field that Kafka holds in 32 bits: it reads five bytes at most.
pub(crate) fn next_i32(next_byte: &mut dyn FnMut() -> Option<u8>) -> Option<i32> {
    let bits = next_bits(next_byte, MAX_LEN_I32)?;
    u32::try_from(bits).ok().map(unzigzag_i32)
}

fn next_bits(next_byte: &mut dyn FnMut() -> Option<u8>, most: usize) -> Option<u64> {
    let mut bits = 0_u64;
    for at in 0..most {
        let byte = next_byte()?;
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if at == MAX_LEN - 1 && 1 < part {
            return None;
        }
        bits |= part << (7 * at);
        if byte < 0x80 {
            return Some(bits);
        }
    }
    None
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
        fn by_the_word_an_integer_is_the_same_or_none(bytes: [u8; 12], ends: [bool; 11]) {
            let mut bytes = bytes;
            for (byte, ends) in bytes.iter_mut().zip(ends) {
                *byte = *byte & 0x7f | u8::from(!ends) << 7;
            }
            let (mut by_byte, mut by_word) = (&bytes[..], &bytes[..]);
            let (expected, found) = (take(&mut by_byte), take_by_word(&mut by_word));
            let is_short = bytes.len() - by_byte.len() <= 8;
            prop_assert_eq!(found, expected.filter(|_| is_short));
            prop_assert!(found.is_none() || by_byte == by_word);

            let (mut by_byte, mut by_word) = (&bytes[..], &bytes[..]);
            let (expected, found) = (take_i32(&mut by_byte), take_i32_by_word(&mut by_word));
            prop_assert_eq!(found, expected);
            prop_assert!(found.is_none() || by_byte == by_word);
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

    #[test]
    fn an_integer_of_32_bits_has_five_bytes_and_no_bit_more() {
        for value in [i32::MIN, -1, 0, 63, 64, 8191, 8192, 1 << 20, i32::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, i64::from(value));
            let mut rest = bytes.as_slice();
            assert_eq!((take_i32(&mut rest), rest), (Some(value), &[][..]), "{value}");
        }
        let mut six_bytes: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x80, 0];
        assert_eq!(take_i32(&mut six_bytes), None);
        let mut thirty_three_bits: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(take_i32(&mut thirty_three_bits), None);
    }
}
