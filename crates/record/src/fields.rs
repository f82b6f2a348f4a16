//! The grammar of one record, wherever its bytes come from: a slice, whose fields are borrowed, or
//! a codec at work, whose fields are passed over.

use crate::varint;

/// What a rule of the format says of bytes that break it.
pub(crate) type Problem = &'static str;

/// The record's bytes end before its fields do.
pub(crate) const CUT: Problem = "it is cut off";

/// The bytes of one record.
pub(crate) trait Source {
    /// A run of them.
    type Bytes;

    /// Reads one of Kafka's integers of 64 bits; `None` if there is none.
    fn varint(&mut self) -> Option<i64>;

    /// Reads one of 32 bits; `None` if there is none.
    fn varint_i32(&mut self) -> Option<i32>;

    /// Passes over the next one.
    fn byte(&mut self) -> Option<u8>;

    /// Takes so many; `None` if there are fewer.
    fn take(&mut self, len: usize) -> Option<Self::Bytes>;

    /// Whether none are left.
    fn is_empty(&self) -> bool;
}

/// Plain bytes, no more than the record's.
impl<'a> Source for &'a [u8] {
    type Bytes = &'a [u8];

    fn varint(&mut self) -> Option<i64> {
        varint::take(self)
    }

    fn varint_i32(&mut self) -> Option<i32> {
        varint::take_i32(self)
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, behind) = self.split_first()?;
        *self = behind;
        Some(*byte)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, behind) = self.split_at_checked(len)?;
        *self = behind;
        Some(taken)
    }

    fn is_empty(&self) -> bool {
        <[u8]>::is_empty(self)
    }
}

/// Plain bytes with those of other records behind them, which allows to read integers by the word.
/// Where it finds nothing, the record's own bytes are to be asked.
struct Ahead<'a> {
    rest: &'a [u8],
    /// How many of `rest` are not the record's.
    behind: usize,
}

impl<'a> Source for Ahead<'a> {
    type Bytes = &'a [u8];

    #[inline]
    fn varint(&mut self) -> Option<i64> {
        varint::take_by_word(&mut self.rest)
    }

    #[inline]
    fn varint_i32(&mut self) -> Option<i32> {
        varint::take_i32_by_word(&mut self.rest)
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        self.rest.byte()
    }

    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        (self.behind <= rest.len()).then_some(taken)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.rest.len() == self.behind
    }
}

/// A record and the bytes of its headers.
pub(crate) type Taken<'a> = (Fields<&'a [u8]>, &'a [u8]);

/// Takes a record off the front of plain bytes.
#[inline]
pub(crate) fn take<'a>(rest: &mut &'a [u8]) -> Result<Taken<'a>, Problem> {
    match take_usual(rest) {
        Some(taken) => Ok(taken),
        None => take_any(rest),
    }
}

/// Like [`take`], at a third of the cost, but `None` for the last record, for one with an integer
/// of nine bytes, and for one that is malformed.
#[inline]
pub(crate) fn take_usual<'a>(rest: &mut &'a [u8]) -> Option<Taken<'a>> {
    let mut ahead = *rest;
    let length = usize::try_from(varint::take_i32_by_word(&mut ahead)?).ok()?;
    let behind = ahead.get(length..)?;
    let mut body = Ahead { rest: ahead, behind: behind.len() };
    let fields = record(&mut body).ok()?;
    let headers = body.rest.get(..body.rest.len().checked_sub(behind.len())?)?;
    *rest = behind;
    Some((fields, headers))
}

/// [`take`], byte by byte.
#[cold]
pub(crate) fn take_any<'a>(rest: &mut &'a [u8]) -> Result<Taken<'a>, Problem> {
    let length = length(rest)?;
    let mut body = rest.take(length).ok_or(CUT)?;
    let fields = record(&mut body)?;
    Ok((fields, body))
}

/// Reads how long the record behind is.
pub(crate) fn length<S: Source>(source: &mut S) -> Result<usize, Problem> {
    let length = source.varint_i32().ok_or(CUT)?;
    usize::try_from(length).map_err(|_sign| "its length is negative")
}

/// A record as it lies there, without the length before it and the headers behind.
pub(crate) struct Fields<B> {
    /// Milliseconds behind the batch's base timestamp.
    pub(crate) timestamp_delta: i64,
    /// Its place behind the batch's base offset.
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<B>,
    pub(crate) value: Option<B>,
    /// How many follow.
    pub(crate) header_count: u32,
}

/// Reads a record up to its headers.
#[inline]
pub(crate) fn record<S: Source>(body: &mut S) -> Result<Fields<S::Bytes>, Problem> {
    // The attributes of a record are unused.
    body.byte().ok_or(CUT)?;
    let timestamp_delta = body.varint().ok_or(CUT)?;
    let offset_delta = body.varint_i32().ok_or(CUT)?;
    let key = optional(body).ok_or("its key does not fit in it")?;
    let value = optional(body).ok_or("its value does not fit in it")?;
    let header_count = body
        .varint_i32()
        .and_then(|count| u32::try_from(count).ok())
        .ok_or("its header count is negative or missing")?;
    if header_count == 0 && !body.is_empty() {
        return Err(TOO_LONG);
    }
    Ok(Fields { timestamp_delta, offset_delta, key, value, header_count })
}

/// Reads a header, of which `left` more follow: its name and its value.
#[inline]
pub(crate) fn header<S: Source>(
    body: &mut S,
    left: u32,
) -> Result<(S::Bytes, Option<S::Bytes>), Problem> {
    let name =
        optional(body).flatten().ok_or("the name of a header is absent or does not fit in it")?;
    let value = optional(body).ok_or("the value of a header does not fit in it")?;
    if left == 0 && !body.is_empty() {
        return Err(TOO_LONG);
    }
    Ok((name, value))
}

const TOO_LONG: Problem = "it is longer than its fields";

/// A length and so many bytes; a length of -1 stands for none. The outer `None` is malformed.
#[inline]
#[expect(clippy::option_option, reason = "malformed, absent and present are three things")]
fn optional<S: Source>(body: &mut S) -> Option<Option<S::Bytes>> {
    match body.varint_i32()? {
        -1 => Some(None),
        length => body.take(usize::try_from(length).ok()?).map(Some),
    }
}
