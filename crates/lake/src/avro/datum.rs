use thiserror::Error;

use super::shape::{Meaning, Node, NodeId, Shape};
use super::take_long;

/// How deep records, arrays, maps and unions may nest. Deeper data is refused, not followed.
const MAX_DEPTH: u32 = 200;
/// How many values a datum may hold beyond those that its bytes account for: nulls, and records of
/// them, take no bytes, so a few bytes may claim any number.
const MAX_EMPTY_VALUES: u64 = 1 << 20;

/// The one field of a datum that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured<'a> {
    /// There is no such field in the writer's schema, or not in the branch taken.
    Absent,
    /// It is null.
    Null,
    /// An `int` or `long`.
    Whole {
        /// The number.
        value: i64,
        /// What its logical type says of it.
        meaning: Meaning,
    },
    /// A `string`.
    Text(&'a str),
    /// Of a type that holds no time.
    Other,
}

/// Why bytes are no datum of their schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidDatum {
    /// The bytes end before the datum does.
    #[error("the datum is cut off: it ends within a {within}")]
    Truncated {
        /// The Avro type at which it ends.
        within: &'static str,
    },
    /// The datum ends before the bytes do.
    #[error("{extra} bytes follow the datum")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// A value that its type cannot have.
    #[error("the datum holds a {of} that cannot be: {what}")]
    Illegal {
        /// The Avro type.
        of: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nested deeper than any reader should follow.
    #[error("the datum nests deeper than 200 levels")]
    TooDeep,
    /// More values than any reader should make of so few bytes.
    #[error("the datum claims far more values than its bytes can justify")]
    TooLarge,
}

impl Shape {
    /// Checks that `datum` is exactly one datum of this shape, and captures the field at `path`.
    ///
    /// An empty path captures nothing ([`Captured::Absent`]).
    ///
    /// # Errors
    ///
    /// [`InvalidDatum`] where a reader of the schema would fail, or would have to build more than
    /// the bytes can justify.
    pub fn walk<'a>(&self, datum: &'a [u8], path: &[String]) -> Result<Captured<'a>, InvalidDatum> {
        // Whatever takes a byte stands at most so deep below values that take none themselves.
        let bytes = u64::try_from(datum.len()).unwrap_or(u64::MAX);
        let values_left = bytes.saturating_mul(MAX_DEPTH.into()).saturating_add(MAX_EMPTY_VALUES);
        let mut walk = Walk { shape: self, rest: datum, values_left, captured: Captured::Absent };
        let target = if path.is_empty() { None } else { Some(path) };
        walk.step(self.root(), target, MAX_DEPTH)?;
        match walk.rest.len() {
            0 => Ok(walk.captured),
            extra => Err(InvalidDatum::Trailing { extra }),
        }
    }
}

struct Walk<'s, 'a> {
    shape: &'s Shape,
    rest: &'a [u8],
    values_left: u64,
    captured: Captured<'a>,
}

/// The path that still lies ahead, if this value is on it; empty when this value is the target.
type Target<'p> = Option<&'p [String]>;

