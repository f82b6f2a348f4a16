use std::borrow::Cow;
use std::iter::FusedIterator;

use bytes::Bytes;
use types::{Offset, Timestamp, TimestampType};

use crate::fields::{self, Fields};
use crate::{BatchHeader, RecordError};

/// One record, sharing the memory of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it lies in its partition.
    pub offset: Offset,
    /// When it was made or, by the topic's choice, appended.
    pub timestamp: Timestamp,
    /// The key; `None` is not the same as empty.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers in the order sent; names may repeat.
    pub headers: Vec<Header>,
}

/// One header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, UTF-8 by convention only: nothing on the way checks it.
    pub key: Bytes,
    /// The value; `None` is not the same as empty.
    pub value: Option<Bytes>,
}

impl Header {
    /// The name as text, with a replacement character for every byte that is none.
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.key)
    }
}

/// One record, borrowed from its batch: three times as quick to read as [`Record`].
#[derive(Clone, Debug)]
pub struct RecordView<'a> {
    /// Where it lies in its partition.
    pub offset: Offset,
    /// When it was made or, by the topic's choice, appended.
    pub timestamp: Timestamp,
    /// The key; `None` is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, not decoded yet.
    pub headers: HeaderViews<'a>,
}

/// One header, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderView<'a> {
    /// The name.
    pub key: &'a [u8],
    /// The value; `None` is not the same as empty.
    pub value: Option<&'a [u8]>,
}

/// Its length, its attributes, two deltas, and that there is no key, value or header: a byte each.
const LEAST_RECORD_BYTES: usize = 7;

/// The records of one batch, unpacked, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Records {
    payload: Bytes,
    cursor: Cursor,
}

impl Records {
    pub(crate) fn new(header: &BatchHeader, payload: Bytes) -> Self {
        Self { payload, cursor: Cursor::new(header) }
    }

    /// The records that this iterator has not returned yet, borrowed.
    pub fn views(&self) -> Views<'_> {
        Views { rest: &self.payload, cursor: self.cursor.clone() }
    }

    fn own(&self, view: RecordView<'_>) -> Result<Record, RecordError> {
        let own = |part: &[u8]| self.payload.slice_ref(part);
        let mut headers = Vec::new();
        for header in view.headers {
            let header = header?;
            headers.push(Header { key: own(header.key), value: header.value.map(own) });
        }
        Ok(Record {
            offset: view.offset,
            timestamp: view.timestamp,
            key: view.key.map(own),
            value: view.value.map(own),
            headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest: &[u8] = &self.payload;
        let record = self.cursor.next(&mut rest)?.and_then(|view| self.own(view));
        let read = self.payload.len() - rest.len();
        if record.is_err() {
            self.cursor.stop();
        }
        bytes::Buf::advance(&mut self.payload, read);
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The count is the header's word, and there are no more than have room; an error, which is one
        // more, ends the records sooner.
        let counted = (self.cursor.left as usize).min(self.payload.len() / LEAST_RECORD_BYTES);
        (0, Some(counted + 1))
    }
}

impl FusedIterator for Records {}

/// The records of one batch, borrowed. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Views<'a> {
    rest: &'a [u8],
    cursor: Cursor,
}

impl<'a> Iterator for Views<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.next(&mut self.rest)
    }
}

impl FusedIterator for Views<'_> {}

/// Where reading stands, apart from the bytes.
#[derive(Clone, Debug)]
struct Cursor {
    base_offset: Offset,
    base_timestamp: Timestamp,
    /// Every record's timestamp, if the broker set it.
    appended_at: Option<Timestamp>,
    /// Records not read yet.
    left: u32,
    index: u32,
    /// Smallest offset delta that the next record may have.
    next_delta: u32,
    last_delta: u32,
    finished: bool,
}

impl Cursor {
    fn new(header: &BatchHeader) -> Self {
        Self {
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            appended_at: match header.timestamp_type {
                TimestampType::Create => None,
                TimestampType::LogAppend => Some(header.max_timestamp),
            },
            left: header.record_count,
            index: 0,
            next_delta: 0,
            last_delta: header.last_offset_delta,
            finished: false,
        }
    }

    fn stop(&mut self) {
        self.left = 0;
        self.finished = true;
    }

    fn problem(&self, problem: &'static str) -> RecordError {
        RecordError::InvalidRecord { index: self.index, problem }
    }

    #[inline]
    fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Result<RecordView<'a>, RecordError>> {
        if self.left == 0 {
            return self.finish(rest);
        }
        let record = self.decode(rest);
        if record.is_ok() {
            self.left -= 1;
            self.index += 1;
        } else {
            self.stop();
        }
        Some(record)
    }

    /// Behind the last record nothing may follow.
    fn finish<'a>(&mut self, rest: &[u8]) -> Option<Result<RecordView<'a>, RecordError>> {
        let surplus = !self.finished && !rest.is_empty();
        self.stop();
        surplus
            .then(|| Err(self.problem("the header counts fewer records than there are bytes of")))
    }

    #[inline]
    fn decode<'a>(&mut self, rest: &mut &'a [u8]) -> Result<RecordView<'a>, RecordError> {
        let (fields, headers) = fields::take(rest).map_err(|problem| self.problem(problem))?;
        let Fields { timestamp_delta, offset_delta, key, value, header_count } = fields;
        let offset = self.offset(offset_delta)?;
        let timestamp = match self.appended_at {
            Some(timestamp) => timestamp,
            None => self
                .base_timestamp
                .as_millis()
                .checked_add(timestamp_delta)
                .map(Timestamp::from_millis)
                .ok_or_else(|| self.problem("its timestamp overflows"))?,
        };
        let headers = HeaderViews { rest: headers, left: header_count, index: self.index };
        Ok(RecordView { offset, timestamp, key, value, headers })
    }

    /// Offsets rise, and stay within what the header announced; compaction leaves gaps.
    #[inline]
    fn offset(&mut self, delta: i32) -> Result<Offset, RecordError> {
        let in_order =
            u32::try_from(delta).ok().filter(|d| self.next_delta <= *d && *d <= self.last_delta);
        let Some(delta) = in_order else {
            return Err(self.problem("its offset is out of order or beyond the batch"));
        };
        // `last_delta` is at most `i32::MAX`.
        self.next_delta = delta + 1;
        self.base_offset
            .checked_add(u64::from(delta))
            .ok_or_else(|| self.problem("its offset overflows"))
    }
}

/// The headers of one record, in the order sent. Ends after the first error.
#[derive(Clone, Debug)]
pub struct HeaderViews<'a> {
    rest: &'a [u8],
    left: u32,
    /// Of the record, for errors.
    index: u32,
}

impl<'a> Iterator for HeaderViews<'a> {
    type Item = Result<HeaderView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let header = fields::header(&mut self.rest, self.left);
        if header.is_err() {
            self.left = 0;
        }
        Some(
            header
                .map(|(key, value)| HeaderView { key, value })
                .map_err(|problem| RecordError::InvalidRecord { index: self.index, problem }),
        )
    }
}

impl FusedIterator for HeaderViews<'_> {}
