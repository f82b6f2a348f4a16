use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

/// What a schema says about the bytes of its datums, and no more: the form a walk needs.
///
/// Whether a text is a good schema was for the registry to judge, and registries differ (in names
/// that are not ASCII, in references to what is defined further on). To judge again here would
/// keep good records out of the lake, so anything that determines the bytes is read.
#[derive(Clone, Debug)]
pub struct Shape {
    nodes: Vec<Node>,
    root: NodeId,
}

/// A schema text that does not tell the form of its datums.
#[derive(Debug, Error)]
pub enum UnreadableSchema {
    /// The text is not JSON.
    #[error("the schema's text is not JSON: {source}")]
    Json {
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A part of it is no schema.
    #[error("the schema holds {found}, where {expected} must be")]
    Form {
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A name is used that the text does not define.
    #[error("the schema refers to {name}, which is no Avro type and which it does not define")]
    UnknownName {
        /// The name, with its namespace.
        name: String,
    },
}

/// What a whole number means, by its logical type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// No logical type.
    Plain,
    /// `date`: days since 1970-01-01.
    Days,
    /// `timestamp-millis`.
    Millis,
    /// `timestamp-micros`.
    Micros,
    /// `timestamp-nanos`.
    Nanos,
    /// `local-timestamp-millis`.
    LocalMillis,
    /// `local-timestamp-micros`.
    LocalMicros,
    /// `local-timestamp-nanos`.
    LocalNanos,
    /// A time of day, which is no moment.
    NotATime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(usize);

#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int(Meaning),
    Long(Meaning),
    /// `float`, `double` and `fixed`: that many bytes.
    Fixed(usize),
    Bytes,
    Text,
    Enum {
        symbols: usize,
    },
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<Field>),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) node: NodeId,
}

impl Shape {
    /// Reads a schema's text.
    ///
    /// # Errors
    ///
    /// [`UnreadableSchema`] when it does not say how its datums look.
    pub fn parse(text: &str) -> Result<Self, UnreadableSchema> {
        let schema: Value =
            serde_json::from_str(text).map_err(|source| UnreadableSchema::Json { source })?;
        let mut builder = Builder::default();
        let root = builder.add(&schema, "")?;
        match builder.promised.into_iter().next() {
            Some((name, _)) => Err(UnreadableSchema::UnknownName { name }),
            None => Ok(Self { nodes: builder.nodes, root }),
        }
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, NodeId(index): NodeId) -> &Node {
        // Ids come from this very arena; a datum of nothing is the harmless answer to any other.
        self.nodes.get(index).unwrap_or(&Node::Null)
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    /// Named types by full name.
    names: BTreeMap<String, NodeId>,
    /// Names that were used before their definition, and the nodes kept free for them.
    promised: BTreeMap<String, NodeId>,
}

impl Builder {
    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// The node of a type that is defined here: what its name stands for from now on.
    fn define(&mut self, name: String, node: Node) -> NodeId {
        let id = match self.promised.remove(&name) {
            Some(promised) => {
                self.set(promised, node);
                promised
            }
            None => self.push(node),
        };
        self.names.insert(name, id);
        id
    }

    fn set(&mut self, NodeId(index): NodeId, node: Node) {
        if let Some(place) = self.nodes.get_mut(index) {
            *place = node;
        }
    }

