use crc_fast::{CrcAlgorithm, Digest};

use crate::header::CHECKED_FROM;
use crate::{BatchHeader, RecordError};

/// The checksum of a batch whose bytes come piece by piece: a length that rotted claims any number of
/// them, and needs no memory for that.
#[derive(Debug)]
pub struct BatchChecksum {
    stored: u32,
    digest: Digest,
}

impl BatchChecksum {
    /// Where in a batch the bytes begin that its checksum covers.
    pub const FROM: usize = CHECKED_FROM;

    /// Of the batch that has this header.
    pub fn new(header: &BatchHeader) -> Self {
        Self { stored: header.crc, digest: Digest::new(CrcAlgorithm::Crc32Iscsi) }
    }

    /// Takes the next bytes, those from [`FROM`](Self::FROM) on first.
    pub fn update(&mut self, piece: &[u8]) {
        self.digest.update(piece);
    }

    /// Compares, once all bytes were taken.
    ///
    /// # Errors
    ///
    /// [`RecordError::Checksum`].
    pub fn verify(self) -> Result<(), RecordError> {
        let (stored, computed) = (self.stored, narrow(self.digest.finalize()));
        if computed == stored { Ok(()) } else { Err(RecordError::Checksum { stored, computed }) }
    }
}

/// CRC32C (Castagnoli) of `bytes`, as Kafka computes it.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// The same of pieces that lie apart.
pub(crate) fn crc32c_of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut pieces = pieces.filter(|piece| !piece.is_empty());
    let first = pieces.next().unwrap_or_default();
    let Some(second) = pieces.next() else { return crc32c(first) };
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for piece in [first, second].into_iter().chain(pieces) {
        digest.update(piece);
    }
    narrow(digest.finalize())
}

fn narrow(wide: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a 32-bit sum lies in the low half")]
    let sum = wide as u32;
    sum
}

/// The checksum of bytes of which the front was replaced by one of the same length, told from the
/// old checksum and those of both fronts. What lies `behind` them, so many bytes, is not read: so
/// damage to it since the old checksum was taken still shows.
pub(crate) fn with_front(whole: u32, old_front: u32, new_front: u32, behind: usize) -> u32 {
    // Sums are linear: the difference of the fronts moves over what is behind, and what is behind
    // takes part in neither.
    whole ^ over_zeros(old_front ^ new_front, behind)
}

/// The polynomial, the lowest bit standing for x^31.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x to the power of 8, 16, 32, …: what a sum is multiplied by when 1, 2, 4, … zeros follow.
const POWERS: [u32; usize::BITS as usize] = {
    let mut powers = [0x0080_0000; usize::BITS as usize];
    let mut rest: &mut [u32] = &mut powers;
    while let [power, behind @ ..] = rest {
        if let [next, ..] = behind {
            *next = product(*power, *power);
        }
        rest = behind;
    }
    powers
};

/// A difference of sums, once so many zero bytes follow.
fn over_zeros(difference: u32, zeros: usize) -> u32 {
    let mut moved = difference;
    for (bit, power) in POWERS.iter().enumerate() {
        if zeros >> bit & 1 == 1 {
            moved = product(*power, moved);
        }
    }
    moved
}

/// The product of two polynomials, modulo [`POLYNOMIAL`].
const fn product(left: u32, mut right: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if left & bit != 0 {
            product ^= right;
        }
        let carry = right & 1;
        right >>= 1;
        if carry != 0 {
            right ^= POLYNOMIAL;
        }
        bit >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of the CRC catalogue, and the 32 zeros of RFC 3720.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    proptest! {
        #[test]
        fn a_new_front_gives_the_checksum_of_the_whole(
            fronts: [[u8; 9]; 2], body in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            let [old, new] = fronts.map(|front| [&front[..], &body].concat());
            let [old_front, new_front] = fronts.map(|front| crc32c(&front));
            let told = with_front(crc32c(&old), old_front, new_front, body.len());
            prop_assert_eq!(told, crc32c(&new));
        }
    }

    #[test]
    fn a_front_before_millions_of_bytes_counts_as_well() {
        let mut whole = vec![7; 5_000_011];
        let old = crc32c(&whole);
        whole[0] = 8;
        assert_eq!(with_front(old, crc32c(&[7]), crc32c(&[8]), whole.len() - 1), crc32c(&whole));
    }
}
