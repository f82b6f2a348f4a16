use super::*;

fn packed(codec: Compression, plain: &[u8]) -> Bytes {
    codec.pack(plain.to_vec(), 0).unwrap().into()
}

fn codecs() -> impl Iterator<Item = Compression> {
    Compression::ALL.iter().copied().filter(|codec| *codec != Compression::None)
}

/// Bytes that no codec makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn is_refused_by_its_codec(codec: Compression, packed: Bytes) -> bool {
    matches!(codec.unpack(packed, 1 << 24), Err(RecordError::Codec { codec: by, .. }) if by == codec)
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    for codec in codecs() {
        let bomb = packed(codec, &vec![0; 1 << 22]);
        assert!(bomb.len() < 1 << 18, "{codec}: {}", bomb.len());
        let refused = codec.unpack(bomb.clone(), 1000).unwrap_err();
        let RecordError::TooLarge { size, limit: 1000 } = refused else { panic!("{refused:?}") };
        assert!((1001..=1 << 22).contains(&size), "{codec}: {size}");
        assert_eq!(codec.unpack(bomb, 1 << 22).unwrap().len(), 1 << 22, "{codec}");
    }
}

#[test]
fn a_limit_is_reached_and_not_passed() {
    for codec in codecs() {
        let plain = noise(100_000);
        assert_eq!(codec.unpack(packed(codec, &plain), 100_000).unwrap(), plain, "{codec}");
        let refused = codec.unpack(packed(codec, &plain), 99_999).unwrap_err();
        assert!(matches!(refused, RecordError::TooLarge { .. }), "{codec}: {refused:?}");
    }
}

#[test]
fn bytes_behind_the_end_are_not_ignored() {
    for codec in codecs() {
        let whole = packed(codec, b"twelve bytes");
        let trailing = Bytes::from([&whole[..], &[0]].concat());
        assert!(is_refused_by_its_codec(codec, trailing), "{codec}");
    }
}

/// snappy-java's framing has no end: there, more blocks are more of the same.
#[test]
fn a_second_stream_is_not_read_on() {
    for codec in codecs() {
        let once = packed(codec, b"twelve bytes");
        let twice = Bytes::from([&once[..], &once[..]].concat());
        assert!(is_refused_by_its_codec(codec, twice), "{codec}");
    }
}

#[test]
fn what_is_cut_off_is_refused_wherever_it_was_cut() {
    for codec in codecs() {
        for plain in [noise(70), noise(200_000), vec![7; 200_000]] {
            let whole = packed(codec, &plain);
            let last = whole.len().saturating_sub(300);
            for cut in (1..whole.len().min(300)).chain(last.max(1)..whole.len()) {
                let unpacked = codec.unpack(whole.slice(..cut), 1 << 24);
                // Where a block of snappy-java's framing ends, so may the whole.
                let between = codec == Compression::Snappy
                    && unpacked.as_ref().is_ok_and(|part| {
                        part.len() < plain.len() && part.len() % (32 * 1024) == 0
                    });
                let refused = matches!(unpacked, Err(RecordError::Codec { .. }));
                assert!(refused || between, "{codec} cut at {cut} of {}", whole.len());
            }
        }
    }
}

#[test]
fn what_cannot_be_made_smaller_grows_by_a_thousandth_at_most() {
    for codec in codecs() {
        for len in [1, 60, 1000, 33_000, 1 << 20] {
            let size = packed(codec, &noise(len)).len();
            assert!(size <= len + len / 1024 + 64, "{codec}: {len} became {size}");
        }
    }
}

#[test]
fn a_snappy_block_may_come_bare_and_may_not_claim_what_it_cannot_hold() {
    let codec = Compression::Snappy;
    let plain = noise(100).repeat(1000);
    let bare = Bytes::from(snap::raw::Encoder::new().compress_vec(&plain).unwrap());
    assert_eq!(codec.unpack(bare.clone(), 1 << 20).unwrap(), plain);
    let limit = plain.len() - 1;
    let too_large = RecordError::TooLarge { size: plain.len() as u64, limit: limit as u64 };
    assert_eq!(codec.unpack(bare, limit), Err(too_large));

    // 2 MiB less a byte, and a literal of one byte.
    let liar = Bytes::from_static(&[0xff, 0xff, 0x7f, 0, b'x']);
    let refused = codec.unpack(liar, 1 << 24).unwrap_err().to_string();
    assert!(refused.contains("5 bytes cannot unpack to 2097151"), "{refused}");
}

#[test]
fn lz4_frames_that_kafkas_java_client_cannot_read_are_refused() {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    use std::io::Write;

    let info = FrameInfo::new().block_mode(BlockMode::Linked);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&[1; 1000]).unwrap();
    let linked = Bytes::from(encoder.finish().unwrap());
    let refused = Compression::Lz4.unpack(linked, 1 << 20).unwrap_err().to_string();
    assert!(refused.contains("depend on each other"), "{refused}");

    let legacy = Bytes::from_static(&[0x02, 0x21, 0x4c, 0x18, 0, 0, 0, 0]);
    assert!(is_refused_by_its_codec(Compression::Lz4, legacy));
}

#[test]
fn a_zstd_window_beyond_what_kafkas_java_client_takes_is_refused() {
    // Magic, no content size, a window of 256 MiB, a last block of one raw byte.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, (28 - 10) << 3, 0x09, 0, 0, b'x'];
    let mut allowed = frame;
    allowed[5] = (27 - 10) << 3;
    assert_eq!(Compression::Zstd.unpack(Bytes::copy_from_slice(&allowed), 9).unwrap(), "x");
    assert!(is_refused_by_its_codec(Compression::Zstd, Bytes::copy_from_slice(&frame)));
}

#[test]
fn every_codec_has_the_number_and_the_word_that_kafka_gave_it() {
    let words = ["none", "gzip", "snappy", "lz4", "zstd"];
    for ((code, codec), word) in (0_u16..).zip(Compression::ALL).zip(words) {
        assert_eq!(u16::from(codec.code()), code);
        assert_eq!(Compression::from_code(code), Some(*codec));
        assert_eq!(codec.to_string(), word);
    }
    assert_eq!(Compression::from_code(5), None);
}
