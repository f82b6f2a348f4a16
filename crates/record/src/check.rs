//! What a broker makes sure of before it appends a batch: that every consumer can read every
//! record of it, and reads the same. As Kafka's `LogValidator` does for format 2, with its gaps
//! closed: lengths add up, offset deltas are 0, 1, 2, …, nothing follows.
//!
//! The records are walked where they lie. Packed ones come out of their codec piece by piece, so
//! that this takes the codec's window and a piece of memory, whatever they unpack to. Header names
//! may be any bytes: Kafka's brokers do not look at them either.

use types::Timestamp;

use crate::compression::Unpacked;
use crate::fields::{self, Fields, Problem, Source};
use crate::varint;
use crate::{BatchHeader, MAX_PAYLOAD_BYTES, RecordError};

/// Checks every record of a batch as a producer must send it; returns the largest timestamp.
///
/// # Errors
///
/// [`RecordError::InvalidRecord`] names the first record that breaks the format. Those of the
/// codec, and [`RecordError::TooLarge`] past [`MAX_PAYLOAD_BYTES`].
pub(crate) fn check(header: &BatchHeader, body: &[u8]) -> Result<Timestamp, RecordError> {
    match Unpacked::open(header.compression, body, MAX_PAYLOAD_BYTES)? {
        None => Check::new(header).plain(body),
        Some(unpacked) => Check::new(header).packed(unpacked),
    }
}

/// How far a check has come.
struct Check {
    /// Of the record at hand: also its offset delta.
    index: u32,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Check {
    fn new(header: &BatchHeader) -> Self {
        Self {
            index: 0,
            count: header.record_count,
            base_timestamp: header.base_timestamp.as_millis(),
            max_timestamp: i64::MIN,
        }
    }

    fn plain(mut self, mut rest: &[u8]) -> Result<Timestamp, RecordError> {
        self.usual(&mut rest)?;
        while self.index < self.count {
            self.one(&mut rest)?;
            self.usual(&mut rest)?;
        }
        self.end(rest)
    }

    fn packed(mut self, mut unpacked: Unpacked<'_>) -> Result<Timestamp, RecordError> {
        while self.index < self.count {
            let piece = unpacked.piece()?;
            let len = piece.len();
            let mut rest = piece;
            self.usual(&mut rest)?;
            while self.index < self.count && begins_whole(rest) {
                self.one(&mut rest)?;
                self.usual(&mut rest)?;
            }
            let read = len - rest.len();
            unpacked.consume(read);
            if self.index < self.count {
                // This one begins in one piece and ends in another.
                self.straddling(&mut unpacked)?;
            }
        }
        self.end(unpacked.piece()?)
    }

    /// Behind the last record nothing may follow.
    fn end(&self, rest: &[u8]) -> Result<Timestamp, RecordError> {
        if rest.is_empty() {
            return Ok(Timestamp::from_millis(self.max_timestamp));
        }
        Err(self.invalid("the header counts fewer records than there are bytes of"))
    }

    /// Checks the records at the front of `rest` that are read the quick way. This is where the
    /// time goes.
    fn usual(&mut self, rest: &mut &[u8]) -> Result<(), RecordError> {
        while self.index < self.count {
            let Some((fields, mut headers)) = fields::take_usual(rest) else { break };
            self.record(&fields, &mut headers).map_err(|problem| self.invalid(problem))?;
        }
        Ok(())
    }

    /// Checks the record at the front of `rest`, whatever it is like.
    fn one(&mut self, rest: &mut &[u8]) -> Result<(), RecordError> {
        let checked = fields::take_any(rest)
            .and_then(|(fields, mut headers)| self.record(&fields, &mut headers));
        checked.map_err(|problem| self.invalid(problem))
    }

    fn straddling(&mut self, unpacked: &mut Unpacked<'_>) -> Result<(), RecordError> {
        let mut body = Body { unpacked, left: usize::MAX, failure: None };
        let checked = fields::length(&mut body).and_then(|length| {
            body.left = length;
            let fields = fields::record(&mut body)?;
            self.record(&fields, &mut body)
        });
        match body.failure {
            // What the codec says is why there were no more bytes.
            Some(failure) => Err(failure),
            None => checked.map_err(|problem| self.invalid(problem)),
        }
    }

    #[inline]
    fn record<S: Source>(
        &mut self,
        fields: &Fields<S::Bytes>,
        headers: &mut S,
    ) -> Result<(), Problem> {
        if i64::from(fields.offset_delta) != i64::from(self.index) {
            return Err("its offset delta is not its place in the batch");
        }
        let timestamp = self
            .base_timestamp
            .checked_add(fields.timestamp_delta)
            .ok_or("its timestamp overflows")?;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        for left in (0..fields.header_count).rev() {
            fields::header(headers, left)?;
        }
        self.index += 1;
        Ok(())
    }

    #[cold]
    fn invalid(&self, problem: Problem) -> RecordError {
        RecordError::InvalidRecord { index: self.index, problem }
    }
}

/// Whether a record lies at the front of `rest` from beginning to end.
fn begins_whole(mut rest: &[u8]) -> bool {
    fields::length(&mut rest).is_ok_and(|length| length <= rest.len())
}

/// The bytes of one record as they come out of a codec.
struct Body<'u, 'a> {
    unpacked: &'u mut Unpacked<'a>,
    /// What the record has left, whether or not the codec has it.
    left: usize,
    /// What the codec said in place of giving more.
    failure: Option<RecordError>,
}

impl Body<'_, '_> {
    fn piece(&mut self) -> &[u8] {
        match self.unpacked.piece() {
            Ok(piece) => piece,
            Err(failure) => {
                self.failure = Some(failure);
                &[]
            }
        }
    }

    fn consume(&mut self, read: usize) {
        self.unpacked.consume(read);
        self.left -= read;
    }
}

impl Source for Body<'_, '_> {
    /// They are not needed.
    type Bytes = ();

    fn varint(&mut self) -> Option<i64> {
        varint::next(&mut || self.byte())
    }

    fn varint_i32(&mut self) -> Option<i32> {
        varint::next_i32(&mut || self.byte())
    }

    fn byte(&mut self) -> Option<u8> {
        if self.left == 0 {
            return None;
        }
        let byte = *self.piece().first()?;
        self.consume(1);
        Some(byte)
    }

    fn take(&mut self, mut len: usize) -> Option<()> {
        if self.left < len {
            return None;
        }
        while len != 0 {
            let read = self.piece().len().min(len);
            if read == 0 {
                return None;
            }
            self.consume(read);
            len -= read;
        }
        Some(())
    }

    fn is_empty(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests;
