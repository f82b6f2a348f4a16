/// Bytes before each message of a gRPC body: a flag and a length.
const PREFIX: usize = 5;

/// Follows a gRPC body through its messages, without keeping any of it.
#[derive(Debug, Default)]
pub(super) struct Framing {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that have come.
    prefixed: usize,
    /// Bytes of the message that are to come.
    left: u64,
    /// The whole message, its prefix included, while it is not complete.
    current: u64,
}

/// What a piece of a body announces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    /// Bytes of the messages that begin in it, their prefixes included.
    pub(super) total: u64,
    /// Bytes of the longest of them, its prefix not included.
    pub(super) longest: u64,
}

impl Framing {
    /// Goes on by `bytes`.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Announced {
        let mut announced = Announced::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.left == 0 {
                let missing = PREFIX.saturating_sub(self.prefixed).min(rest.len());
                let (head, behind) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
                if let Some(place) = self.prefix.get_mut(self.prefixed..self.prefixed + head.len())
                {
                    place.copy_from_slice(head);
                }
                self.prefixed += head.len();
                rest = behind;
                if self.prefixed == PREFIX {
                    let [_flag, length @ ..] = self.prefix;
                    self.left = u64::from(u32::from_be_bytes(length));
                    self.current = self.left + PREFIX as u64;
                    announced.total += self.current;
                    announced.longest = announced.longest.max(self.left);
                    self.end_if_complete();
                }
            } else {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                self.left -= here as u64;
                rest = rest.get(here..).unwrap_or_default();
                self.end_if_complete();
            }
        }
        announced
    }

    fn end_if_complete(&mut self) {
        if self.left == 0 {
            self.prefixed = 0;
            self.current = 0;
        }
    }

    /// Bytes of the message that has begun and is not complete, all of it.
    pub(super) const fn current(&self) -> u64 {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.resize(PREFIX + length, 7);
        bytes
    }

    #[test]
    fn wherever_a_body_is_cut_the_same_messages_are_seen() {
        let lengths = [3, 0, 300, 1];
        let body: Vec<u8> = lengths.into_iter().flat_map(message).collect();
        for piece in 1..body.len() {
            let mut framing = Framing::default();
            let (mut total, mut longest, mut came) = (0, 0, 0);
            for bytes in body.chunks(piece) {
                let announced = framing.follow(bytes);
                total += announced.total;
                longest = longest.max(announced.longest);
                came += bytes.len();
                let mut start = 0;
                let current = lengths.into_iter().find_map(|length| {
                    let (prefixed, end) = (start + PREFIX, start + PREFIX + length);
                    start = end;
                    (prefixed <= came && came < end).then_some(length + PREFIX)
                });
                let expected = current.unwrap_or_default() as u64;
                assert_eq!(framing.current(), expected, "pieces of {piece}, {came} came");
            }
            assert_eq!((total, longest), (body.len() as u64, 300));
        }
    }

    #[test]
    fn a_length_is_known_before_the_message_has_come() {
        let mut framing = Framing::default();
        assert_eq!(framing.follow(&[0, 0xff, 0xff, 0xff]), Announced::default());
        let longest = u64::from(u32::MAX);
        assert_eq!(framing.follow(&[0xff]), Announced { total: longest + 5, longest });
    }
}
