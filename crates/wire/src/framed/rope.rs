use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes in the pieces in which they lie.
#[derive(Debug, Default)]
pub struct Rope {
    /// None of them empty.
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Rope {
    /// Puts a piece behind the others.
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len = self.len.saturating_add(piece.len());
            self.pieces.push_back(piece);
        }
    }

    /// Takes the first piece.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front()?;
        self.len = self.len.saturating_sub(first.len());
        Some(first)
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

/// Beyond the end there is nothing, where other buffers panic: every caller asks for the length
/// first.
impl Buf for Rope {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |first| first)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.pieces);
        filled.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, count: usize) {
        let mut left = count;
        while left != 0
            && let Some(first) = self.pieces.front_mut()
        {
            let taken = left.min(first.len());
            first.advance(taken);
            left -= taken;
            self.len = self.len.saturating_sub(taken);
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
    }

    /// A part of one piece is not copied.
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if let Some(first) = self.pieces.front_mut()
            && len <= first.len()
        {
            let part = first.split_to(len);
            if first.is_empty() {
                self.pieces.pop_front();
            }
            self.len = self.len.saturating_sub(len);
            return part;
        }
        let mut whole = BytesMut::with_capacity(len.min(self.len));
        while whole.len() < len
            && let Some(first) = self.pieces.front()
        {
            let taken = first.len().min(len - whole.len());
            whole.extend_from_slice(first.get(..taken).unwrap_or_default());
            self.advance(taken);
        }
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(pieces: &[&'static [u8]]) -> Rope {
        let mut rope = Rope::default();
        for piece in pieces {
            rope.push(Bytes::from_static(piece));
        }
        rope
    }

    #[test]
    fn it_reads_as_if_it_were_in_one_piece() {
        let mut rope = rope(&[b"ab", b"", b"cdef", b"g"]);
        assert_eq!(rope.len(), 7);
        assert_eq!(rope.get_u8(), b'a');
        assert_eq!(rope.get_u32(), u32::from_be_bytes(*b"bcde"));
        assert_eq!(&rope.copy_to_bytes(2)[..], b"fg");
        assert_eq!((rope.len(), rope.chunk()), (0, &[][..]));
    }

    #[test]
    fn a_part_of_one_piece_is_not_copied() {
        let piece = Bytes::from(vec![7; 100]);
        let mut rope = Rope::default();
        rope.push(piece.clone());
        rope.advance(10);
        let part = rope.copy_to_bytes(90);
        assert_eq!(part.as_ptr(), piece.slice(10..).as_ptr());
    }

    #[test]
    fn it_is_written_piece_by_piece_as_far_as_there_is_room() {
        let rope = rope(&[b"ab", b"c", b"def"]);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(rope.chunks_vectored(&mut slices), 3);
        assert_eq!(slices.map(|slice| slice.to_vec()).concat(), b"abcdef");
        assert_eq!(rope.chunks_vectored(&mut slices[..2]), 2);
        assert_eq!(rope.chunks_vectored(&mut []), 0);
    }

    #[test]
    fn there_is_nothing_behind_its_end() {
        let mut rope = rope(&[b"ab", b"c"]);
        assert_eq!(&rope.copy_to_bytes(9)[..], b"abc");
        rope.advance(1);
        assert_eq!(rope.len(), 0);
    }
}
