use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, NamespaceRef, RecordSchema, UuidSchema};
use thiserror::Error;

/// What a schema says about the bytes of its datums, and no more: the form a walk needs.
#[derive(Clone, Debug)]
pub struct Shape {
    nodes: Vec<Node>,
    root: NodeId,
}

/// A schema text that cannot be read.
#[derive(Debug, Error)]
pub enum UnreadableSchema {
    /// The text is not a schema.
    #[error("the schema's text cannot be parsed: {source}")]
    Parse {
        /// What the parser says.
        #[source]
        source: Box<apache_avro::Error>,
    },
    /// A name is used that the text does not define.
    #[error("the schema refers to {name}, which it does not define")]
    UnknownName {
        /// The full name.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// [`UnreadableSchema`] when it is no schema, or refers to names it does not define.
    pub fn parse(text: &str) -> Result<Self, UnreadableSchema> {
        let schema = Schema::parse_str(text)
            .map_err(|source| UnreadableSchema::Parse { source: Box::new(source) })?;
        let mut builder = Builder { nodes: Vec::new(), names: BTreeMap::new() };
        let root = builder.add(&schema, None)?;
        Ok(Self { nodes: builder.nodes, root })
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, NodeId(index): NodeId) -> &Node {
        // Ids come from this very arena; a datum of nothing is the harmless answer to any other.
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

    fn named(&mut self, name: &Name, enclosing: NamespaceRef<'_>, node: Node) -> NodeId {
        let id = self.push(node);
        self.names.insert(name.fullname(enclosing), id);
        id
    }

    fn add(
        &mut self,
        schema: &Schema,
        enclosing: NamespaceRef<'_>,
    ) -> Result<NodeId, UnreadableSchema> {
        Ok(match schema {
            Schema::Null => self.push(Node::Null),
            Schema::Boolean => self.push(Node::Boolean),
            Schema::Int => self.push(Node::Int(Meaning::Plain)),
            Schema::Date => self.push(Node::Int(Meaning::Days)),
            Schema::TimeMillis => self.push(Node::Int(Meaning::NotATime)),
            Schema::Long => self.push(Node::Long(Meaning::Plain)),
            Schema::TimeMicros => self.push(Node::Long(Meaning::NotATime)),
            Schema::TimestampMillis => self.push(Node::Long(Meaning::Millis)),
            Schema::TimestampMicros => self.push(Node::Long(Meaning::Micros)),
            Schema::TimestampNanos => self.push(Node::Long(Meaning::Nanos)),
            Schema::LocalTimestampMillis => self.push(Node::Long(Meaning::LocalMillis)),
            Schema::LocalTimestampMicros => self.push(Node::Long(Meaning::LocalMicros)),
            Schema::LocalTimestampNanos => self.push(Node::Long(Meaning::LocalNanos)),
            Schema::Float => self.push(Node::Fixed(4)),
            Schema::Double => self.push(Node::Fixed(8)),
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => {
                self.push(Node::Bytes)
            }
            Schema::String | Schema::Uuid(UuidSchema::String) => self.push(Node::Text),
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => self.push(Node::Bytes),
                InnerDecimalSchema::Fixed(fixed) => {
                    self.named(&fixed.name, enclosing, Node::Fixed(fixed.size))
                }
            },
            Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Duration(fixed)
            | Schema::Fixed(fixed) => self.named(&fixed.name, enclosing, Node::Fixed(fixed.size)),
            Schema::Enum(symbols) => {
                let node = Node::Enum { symbols: symbols.symbols.len() };
                self.named(&symbols.name, enclosing, node)
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
        // The name stands before its fields do: a record may hold itself.
        let id = self.named(&record.name, enclosing, Node::Record(Vec::new()));
        let inner = record.name.namespace().or(enclosing);
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let node = self.add(&field.schema, inner)?;
            fields.push(Field { name: field.name.clone(), node });
        }
        if let Some(node) = self.nodes.get_mut(id.0) {
            *node = Node::Record(fields);
        }
        Ok(id)
    }
}