    fn add(&mut self, schema: &Value, namespace: &str) -> Result<NodeId, UnreadableSchema> {
        match schema {
            Value::String(name) => Ok(self.named(name, namespace)),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.add(branch, namespace));
                let branches = branches.collect::<Result<_, _>>()?;
                Ok(self.push(Node::Union(branches)))
            }
            Value::Object(fields) => self.add_object(fields, namespace),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Err(form(schema, "a schema (a name, an object or a list)"))
            }
        }
    }

    /// A primitive type, or one that is defined elsewhere in the text.
    fn named(&mut self, name: &str, namespace: &str) -> NodeId {
        if let Some(node) = primitive(name, None) {
            return self.push(node);
        }
        let full = full_name(name, namespace);
        if let Some(id) = self.names.get(&full).or_else(|| self.names.get(name)) {
            return *id;
        }
        if let Some(id) = self.promised.get(&full) {
            return *id;
        }
        let id = self.push(Node::Null);
        self.promised.insert(full, id);
        id
    }

    fn add_object(
        &mut self,
        fields: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, UnreadableSchema> {
        let part = |key| fields.get(key).unwrap_or(&Value::Null);
        let Value::String(kind) = part("type") else {
            return self.add(part("type"), namespace);
        };
        let logical = part("logicalType").as_str();
        match kind.as_str() {
            "record" | "error" => self.add_record(fields, namespace),
            "enum" => {
                let symbols = list(part("symbols"), "a list of symbols")?.len();
                Ok(self.define(own_name(fields, namespace)?, Node::Enum { symbols }))
            }
            "fixed" => {
                let size = part("size").as_u64().and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or_else(|| form(part("size"), "the size of a fixed"))?;
                Ok(self.define(own_name(fields, namespace)?, Node::Fixed(size)))
            }
            "array" => {
                let items = self.add(part("items"), namespace)?;
                Ok(self.push(Node::Array(items)))
            }
            "map" => {
                let values = self.add(part("values"), namespace)?;
                Ok(self.push(Node::Map(values)))
            }
            name => match primitive(name, logical) {
                Some(node) => Ok(self.push(node)),
                None => Ok(self.named(name, namespace)),
            },
        }
    }

    fn add_record(
        &mut self,
        schema: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, UnreadableSchema> {
        let name = own_name(schema, namespace)?;
        let inner = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        // The name stands before its fields do: a record may hold itself.
        let id = self.define(name, Node::Record(Vec::new()));
        let mut fields = Vec::new();
        for field in list(schema.get("fields").unwrap_or(&Value::Null), "a list of fields")? {
            let part = |key| field.get(key).unwrap_or(&Value::Null);
            let name = part("name").as_str().ok_or_else(|| form(field, "a field with a name"))?;
            let node = self.add(part("type"), &inner)?;
            fields.push(Field { name: name.to_owned(), node });
        }
        self.set(id, Node::Record(fields));
        Ok(id)
    }
}

fn primitive(name: &str, logical: Option<&str>) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int(match logical {
            Some("date") => Meaning::Days,
            Some("time-millis") => Meaning::NotATime,
            Some(_) | None => Meaning::Plain,
        }),
        "long" => Node::Long(match logical {
            Some("timestamp-millis") => Meaning::Millis,
            Some("timestamp-micros") => Meaning::Micros,
            Some("timestamp-nanos") => Meaning::Nanos,
            Some("local-timestamp-millis") => Meaning::LocalMillis,
            Some("local-timestamp-micros") => Meaning::LocalMicros,
            Some("local-timestamp-nanos") => Meaning::LocalNanos,
            Some("time-micros") => Meaning::NotATime,
            Some(_) | None => Meaning::Plain,
        }),
        "float" => Node::Fixed(4),
        "double" => Node::Fixed(8),
        "bytes" => Node::Bytes,
        "string" => Node::Text,
        _ => return None,
    })
}

/// The full name of the type that an object defines.
fn own_name(schema: &Map<String, Value>, enclosing: &str) -> Result<String, UnreadableSchema> {
    let name = schema.get("name").unwrap_or(&Value::Null);
    let text = name.as_str().ok_or_else(|| form(name, "the name of a type"))?;
    let namespace = schema.get("namespace").and_then(Value::as_str).unwrap_or(enclosing);
    Ok(full_name(text, namespace))
}

/// A name with a dot is full already.
fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn list<'v>(value: &'v Value, expected: &'static str) -> Result<&'v [Value], UnreadableSchema> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| form(value, expected))
}

fn form(found: &Value, expected: &'static str) -> UnreadableSchema {
    let found = if found.is_null() { "nothing".to_owned() } else { found.to_string() };
    UnreadableSchema::Form { found: found.chars().take(100).collect(), expected }
}

#[cfg(test)]
mod tests;
