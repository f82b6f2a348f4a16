use std::fmt::Write as _;

use serde_json::{Map, Value};
use thiserror::Error;

use super::MAX_DEPTH;
use super::shape::{Field, Node, NodeId, Shape};

/// How much of a value an error quotes, in characters.
const MAX_QUOTED: usize = 40;

/// A JSON value that its schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {problem}", if path.is_empty() { "the value" } else { path })]
pub(crate) struct Unencodable {
    /// Where: `address.lines[2]`; empty for the value itself.
    path: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum Problem {
    #[error("expected {wanted}, found {found}")]
    Mismatch { wanted: String, found: String },
    #[error("{number} does not fit into {wanted}")]
    Range { number: String, wanted: &'static str },
    #[error("the field is missing, and has no default")]
    Missing,
    #[error("{record} has no such field; it has {fields}")]
    Unknown { record: String, fields: String },
    #[error("{found:?} is none of the symbols {symbols}")]
    Symbol { found: String, symbols: String },
    #[error("{name} takes {size} bytes, found {found}")]
    Size { name: String, size: usize, found: usize },
    #[error("{found:?} is beyond what one byte holds; bytes are text of code points 0 to 255")]
    Byte { found: char },
    #[error("the value nests deeper than 200 levels")]
    TooDeep,
}

impl Shape {
    /// The datum for a JSON value.
    ///
    /// # Errors
    ///
    /// [`Unencodable`] says which field does not fit, and why.
    pub(crate) fn encode(&self, value: &Value) -> Result<Vec<u8>, Unencodable> {
        let mut encoder = Encoder { shape: self, out: Vec::new(), path: Vec::new() };
        match encoder.value(self.root(), value, MAX_DEPTH) {
            Ok(()) => Ok(encoder.out),
            Err(problem) => Err(Unencodable { path: encoder.path(), problem }),
        }
    }
}

struct Encoder<'s> {
    shape: &'s Shape,
    out: Vec<u8>,
    /// The way to the value at hand. After an error it stays where the error happened.
    path: Vec<Step>,
}

enum Step {
    Member(String),
    Item(usize),
}

impl<'s> Encoder<'s> {
    fn value(&mut self, id: NodeId, value: &Value, depth: u32) -> Result<(), Problem> {
        let depth = depth.checked_sub(1).ok_or(Problem::TooDeep)?;
        let shape: &'s Shape = self.shape;
        let node = shape.node(id);
        match (node, value) {
            (Node::Null, Value::Null) => {}
            (Node::Boolean, Value::Bool(flag)) => self.out.push(u8::from(*flag)),
            (Node::Int, Value::Number(_)) => {
                let number = whole(value, "int")?;
                i32::try_from(number).map_err(|_outside| range(value, "int"))?;
                self.long(number);
            }
            (Node::Long, Value::Number(_)) => self.long(whole(value, "long")?),
            (Node::Float, Value::Number(_)) => {
                let number = value.to_string().parse::<f32>().ok().filter(|n| n.is_finite());
                let number = number.ok_or_else(|| range(value, "float"))?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            (Node::Double, Value::Number(_)) => {
                let number = value.as_f64().filter(|n| n.is_finite());
                let number = number.ok_or_else(|| range(value, "double"))?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            (Node::Float, Value::String(word)) => {
                let number: f32 = special_number(word).ok_or_else(|| mismatch(node, value))?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            (Node::Double, Value::String(word)) => {
                let number: f64 = special_number(word).ok_or_else(|| mismatch(node, value))?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            (Node::String, Value::String(text)) => self.sized(text.as_bytes()),
            (Node::Bytes, Value::String(text)) => {
                let bytes = bytes_of(text)?;
                self.sized(&bytes);
            }
            (Node::Fixed { name, size }, Value::String(text)) => {
                let bytes = bytes_of(text)?;
                if bytes.len() != *size {
                    let name = name.clone();
                    return Err(Problem::Size { name, size: *size, found: bytes.len() });
                }
                self.out.extend_from_slice(&bytes);
            }
            (Node::Enum { symbols, .. }, Value::String(text)) => self.symbol(symbols, text)?,
            (Node::Array(items), Value::Array(values)) => self.array(*items, values, depth)?,
            (Node::Map(of), Value::Object(members)) => self.map(*of, members, depth)?,
            (Node::Union(branches), _) => self.union(branches, value, depth)?,
            (Node::Record { name, fields }, Value::Object(members)) => {
                self.record(name, fields, members, depth)?;
            }
            (node, value) => return Err(mismatch(node, value)),
        }
        Ok(())
    }

    fn symbol(&mut self, symbols: &[String], text: &str) -> Result<(), Problem> {
        let Some(index) = symbols.iter().position(|symbol| symbol == text) else {
            return Err(Problem::Symbol { found: text.to_owned(), symbols: symbols.join(", ") });
        };
        self.count(index);
        Ok(())
    }

    fn array(&mut self, items: NodeId, values: &[Value], depth: u32) -> Result<(), Problem> {
        if !values.is_empty() {
            self.count(values.len());
            for (index, value) in values.iter().enumerate() {
                self.step(Step::Item(index), items, value, depth)?;
            }
        }
        self.long(0);
        Ok(())
    }

    fn map(
        &mut self,
        values: NodeId,
        members: &Map<String, Value>,
        depth: u32,
    ) -> Result<(), Problem> {
        if !members.is_empty() {
            self.count(members.len());
            for (key, value) in members {
                self.sized(key.as_bytes());
                self.step(Step::Member(key.clone()), values, value, depth)?;
            }
        }
        self.long(0);
        Ok(())
    }

    fn record(
        &mut self,
        name: &str,
        fields: &[Field],
        members: &Map<String, Value>,
        depth: u32,
    ) -> Result<(), Problem> {
        for key in members.keys() {
            if !fields.iter().any(|field| field.name == *key) {
                self.path.push(Step::Member(key.clone()));
                let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
                return Err(Problem::Unknown { record: name.to_owned(), fields: names.join(", ") });
            }
        }
        for field in fields {
            let Some(value) = members.get(&field.name).or(field.default.as_ref()) else {
                self.path.push(Step::Member(field.name.clone()));
                return Err(Problem::Missing);
            };
            self.step(Step::Member(field.name.clone()), field.node, value, depth)?;
        }
        Ok(())
    }

    /// `{"branch": value}` names its branch; any other value goes into the first that takes it.
    fn union(&mut self, branches: &[NodeId], value: &Value, depth: u32) -> Result<(), Problem> {
        if let Some((index, branch, inner)) = self.named_branch(branches, value) {
            self.count(index);
            return self.value(branch, inner, depth);
        }
        let (length, here) = (self.out.len(), self.path.len());
        let is_text = value.is_string() && self.holds_text(branches);
        let mut failures = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let node = self.shape.node(*branch);
            if is_text && matches!(node, Node::Float | Node::Double) {
                // "NaN" is a text where it can be one.
                continue;
            }
            self.count(index);
            let Err(problem) = self.value(*branch, value, depth) else { return Ok(()) };
            self.out.truncate(length);
            let path = self.path.split_off(here);
            if !matches!(node, Node::Null) {
                failures.push((problem, path));
            }
        }
        if failures.len() == 1
            && !value.is_null()
            && let Some((problem, path)) = failures.pop()
        {
            // It says more than that nothing fits.
            self.path.extend(path);
            return Err(problem);
        }
        let labels: Vec<_> = branches.iter().map(|id| self.shape.node(*id).label()).collect();
        Err(Problem::Mismatch { wanted: labels.join(" or "), found: describe(value) })
    }

    fn holds_text(&self, branches: &[NodeId]) -> bool {
        branches.iter().any(|branch| matches!(self.shape.node(*branch), Node::String))
    }

    fn named_branch<'v>(
        &self,
        branches: &[NodeId],
        value: &'v Value,
    ) -> Option<(usize, NodeId, &'v Value)> {
        let members = value.as_object().filter(|members| members.len() == 1)?;
        let (name, inner) = members.iter().next()?;
        let index = branches.iter().position(|id| self.shape.node(*id).label() == name)?;
        Some((index, *branches.get(index)?, inner))
    }

    fn step(&mut self, step: Step, id: NodeId, value: &Value, depth: u32) -> Result<(), Problem> {
        self.path.push(step);
        self.value(id, value, depth)?;
        self.path.pop();
        Ok(())
    }

    fn count(&mut self, count: usize) {
        self.long(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Zigzag, then base 128, low bits first.
    fn long(&mut self, value: i64) {
        let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                self.out.push(low & 0x7f);
                return;
            }
            self.out.push(low | 0x80);
        }
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn path(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Member(name) if text.is_empty() => text.push_str(name),
                Step::Member(name) => write!(text, ".{name}").unwrap_or_default(),
                Step::Item(index) => write!(text, "[{index}]").unwrap_or_default(),
            }
        }
        text
    }
}

fn mismatch(node: &Node, value: &Value) -> Problem {
    Problem::Mismatch { wanted: node.label().to_owned(), found: describe(value) }
}

/// What JSON has no number for, by the word that Avro's own tools print.
fn special_number<F: From<f32>>(word: &str) -> Option<F> {
    match word {
        "NaN" => Some(f32::NAN.into()),
        "Infinity" => Some(f32::INFINITY.into()),
        "-Infinity" => Some(f32::NEG_INFINITY.into()),
        _ => None,
    }
}

fn whole(value: &Value, wanted: &'static str) -> Result<i64, Problem> {
    value.as_i64().ok_or_else(|| range(value, wanted))
}

fn range(value: &Value, wanted: &'static str) -> Problem {
    Problem::Range { number: value.to_string(), wanted }
}

fn bytes_of(text: &str) -> Result<Vec<u8>, Problem> {
    text.chars().map(|c| u8::try_from(c).map_err(|_large| Problem::Byte { found: c })).collect()
}

fn describe(value: &Value) -> String {
    let kind = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(_) => "the boolean",
        Value::Number(_) => "the number",
        Value::String(_) => "the string",
        Value::Array(_) => "the array",
        Value::Object(_) => "the object",
    };
    let text = value.to_string();
    let quoted: String = text.chars().take(MAX_QUOTED).collect();
    let more = if quoted.len() < text.len() { "..." } else { "" };
    format!("{kind} {quoted}{more}")
}