impl<'a> Walk<'_, 'a> {
    fn step(&mut self, id: NodeId, target: Target<'_>, depth: u32) -> Result<(), InvalidDatum> {
        let depth = depth.checked_sub(1).ok_or(InvalidDatum::TooDeep)?;
        self.values_left = self.values_left.checked_sub(1).ok_or(InvalidDatum::TooLarge)?;
        // `shape` outlives `self`, so its nodes may be held while `self` moves on.
        let shape = self.shape;
        let found = match shape.node(id) {
            Node::Null => Captured::Null,
            Node::Boolean => match self.take(1, "boolean")? {
                [0 | 1] => Captured::Other,
                _ => return Err(illegal("boolean", "neither 0 nor 1")),
            },
            Node::Int(meaning) => {
                let value = self.long("int")?;
                if i32::try_from(value).is_err() {
                    return Err(illegal("int", "more than 32 bits"));
                }
                Captured::Whole { value, meaning: *meaning }
            }
            Node::Long(meaning) => Captured::Whole { value: self.long("long")?, meaning: *meaning },
            Node::Fixed(size) => {
                self.take(*size, "fixed, float or double").map(|_| Captured::Other)?
            }
            Node::Bytes => self.sized("bytes").map(|_| Captured::Other)?,
            Node::Text => Captured::Text(self.text()?),
            Node::Enum { symbols } => {
                self.index(*symbols, "enum")?;
                Captured::Other
            }
            Node::Array(items) => return self.array(*items, target, depth),
            Node::Map(values) => return self.map(*values, target, depth),
            Node::Union(branches) => {
                let index = self.index(branches.len(), "union")?;
                let branch = branches.get(index).ok_or(illegal("union", "no such branch"))?;
                return self.step(*branch, target, depth);
            }
            Node::Record(fields) => {
                let ahead = target.and_then(<[String]>::split_first);
                for field in fields {
                    let target =
                        ahead.filter(|(name, _)| **name == field.name).map(|(_, rest)| rest);
                    self.step(field.node, target, depth)?;
                }
                Captured::Other
            }
        };
        if target.is_some_and(<[String]>::is_empty) {
            self.captured = found;
        }
        Ok(())
    }

    fn array(&mut self, items: NodeId, target: Target<'_>, depth: u32) -> Result<(), InvalidDatum> {
        self.mark_other(target);
        while let Some(count) = self.block("array")? {
            for _ in 0..count {
                self.step(items, None, depth)?;
            }
        }
        Ok(())
    }

    fn map(&mut self, values: NodeId, target: Target<'_>, depth: u32) -> Result<(), InvalidDatum> {
        self.mark_other(target);
        while let Some(count) = self.block("map")? {
            // Each key takes a byte at least, so the bytes bound the loop.
            for _ in 0..count {
                self.text()?;
                self.step(values, None, depth)?;
            }
        }
        Ok(())
    }

    fn mark_other(&mut self, target: Target<'_>) {
        if target.is_some_and(<[String]>::is_empty) {
            self.captured = Captured::Other;
        }
    }

    /// The header of an array's or map's block: how many items follow, `None` at the end.
    fn block(&mut self, within: &'static str) -> Result<Option<u64>, InvalidDatum> {
        let count = self.long(within)?;
        if count < 0 {
            // A negative count says that the block's size in bytes follows; the items tell it too.
            let size = self.long(within)?;
            if size < 0 {
                return Err(illegal(within, "a block of negative size"));
            }
        }
        Ok(Some(count.unsigned_abs()).filter(|count| 0 < *count))
    }

    fn index(&mut self, choices: usize, of: &'static str) -> Result<usize, InvalidDatum> {
        let index = usize::try_from(self.long(of)?).ok().filter(|index| *index < choices);
        index.ok_or(illegal(of, "an index beyond its last choice"))
    }

    fn text(&mut self) -> Result<&'a str, InvalidDatum> {
        let bytes = self.sized("string")?;
        std::str::from_utf8(bytes).map_err(|_not_utf8| illegal("string", "not UTF-8"))
    }

    fn sized(&mut self, within: &'static str) -> Result<&'a [u8], InvalidDatum> {
        let length = self.long(within)?;
        let length =
            usize::try_from(length).map_err(|_negative| illegal(within, "a negative length"))?;
        self.take(length, within)
    }

    fn long(&mut self, within: &'static str) -> Result<i64, InvalidDatum> {
        match take_long(self.rest) {
            Some((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            None if self.rest.len() < 10 => Err(InvalidDatum::Truncated { within }),
            None => Err(illegal(within, "a number of more than 64 bits")),
        }
    }

    fn take(&mut self, length: usize, within: &'static str) -> Result<&'a [u8], InvalidDatum> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(InvalidDatum::Truncated { within })?;
        self.rest = rest;
        Ok(taken)
    }
}

fn illegal(of: &'static str, what: &'static str) -> InvalidDatum {
    InvalidDatum::Illegal { of, what }
}

#[cfg(test)]
mod tests;
