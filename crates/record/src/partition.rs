//! Which partition a keyed record belongs to: as Kafka's Java client decides it, so that clients
//! of both kinds agree on where a key lies.

/// The partition, of `partitions`, that records with this key go to; `None` if there are none.
pub fn partition_for_key(key: &[u8], partitions: u32) -> Option<u32> {
    // Kafka takes the sign off rather than the modulus of an unsigned number.
    (murmur2(key) & 0x7fff_ffff).checked_rem(partitions)
}

/// `MurmurHash2`, 32 bits, with Kafka's seed.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;

    #[expect(clippy::cast_possible_truncation, reason = "the algorithm takes the length so")]
    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        word ^= word >> SHIFT;
        hash = hash.wrapping_mul(MULTIPLIER) ^ word.wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        let rest = tail.iter().rev().fold(0, |rest, byte| rest << 8 | u32::from(*byte));
        hash = (hash ^ rest).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_kafka() {
        // Kafka's own test vectors (UtilsTest.testMurmur2).
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn a_key_stays_in_its_partition() {
        assert_eq!(partition_for_key(b"foobar", 3), Some((0x8000_0000 - 790_332_482) % 3));
        assert_eq!(partition_for_key(b"foobar", 1), Some(0));
        assert_eq!(partition_for_key(b"foobar", 0), None);
    }
}
