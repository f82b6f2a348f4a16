//! Reading an input from front to back, so that a change in its middle leaves the rest its meaning.

/// The part of an input that was not read yet. Behind its end come zeros.
#[derive(Debug)]
pub struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    /// The whole of an input.
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether all of it was read.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    /// The next two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// The next eight bytes.
    pub fn long(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// The next `len` bytes, or as many as there are.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A length in one byte, and so many bytes. Half of the numbers stand for nothing at all.
    pub fn field(&mut self) -> Option<&'a [u8]> {
        let len = self.byte();
        len.is_multiple_of(2).then(|| self.bytes(usize::from(len / 2)))
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.bytes(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }
}
