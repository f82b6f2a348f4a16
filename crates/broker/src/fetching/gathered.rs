use bytes::{Bytes, BytesMut};
use record::{BatchHeader, RecordError};
use types::{LeaderEpoch, Offset};
use wire::bounds::Held;

/// What was read of one partition.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// Whole batches, in order; more than one piece if there was waiting in between.
    pieces: Vec<Bytes>,
    /// The memory they take, as it is counted.
    held: Held,
    /// Whether a batch was left for the next fetch, which may have more room for it.
    pub(crate) left_one: bool,
    /// Where reading goes on.
    next: Offset,
    /// End of what consumers may read, when the last piece was read.
    pub(crate) high_watermark: Offset,
    /// First offset held, at the same time.
    pub(crate) log_start: Offset,
    /// The epoch that was led, at the same time.
    pub(crate) epoch: LeaderEpoch,
}

impl Gathered {
    /// `read` is `None` if a batch had to be left.
    pub(crate) fn of(
        read: Option<(Bytes, Held)>,
        next: Offset,
        high_watermark: Offset,
        log_start: Offset,
        epoch: LeaderEpoch,
    ) -> Self {
        let left_one = read.is_none();
        let (batches, held) = read.unwrap_or_default();
        let pieces = if batches.is_empty() { Vec::new() } else { vec![batches] };
        Self { pieces, held, left_one, next, high_watermark, log_start, epoch }
    }

    /// As if reading from `next` had found nothing.
    pub(crate) fn without_batches(self, next: Offset) -> Self {
        Self { pieces: Vec::new(), held: Held::default(), next, ..self }
    }

    /// This and what was read behind it.
    pub(crate) fn and(mut self, more: Self) -> Self {
        self.pieces.extend(more.pieces);
        self.held.absorb(more.held);
        Self { pieces: self.pieces, held: self.held, ..more }
    }

    /// Where reading goes on.
    pub(crate) const fn next(&self) -> Offset {
        self.next
    }

    /// Bytes read.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether nothing was there to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The batches in one piece, not copied unless there was waiting in between, and the memory
    /// they take.
    pub(crate) fn into_batches(mut self) -> (Bytes, Held) {
        if self.pieces.len() < 2 {
            return (self.pieces.pop().unwrap_or_default(), self.held);
        }
        let mut whole = BytesMut::with_capacity(self.len());
        for piece in &self.pieces {
            whole.extend_from_slice(piece);
        }
        (whole.freeze(), self.held)
    }
}

/// The offset behind the last of these whole batches; `None` if there is no batch.
///
/// # Errors
///
/// A header that is none.
pub(crate) fn end_of(batches: &[u8]) -> Result<Option<Offset>, RecordError> {
    let mut rest = batches;
    let mut end = None;
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest)?;
        let needed = header.total_len();
        let found = rest.len();
        rest = rest.get(needed..).ok_or(RecordError::Truncated { needed, found })?;
        end = Some(header.end_offset());
    }
    Ok(end)
}
