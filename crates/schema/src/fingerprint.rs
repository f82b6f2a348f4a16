//! Fingerprints of the Parsing Canonical Form.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::model::Schema;

/// The CRC-64-AVRO of nothing, and the polynomial of all else.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

impl Schema {
    /// The 64-bit Rabin fingerprint that single-object encoding carries, little-endian there.
    pub fn rabin(&self) -> u64 {
        rabin(self.parsing_canonical_form().as_bytes())
    }

    /// The MD5 fingerprint.
    pub fn md5(&self) -> [u8; 16] {
        Md5::digest(self.parsing_canonical_form()).into()
    }

    /// The SHA-256 fingerprint.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.parsing_canonical_form()).into()
    }
}

fn rabin(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(EMPTY, |print, byte| (print >> 8) ^ reduced((print ^ u64::from(*byte)) & 0xff))
}

/// What the last byte of a fingerprint contributes once it is shifted out.
fn reduced(byte: u64) -> u64 {
    (0..8).fold(byte, |rest, _| (rest >> 1) ^ (EMPTY & 0_u64.wrapping_sub(rest & 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_of_the_parsing_canonical_form_alone() {
        let date = Schema::parse(r#"{"type":"int","logicalType":"date"}"#).unwrap();
        assert_eq!(date.rabin(), 0x7275_d51a_3f39_5c8f);
        assert_eq!(u128::from_be_bytes(date.md5()), 0xef52_4ea1_b91e_7317_3d93_8ade_36c1_db32);
        assert_eq!(
            date.sha256().first_chunk(),
            Some(&0x3f2b_87a9_fe7c_c9b1_3835_598c_3981_cd45_u128.to_be_bytes())
        );
    }
}
