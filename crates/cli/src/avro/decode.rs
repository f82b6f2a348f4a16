use serde_json::{Map, Value};
use thiserror::Error;

use super::MAX_DEPTH;
use super::shape::{Field, Node, NodeId, Shape};

/// How many values a datum may hold beyond those that its bytes account for: nulls, and records of
/// them, take no bytes, so a few bytes may claim any number.
const MAX_EMPTY_VALUES: usize = 1 << 16;
/// How many values a byte may account for: itself, and the records around it.
const VALUES_PER_BYTE: usize = 8;

/// Bytes that are no datum of their schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Undecodable {
    /// The bytes end before the datum does.
    #[error("the datum is cut off")]
    Truncated,
    /// The datum ends before the bytes do.
    #[error("{extra} bytes follow the datum")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// A value that its type cannot have.
    #[error("the datum holds a {of} that cannot be")]
    Illegal {
        /// The Avro type.
        of: &'static str,
    },
    /// Nested deeper than any reader should follow.
    #[error("the datum nests deeper than 200 levels")]
    TooDeep,
    /// More values than any reader should make of so few bytes.
    #[error("the datum claims far more values than its bytes can justify")]
    TooLarge,
}

impl Shape {
    /// The JSON value of exactly one datum.
    ///
    /// # Errors
    ///
    /// [`Undecodable`], when the bytes are not that.
    pub(crate) fn decode(&self, datum: &[u8]) -> Result<Value, Undecodable> {
        let of_bytes = datum.len().saturating_mul(VALUES_PER_BYTE);
        let values_left = of_bytes.saturating_add(MAX_EMPTY_VALUES);
        let mut decoder = Decoder { shape: self, rest: datum, values_left };
        let value = decoder.value(self.root(), MAX_DEPTH)?;
        match decoder.rest.len() {
            0 => Ok(value),
            extra => Err(Undecodable::Trailing { extra }),
        }
    }
}

struct Decoder<'s, 'd> {
    shape: &'s Shape,
    rest: &'d [u8],
    values_left: usize,
}

impl<'s, 'd> Decoder<'s, 'd> {
    fn value(&mut self, id: NodeId, depth: u32) -> Result<Value, Undecodable> {
        let depth = depth.checked_sub(1).ok_or(Undecodable::TooDeep)?;
        self.values_left = self.values_left.checked_sub(1).ok_or(Undecodable::TooLarge)?;
        let shape: &'s Shape = self.shape;
        Ok(match shape.node(id) {
            Node::Null => Value::Null,
            Node::Boolean => match self.take(1)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return Err(Undecodable::Illegal { of: "boolean" }),
            },
            Node::Int => {
                let number = i32::try_from(self.long()?);
                number.map_err(|_large| Undecodable::Illegal { of: "int" })?.into()
            }
            Node::Long => self.long()?.into(),
            Node::Float => {
                let number = f32::from_le_bytes(self.array_of()?);
                float(f64::from(number), &number.to_string())
            }
            Node::Double => {
                let number = f64::from_le_bytes(self.array_of()?);
                float(number, &number.to_string())
            }
            Node::Bytes => text_of(self.sized()?),
            Node::Fixed { size, .. } => text_of(self.take(*size)?),
            Node::String => self.text()?.into(),
            Node::Enum { symbols, .. } => {
                let symbol = symbols.get(self.index()?);
                symbol.ok_or(Undecodable::Illegal { of: "enum" })?.as_str().into()
            }
            Node::Array(items) => self.array(*items, depth)?,
            Node::Map(values) => self.map(*values, depth)?,
            Node::Union(branches) => self.union(branches, depth)?,
            Node::Record { fields, .. } => self.record(fields, depth)?,
        })
    }

    fn array(&mut self, items: NodeId, depth: u32) -> Result<Value, Undecodable> {
        let mut values = Vec::new();
        while let Some(count) = self.block("array")? {
            for _ in 0..count {
                values.push(self.value(items, depth)?);
            }
        }
        Ok(Value::Array(values))
    }

    fn map(&mut self, values: NodeId, depth: u32) -> Result<Value, Undecodable> {
        let mut members = Map::new();
        while let Some(count) = self.block("map")? {
            for _ in 0..count {
                let key = self.text()?.to_owned();
                members.insert(key, self.value(values, depth)?);
            }
        }
        Ok(Value::Object(members))
    }

    fn union(&mut self, branches: &[NodeId], depth: u32) -> Result<Value, Undecodable> {
        let illegal = Undecodable::Illegal { of: "union" };
        let branch = *branches.get(self.index()?).ok_or(illegal)?;
        let value = self.value(branch, depth)?;
        let node = self.shape.node(branch);
        if matches!(node, Node::Null) {
            return Ok(value);
        }
        let mut tagged = Map::new();
        tagged.insert(node.label().to_owned(), value);
        Ok(Value::Object(tagged))
    }

    fn record(&mut self, fields: &[Field], depth: u32) -> Result<Value, Undecodable> {
        let mut members = Map::new();
        for field in fields {
            members.insert(field.name.clone(), self.value(field.node, depth)?);
        }
        Ok(Value::Object(members))
    }

    /// How many items the next block of an array or map holds; `None` at the end.
    fn block(&mut self, of: &'static str) -> Result<Option<u64>, Undecodable> {
        let count = self.long()?;
        if count < 0 && self.long()? < 0 {
            return Err(Undecodable::Illegal { of });
        }
        Ok(Some(count.unsigned_abs()).filter(|count| 0 < *count))
    }

    fn index(&mut self) -> Result<usize, Undecodable> {
        usize::try_from(self.long()?).map_err(|_negative| Undecodable::Illegal { of: "index" })
    }

    fn text(&mut self) -> Result<&'d str, Undecodable> {
        str::from_utf8(self.sized()?).map_err(|_binary| Undecodable::Illegal { of: "string" })
    }

    fn sized(&mut self) -> Result<&'d [u8], Undecodable> {
        let length = usize::try_from(self.long()?);
        self.take(length.map_err(|_negative| Undecodable::Illegal { of: "length" })?)
    }

    fn long(&mut self) -> Result<i64, Undecodable> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(Undecodable::Truncated)?;
            self.rest = rest;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && 1 < low {
                break;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                let magnitude = (value >> 1).cast_signed();
                return Ok(if value & 1 == 0 { magnitude } else { !magnitude });
            }
        }
        Err(Undecodable::Illegal { of: "number of more than 64 bits" })
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Undecodable::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take(&mut self, length: usize) -> Result<&'d [u8], Undecodable> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Undecodable::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// A float as JSON. `shortest` is the shortest text that reads back as the same number; what JSON
/// has no number for is the word that Avro's own tools print.
fn float(number: f64, shortest: &str) -> Value {
    let parsed = if number.is_finite() { shortest.parse().ok() } else { None };
    parsed.map_or_else(|| special_word(number).into(), Value::Number)
}

fn special_word(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number.is_sign_positive() {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// One character for each byte, as Avro's JSON encoding has it.
fn text_of(bytes: &[u8]) -> Value {
    bytes.iter().copied().map(char::from).collect::<String>().into()
}
