use crc_fast::CrcAlgorithm;

/// CRC32C (Castagnoli) of `bytes`, as Kafka computes it.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let wide = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes);
    #[expect(clippy::cast_possible_truncation, reason = "a 32-bit sum lies in the low half")]
    let sum = wide as u32;
    sum
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of the CRC catalogue, and the 32 zeros of RFC 3720.
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(super::crc32c(&[0; 32]), 0x8a91_36aa);
    }
}
