//! Text to [`Schema`], by Avro-Java's rules.

mod attribute;
mod default;
mod error;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use attribute::{
    FIELD_RESERVED, SCHEMA_RESERVED, aliases, enumeration, fixed, order, text, unknown,
};
pub use error::{Hint, ParseError, Within};

use crate::json::{excerpt, shorten};
use crate::model::{
    Body, Field, MAX_NESTING, MAX_TEXT_BYTES, NamedType, Node, Primitive, Props, RecordKind, Schema,
};
use crate::name::{FullName, validate};
use crate::suggestion;

impl Schema {
    /// Reads a schema that refers to no other.
    ///
    /// # Errors
    ///
    /// [`ParseError`] says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Parser::new().parse(text)
    }
}

/// Reads a schema together with the schemas it refers to.
#[derive(Debug, Default)]
pub struct Parser {
    types: BTreeMap<FullName, NamedType>,
    /// Every name the text at hand defines anywhere: a name may be used before its definition.
    declared: BTreeSet<FullName>,
    /// The names that were used on the strength of that alone.
    awaited: BTreeSet<FullName>,
    /// What surrounds the place being read, for messages.
    within: Option<String>,
}

impl Parser {
    /// A parser that knows no names yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the named types of `text` known to what is read after it.
    ///
    /// # Errors
    ///
    /// [`ParseError`] as for [`Schema::parse`]; also if `text` defines a known name again.
    pub fn add_reference(&mut self, text: &str) -> Result<(), ParseError> {
        self.root(text).map(drop)
    }

    /// Reads the schema itself, whose names may come from the references added before.
    ///
    /// # Errors
    ///
    /// [`ParseError`] as for [`Parser::add_reference`].
    pub fn parse(mut self, text: &str) -> Result<Schema, ParseError> {
        let external: BTreeSet<_> = self.types.keys().cloned().collect();
        let root = self.root(text)?;
        let schema = Schema { root, types: self.types, external };
        // The first bounds how deep writers recurse, the second what a JSON parser will meet.
        if MAX_NESTING < schema.nesting() || MAX_NESTING < json_nesting(&schema.resolved()) {
            return Err(ParseError::TooDeep);
        }
        schema.validate_records()?;
        Ok(schema)
    }

    fn root(&mut self, text: &str) -> Result<Node, ParseError> {
        if MAX_TEXT_BYTES < text.len() {
            return Err(ParseError::TooLarge { bytes: text.len() });
        }
        let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let json = match documents.next() {
            Some(read) => read.map_err(ParseError::NotJson)?,
            None => Value::Null,
        };
        let rest = text.split_at_checked(documents.byte_offset()).map_or("", |(_, rest)| rest);
        if !rest.trim().is_empty() {
            return Err(ParseError::Dangling { rest: shorten(rest.trim().to_owned()) });
        }
        self.declared.clear();
        self.within = None;
        self.declare(&json, None);
        let root = self.node(&json, None)?;
        let awaited = std::mem::take(&mut self.awaited);
        match awaited.into_iter().find(|name| !self.types.contains_key(name)) {
            None => Ok(root),
            Some(name) => {
                let (name, within, hint) = (name.to_string(), Within(None), Hint(None));
                Err(ParseError::UndefinedName { name, within, hint })
            }
        }
    }

