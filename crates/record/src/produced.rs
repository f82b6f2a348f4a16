use std::iter::once;
use std::sync::Arc;

use bytes::Bytes;

use crate::checksum::crc32c_of;
use crate::header::{CHECKED_FROM, patch_crc, patch_producer};
use crate::{Batch, BatchProducer, RecordError};

/// A value that lies where its owner put it, and belongs at this place in what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedValue {
    /// Bytes that were written before it.
    pub(crate) at: usize,
    pub(crate) value: Bytes,
}

/// A batch as its producer sends it: sealed, and in pieces, since large values were not copied.
///
/// One behind the other its [`pieces`](ProducedBatch::pieces) are a [`Batch`]. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    /// Everything but the shared values: the header, and the records around them.
    written: Bytes,
    /// Where they come in, in order.
    shared: Arc<[SharedValue]>,
    len: usize,
    record_count: u32,
}

impl ProducedBatch {
    /// Seals what a builder wrote: a header whose checksum is still to come, and records.
    pub(crate) fn seal(mut written: Vec<u8>, shared: Vec<SharedValue>, record_count: u32) -> Self {
        let crc = checksum(&written, &shared);
        patch_crc(&mut written, crc);
        let values: usize = shared.iter().map(|shared| shared.value.len()).sum();
        let (len, written) = (written.len() + values, Bytes::from(written));
        Self { written, shared: shared.into(), len, record_count }
    }

    /// Bytes of all pieces, which is never 0.
    #[expect(clippy::len_without_is_empty, reason = "it has a header at least")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// How many records there are.
    pub const fn record_count(&self) -> u32 {
        self.record_count
    }

    /// How many pieces there are.
    pub fn piece_count(&self) -> usize {
        2 * self.shared.len() + 1
    }

    /// The batch, to be sent in this order. Nothing is copied.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let values = self.shared.iter().map(|shared| Some(shared.value.clone())).chain(once(None));
        let written = spans(self.written.len(), &self.shared).map(|span| self.written.slice(span));
        written.zip(values).flat_map(|(written, value)| once(written).chain(value))
    }

    /// The same records under another producer, epoch or sequence. Copies all but shared values:
    /// the checksum covers these.
    #[must_use]
    pub fn produced_by(&self, producer: BatchProducer) -> Self {
        let mut written = self.written.to_vec();
        patch_producer(&mut written, producer);
        let crc = checksum(&written, &self.shared);
        patch_crc(&mut written, crc);
        Self { written: written.into(), ..self.clone() }
    }

    /// The batch in one piece; copied, if it is not yet.
    ///
    /// # Errors
    ///
    /// None: the builder made sure that it is one.
    pub fn into_batch(self) -> Result<Batch, RecordError> {
        if self.shared.is_empty() {
            return Batch::sealed(self.written);
        }
        let mut whole = Vec::with_capacity(self.len);
        self.pieces().for_each(|piece| whole.extend_from_slice(&piece));
        Batch::sealed(whole.into())
    }
}

/// What was written before, between and behind the shared values.
fn spans(written: usize, shared: &[SharedValue]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let starts = once(0).chain(shared.iter().map(|shared| shared.at));
    let ends = shared.iter().map(|shared| shared.at).chain(once(written));
    starts.zip(ends).map(|(start, end)| start..end)
}

fn checksum(written: &[u8], shared: &[SharedValue]) -> u32 {
    let checked = spans(written.len(), shared).map(|span| span.start.max(CHECKED_FROM)..span.end);
    let checked = checked.map(|span| written.get(span).unwrap_or_default());
    let values = shared.iter().map(|shared| Some(&shared.value[..])).chain(once(None));
    crc32c_of(checked.zip(values).flat_map(|(written, value)| once(written).chain(value)))
}
