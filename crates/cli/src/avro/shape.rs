use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, NamespaceRef, RecordSchema, UuidSchema};
use serde_json::Value;
use thiserror::Error;

/// What a schema says about its datums, names included.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    nodes: Vec<Node>,
    root: NodeId,
}

/// A schema's text that cannot be read.
#[derive(Debug, Error)]
pub(crate) enum UnreadableSchema {
    /// It is no schema.
    #[error("the schema cannot be parsed: {source}")]
    Parse {
        /// What the parser says.
        #[source]
        source: Box<apache_avro::Error>,
    },
    /// It lives on another schema, which is not at hand.
    #[error("the schema refers to {name}, which it does not define")]
    UnknownName {
        /// The full name.
        name: String,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct NodeId(usize);

#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { name: String, size: usize },
    Enum { name: String, symbols: Vec<String> },
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record { name: String, fields: Vec<Field> },
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) node: NodeId,
    pub(super) default: Option<Value>,
}

impl Node {
    /// What Avro's JSON encoding calls this as a branch of a union: the full name of a named type.
    pub(super) fn label(&self) -> &str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Fixed { name, .. } | Self::Enum { name, .. } | Self::Record { name, .. } => name,
        }
    }
}

impl Shape {
    /// Reads a schema's text.
    ///
    /// # Errors
    ///
    /// It is no schema, or refers to names that it does not define.
    pub(crate) fn parse(text: &str) -> Result<Self, UnreadableSchema> {
        let schema = Schema::parse_str(text)
            .map_err(|source| UnreadableSchema::Parse { source: Box::new(source) })?;
        let mut builder = Builder { nodes: Vec::new(), names: BTreeMap::new() };
        let root = builder.add(&schema, None)?;
        Ok(Self { nodes: builder.nodes, root })
    }

    pub(super) const fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, NodeId(index): NodeId) -> &Node {
        // Ids come from this very arena; a null is the harmless answer to any other.
        self.nodes.get(index).unwrap_or(&Node::Null)
    }
}

struct Builder {
    nodes: Vec<Node>,
    names: BTreeMap<String, NodeId>,
}

impl Builder {
    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    fn named(&mut self, name: String, node: Node) -> NodeId {
        let id = self.push(node);
        self.names.insert(name, id);
        id
    }

    fn fixed(&mut self, name: &Name, size: usize, enclosing: NamespaceRef<'_>) -> NodeId {
        let name = name.fullname(enclosing);
        self.named(name.clone(), Node::Fixed { name, size })
    }

    fn add(
        &mut self,
        schema: &Schema,
        enclosing: NamespaceRef<'_>,
    ) -> Result<NodeId, UnreadableSchema> {
        Ok(match schema {
            Schema::Null => self.push(Node::Null),
            Schema::Boolean => self.push(Node::Boolean),
            Schema::Int | Schema::Date | Schema::TimeMillis => self.push(Node::Int),
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => self.push(Node::Long),
            Schema::Float => self.push(Node::Float),
            Schema::Double => self.push(Node::Double),
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => {
                self.push(Node::Bytes)
            }
            Schema::String | Schema::Uuid(UuidSchema::String) => self.push(Node::String),
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => self.push(Node::Bytes),
                InnerDecimalSchema::Fixed(fixed) => self.fixed(&fixed.name, fixed.size, enclosing),
            },
            Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Duration(fixed)
            | Schema::Fixed(fixed) => self.fixed(&fixed.name, fixed.size, enclosing),
            Schema::Enum(of) => {
                let name = of.name.fullname(enclosing);
                self.named(name.clone(), Node::Enum { name, symbols: of.symbols.clone() })
            }
            Schema::Array(array) => {
                let items = self.add(&array.items, enclosing)?;
                self.push(Node::Array(items))
            }
            Schema::Map(map) => {
                let values = self.add(&map.types, enclosing)?;
                self.push(Node::Map(values))
            }
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch, enclosing));
                let branches = branches.collect::<Result<_, _>>()?;
                self.push(Node::Union(branches))
            }
            Schema::Record(record) => self.add_record(record, enclosing)?,
            Schema::Ref { name } => {
                let name = name.fullname(enclosing);
                *self.names.get(&name).ok_or(UnreadableSchema::UnknownName { name })?
            }
        })
    }

    fn add_record(
        &mut self,
        record: &RecordSchema,
        enclosing: NamespaceRef<'_>,
    ) -> Result<NodeId, UnreadableSchema> {
        let name = record.name.fullname(enclosing);
        // The name stands before its fields do: a record may hold itself.
        let id = self.named(name.clone(), Node::Null);
        let inner = record.name.namespace().or(enclosing);
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let node = self.add(&field.schema, inner)?;
            fields.push(Field { name: field.name.clone(), node, default: field.default.clone() });
        }
        if let Some(node) = self.nodes.get_mut(id.0) {
            *node = Node::Record { name, fields };
        }
        Ok(id)
    }
}