    /// Collects the names that `json` defines. Faults are left for the reading proper to find.
    fn declare(&mut self, json: &Value, enclosing: Option<&str>) {
        match json {
            Value::Array(branches) => {
                for branch in branches {
                    self.declare(branch, enclosing);
                }
            }
            Value::Object(object) => {
                let declared = declared_name(object, enclosing).and_then(Result::ok);
                let namespace = declared.as_ref().and_then(FullName::namespace).or(enclosing);
                // Only what the reading proper will come to: a name counted on must be defined.
                let inner = match text(object, "type") {
                    Some("array") => object.get("items"),
                    Some("map") => object.get("values"),
                    _ => None,
                };
                if let Some(inner) = inner {
                    self.declare(inner, namespace);
                }
                let is_record = matches!(text(object, "type"), Some("record" | "error"));
                let fields = object.get("fields").filter(|_| is_record);
                for field in fields.and_then(Value::as_array).into_iter().flatten() {
                    if let Some(inner) = field.get("type") {
                        self.declare(inner, namespace);
                    }
                }
                self.declared.extend(declared);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn node(&mut self, json: &Value, enclosing: Option<&str>) -> Result<Node, ParseError> {
        match json {
            Value::String(name) => self.used(name, enclosing)?.ok_or_else(|| {
                let hint = Hint(suggestion::for_type(name));
                ParseError::UndefinedName { name: name.clone(), within: self.place(), hint }
            }),
            Value::Array(branches) => self.union(branches, enclosing),
            Value::Object(object) => self.object(json, object, enclosing),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Err(ParseError::Unsupported { found: excerpt(json) })
            }
        }
    }

    /// The type that a bare name stands for, if it stands for any.
    fn used(&mut self, name: &str, enclosing: Option<&str>) -> Result<Option<Node>, ParseError> {
        if let Some(primitive) = Primitive::parse(name) {
            return Ok(Some(Node::Primitive { primitive, props: Props::new() }));
        }
        let inside = FullName::read(name, enclosing)?;
        let outside = FullName::read(name, None)?;
        // What is defined already wins over what is only defined further on.
        let candidates = [inside, outside];
        if let Some(known) = candidates.iter().find(|name| self.types.contains_key(*name)) {
            return Ok(Some(Node::Named(known.clone())));
        }
        let declared = candidates.into_iter().find(|name| self.declared.contains(name));
        self.awaited.extend(declared.clone());
        Ok(declared.map(Node::Named))
    }

    fn union(&mut self, branches: &[Value], enclosing: Option<&str>) -> Result<Node, ParseError> {
        let mut nodes = Vec::with_capacity(branches.len());
        for branch in branches {
            nodes.push(self.node(branch, enclosing)?);
        }
        let mut names = BTreeSet::new();
        for node in &nodes {
            let name = match node {
                Node::Primitive { primitive, .. } => primitive.as_str(),
                Node::Array { .. } => "array",
                Node::Map { .. } => "map",
                Node::Named(name) => name.as_str(),
                Node::Union(_) => {
                    let union = excerpt(&Value::Array(branches.to_vec()));
                    return Err(ParseError::NestedUnion { union });
                }
            };
            if !names.insert(name) {
                return Err(ParseError::DuplicateBranch { name: name.to_owned() });
            }
        }
        Ok(Node::Union(nodes))
    }

    fn object(
        &mut self,
        json: &Value,
        object: &Map<String, Value>,
        enclosing: Option<&str>,
    ) -> Result<Node, ParseError> {
        let kind =
            text(object, "type").ok_or_else(|| ParseError::NoType { found: excerpt(json) })?;
        if let Some(primitive) = Primitive::parse(kind) {
            return Ok(Node::Primitive { primitive, props: unknown(object, &SCHEMA_RESERVED) });
        }
        match kind {
            "record" | "error" | "enum" | "fixed" => self.named(json, object, enclosing),
            "array" => {
                let items = object.get("items");
                let items = items.ok_or_else(|| ParseError::NoItems { found: excerpt(json) })?;
                let items = Box::new(self.node(items, enclosing)?);
                Ok(Node::Array { items, props: unknown(object, &SCHEMA_RESERVED) })
            }
            "map" => {
                let values = object.get("values");
                let values = values.ok_or_else(|| ParseError::NoValues { found: excerpt(json) })?;
                let values = Box::new(self.node(values, enclosing)?);
                Ok(Node::Map { values, props: unknown(object, &SCHEMA_RESERVED) })
            }
            other => self.used(other, enclosing)?.ok_or_else(|| {
                let own = text(object, "name").map(ToOwned::to_owned);
                ParseError::UnknownType {
                    name: other.to_owned(),
                    within: own.map_or_else(|| self.place(), |name| Within(Some(name))),
                    hint: Hint(suggestion::for_type(other)),
                }
            }),
        }
    }

    fn named(
        &mut self,
        json: &Value,
        object: &Map<String, Value>,
        enclosing: Option<&str>,
    ) -> Result<Node, ParseError> {
        let name = declared_name(object, enclosing)
            .ok_or_else(|| ParseError::NoName { found: excerpt(json) })??;
        if Primitive::parse(name.as_str()).is_some() {
            return Err(ParseError::NamedAfterPrimitive { name: name.to_string() });
        }
        let aliases = aliases(json, object)?;
        let mut named = NamedType {
            doc: text(object, "doc").map(ToOwned::to_owned),
            aliases: Vec::with_capacity(aliases.len()),
            props: unknown(object, &SCHEMA_RESERVED),
            body: Body::Record { kind: RecordKind::Record, fields: Vec::new() },
            name,
        };
        for alias in &aliases {
            let alias = FullName::read(alias, named.name.namespace())?;
            if !named.aliases.contains(&alias) {
                named.aliases.push(alias);
            }
        }
        // Known before its fields are read: a record may contain itself, but not define itself.
        if self.types.insert(named.name.clone(), named.clone()).is_some() {
            return Err(ParseError::Redefined { name: named.name.to_string() });
        }
        named.body = match text(object, "type") {
            Some("enum") => {
                named.props.shift_remove("default");
                enumeration(json, object)?
            }
            Some("fixed") => fixed(json, object)?,
            kind => {
                let kind =
                    if kind == Some("error") { RecordKind::Error } else { RecordKind::Record };
                let namespace = named.name.namespace().or(enclosing);
                Body::Record { kind, fields: self.fields(json, object, namespace)? }
            }
        };
        let name = named.name.clone();
        self.types.insert(name.clone(), named);
        Ok(Node::Named(name))
    }

    fn fields(
        &mut self,
        json: &Value,
        object: &Map<String, Value>,
        namespace: Option<&str>,
    ) -> Result<Vec<Field>, ParseError> {
        let Some(Value::Array(listed)) = object.get("fields") else {
            return Err(ParseError::NoFields { found: excerpt(json) });
        };
        let around = self.within.take();
        let fields = listed.iter().map(|field| self.field(field, namespace)).collect();
        self.within = around;
        fields
    }

    fn field(&mut self, json: &Value, namespace: Option<&str>) -> Result<Field, ParseError> {
        let no_name = || ParseError::NoFieldName { found: excerpt(json) };
        let object = json.as_object().ok_or_else(no_name)?;
        let name = text(object, "name").ok_or_else(no_name)?;
        validate(name)?;
        let kind = object.get("type");
        let kind = kind.ok_or_else(|| ParseError::NoFieldType { found: excerpt(json) })?;
        self.within = Some(name.to_owned());
        let node = if let Value::String(used) = kind {
            self.used(used, namespace)?.ok_or_else(|| {
                let hint = Hint(suggestion::for_type(used));
                ParseError::UndefinedFieldType { name: used.clone(), field: name.to_owned(), hint }
            })?
        } else {
            self.node(kind, namespace)?
        };
        Ok(Field {
            default: object.get("default").map(|value| default::read(&node, value)),
            node,
            doc: text(object, "doc").map(ToOwned::to_owned),
            order: order(object)?,
            aliases: aliases(json, object)?,
            props: unknown(object, &FIELD_RESERVED),
            name: name.to_owned(),
        })
    }

    fn place(&self) -> Within {
        Within(self.within.clone())
    }
}

/// The name that an object defines, if its type is one of those that have names.
fn declared_name(
    object: &Map<String, Value>,
    enclosing: Option<&str>,
) -> Option<Result<FullName, ParseError>> {
    let kind = text(object, "type")?;
    if !matches!(kind, "record" | "error" | "enum" | "fixed") {
        return None;
    }
    let namespace = text(object, "namespace").or(enclosing);
    Some(FullName::read(text(object, "name")?, namespace))
}

/// The deepest point of brackets in JSON text.
fn json_nesting(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
