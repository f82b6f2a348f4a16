//! Whether a field's default is a value of the field's type.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::ParseError;
use crate::json::{excerpt, shorten};
use crate::model::{Body, Field, NamedType, Node, Primitive, Resolved, Schema};
use crate::name::FullName;

/// What a fractional field without a JSON number for it holds: `"NaN"`, `"Infinity"`.
fn is_unspeakable(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|value| !value.is_finite())
}

/// The default as Java keeps it: a fractional field may have its number in quotes.
pub(super) fn read(node: &Node, written: &Value) -> Value {
    let fractional =
        matches!(node, Node::Primitive { primitive: Primitive::Float | Primitive::Double, .. });
    let quoted = written.as_str().filter(|_| fractional);
    match quoted.and_then(|text| text.trim().parse().ok()) {
        Some(value) => Number::from_f64(value).map_or_else(|| spell(value), Value::Number),
        None => written.clone(),
    }
}

fn spell(value: f64) -> Value {
    let text = if value.is_nan() {
        "NaN"
    } else if value < 0.0 {
        "-Infinity"
    } else {
        "Infinity"
    };
    Value::String(text.to_owned())
}

impl Schema {
    /// Checks what can only be checked once every name is known.
    pub(super) fn validate_records(&self) -> Result<(), ParseError> {
        for named in self.types.values() {
            if let Body::Record { fields, .. } = &named.body {
                self.validate_fields(named, fields)?;
            }
        }
        Ok(())
    }

    fn validate_fields(&self, record: &NamedType, fields: &[Field]) -> Result<(), ParseError> {
        let mut seen = BTreeMap::new();
        for (position, field) in fields.iter().enumerate() {
            let this = (position, self.resolve(&field.node).kind());
            if let Some(first) = seen.insert(&field.name, this) {
                let record = record.name.as_str();
                return Err(ParseError::duplicate_field(record, &field.name, first, this));
            }
            let Some(default) = &field.default else { continue };
            let mut check = Check { schema: self, known: BTreeMap::new() };
            if !check.field(field, default) {
                return Err(ParseError::InvalidDefault {
                    field: field.name.clone(),
                    default: excerpt(default),
                    schema: shorten(self.part(&field.node)),
                });
            }
        }
        Ok(())
    }
}

/// One default under test.
struct Check<'a> {
    schema: &'a Schema,
    /// Verdicts on records, by name and address of the value: unions may ask for the same again
    /// at every level, which without this takes exponential time.
    known: BTreeMap<(&'a FullName, *const Value), bool>,
}

impl<'a> Check<'a> {
    fn field(&mut self, field: &'a Field, default: &'a Value) -> bool {
        let fractional = matches!(
            field.node,
            Node::Primitive { primitive: Primitive::Float | Primitive::Double, .. }
        );
        let unspeakable = default.as_str().is_some_and(is_unspeakable);
        (fractional && unspeakable) || self.fits(&field.node, default)
    }

    fn fits(&mut self, node: &'a Node, value: &'a Value) -> bool {
        match self.schema.resolve(node) {
            Resolved::Primitive(primitive) => is_primitive_value(primitive, value),
            Resolved::Array(items) => value
                .as_array()
                .is_some_and(|elements| elements.iter().all(|each| self.fits(items, each))),
            Resolved::Map(values) => value
                .as_object()
                .is_some_and(|members| members.values().all(|each| self.fits(values, each))),
            Resolved::Union(branches) => branches.iter().any(|branch| self.fits(branch, value)),
            Resolved::Named(named) => match &named.body {
                Body::Enum { .. } | Body::Fixed { .. } => value.is_string(),
                Body::Record { fields, .. } => self.record(&named.name, fields, value),
            },
        }
    }

    fn record(&mut self, name: &'a FullName, fields: &'a [Field], value: &'a Value) -> bool {
        let Some(members) = value.as_object() else { return false };
        let key = (name, std::ptr::from_ref(value));
        if let Some(verdict) = self.known.get(&key) {
            return *verdict;
        }
        let verdict = fields.iter().all(|field| match members.get(&field.name) {
            Some(member) => self.fits(&field.node, member),
            // The field's own default is checked where the field is.
            None => field.default.is_some(),
        });
        self.known.insert(key, verdict);
        verdict
    }
}

fn is_primitive_value(primitive: Primitive, value: &Value) -> bool {
    match primitive {
        Primitive::Null => value.is_null(),
        Primitive::Boolean => value.is_boolean(),
        Primitive::Int => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Primitive::Long => value.as_i64().is_some(),
        Primitive::Float | Primitive::Double => value.is_number(),
        Primitive::Bytes | Primitive::String => value.is_string(),
    }
}
