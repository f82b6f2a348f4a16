use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::name::FullName;

/// The longest schema text that is read, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// How deep the JSON of a schema may nest once every type is written out at its first use.
///
/// Below what JSON parsers refuse (128), so whatever is accepted can be read again.
pub const MAX_NESTING: usize = 120;

/// One parsed Avro schema, whole: nothing that Avro-Java keeps is lost.
#[derive(Clone)]
pub struct Schema {
    pub(crate) root: Node,
    /// Every named type the root reaches, and those its references bring along.
    pub(crate) types: BTreeMap<FullName, NamedType>,
    /// The names among them that references define.
    pub(crate) external: BTreeSet<FullName>,
}

/// One place in a schema where a type stands.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Primitive {
        primitive: Primitive,
        props: Props,
    },
    Array {
        items: Box<Self>,
        props: Props,
    },
    Map {
        values: Box<Self>,
        props: Props,
    },
    Union(Vec<Self>),
    /// A definition and each use of it look alike; the definition lies in [`Schema::types`].
    Named(FullName),
}

/// Unknown attributes, logical types among them, in their order.
pub(crate) type Props = Map<String, Value>;

#[derive(Clone, Debug)]
pub(crate) struct NamedType {
    pub(crate) name: FullName,
    pub(crate) doc: Option<String>,
    pub(crate) aliases: Vec<FullName>,
    pub(crate) props: Props,
    pub(crate) body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Record { kind: RecordKind, fields: Vec<Field> },
    Enum { symbols: Vec<String>, default: Option<String> },
    Fixed { size: u32 },
}

/// An error is a record that RPC protocols may throw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Record,
    Error,
}

impl RecordKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Error => "error",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) node: Node,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Value>,
    pub(crate) order: Order,
    pub(crate) aliases: Vec<String>,
    pub(crate) props: Props,
}

/// How values of a field count when records are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
    Ignore,
}

impl Order {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
            Self::Ignore => "ignore",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Ascending, Self::Descending, Self::Ignore]
            .into_iter()
            .find(|order| order.as_str().eq_ignore_ascii_case(text))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

impl Primitive {
    pub(crate) const ALL: [Self; 8] = [
        Self::Null,
        Self::Boolean,
        Self::Int,
        Self::Long,
        Self::Float,
        Self::Double,
        Self::Bytes,
        Self::String,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|primitive| primitive.as_str() == text)
    }
}

/// What a node is, as Avro-Java's messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Primitive(Primitive),
    Array,
    Map,
    Union,
    Record,
    Enum,
    Fixed,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Primitive(Primitive::Null) => "NULL",
            Self::Primitive(Primitive::Boolean) => "BOOLEAN",
            Self::Primitive(Primitive::Int) => "INT",
            Self::Primitive(Primitive::Long) => "LONG",
            Self::Primitive(Primitive::Float) => "FLOAT",
            Self::Primitive(Primitive::Double) => "DOUBLE",
            Self::Primitive(Primitive::Bytes) => "BYTES",
            Self::Primitive(Primitive::String) => "STRING",
            Self::Array => "ARRAY",
            Self::Map => "MAP",
            Self::Union => "UNION",
            Self::Record => "RECORD",
            Self::Enum => "ENUM",
            Self::Fixed => "FIXED",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A node with its name, if it has one, looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resolved<'a> {
    Primitive(Primitive),
    Array(&'a Node),
    Map(&'a Node),
    Union(&'a [Node]),
    Named(&'a NamedType),
}

impl Resolved<'_> {
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Primitive(primitive) => Kind::Primitive(primitive),
            Self::Array(_) => Kind::Array,
            Self::Map(_) => Kind::Map,
            Self::Union(_) => Kind::Union,
            Self::Named(named) => match named.body {
                Body::Record { .. } => Kind::Record,
                Body::Enum { .. } => Kind::Enum,
                Body::Fixed { .. } => Kind::Fixed,
            },
        }
    }
}

impl Schema {
    /// What stands at `node`.
    #[expect(clippy::expect_used, reason = "the parser lets no name through that is not defined")]
    pub(crate) fn resolve<'a>(&'a self, node: &'a Node) -> Resolved<'a> {
        match node {
            Node::Primitive { primitive, .. } => Resolved::Primitive(*primitive),
            Node::Array { items, .. } => Resolved::Array(items),
            Node::Map { values, .. } => Resolved::Map(values),
            Node::Union(branches) => Resolved::Union(branches),
            Node::Named(name) => {
                Resolved::Named(self.types.get(name).expect("every name in a schema is defined"))
            }
        }
    }

    /// How deep the schema nests, counted no further than one past [`MAX_NESTING`].
    pub(crate) fn nesting(&self) -> usize {
        let mut seen = BTreeSet::new();
        self.nesting_of(&self.root, 0, &mut seen)
    }

    fn nesting_of<'a>(
        &'a self,
        node: &'a Node,
        depth: usize,
        seen: &mut BTreeSet<&'a FullName>,
    ) -> usize {
        if MAX_NESTING < depth {
            return depth;
        }
        match self.resolve(node) {
            Resolved::Primitive(_) => depth + 1,
            Resolved::Array(inner) | Resolved::Map(inner) => {
                self.nesting_of(inner, depth + 1, seen)
            }
            Resolved::Union(branches) => self.deepest(branches.iter(), depth + 1, seen),
            Resolved::Named(named) => match &named.body {
                // A field is an object in an array in the record's object.
                Body::Record { fields, .. } if seen.insert(&named.name) => {
                    self.deepest(fields.iter().map(|field| &field.node), depth + 3, seen)
                }
                Body::Record { .. } | Body::Enum { .. } | Body::Fixed { .. } => depth + 2,
            },
        }
    }

    fn deepest<'a>(
        &'a self,
        nodes: impl Iterator<Item = &'a Node>,
        depth: usize,
        seen: &mut BTreeSet<&'a FullName>,
    ) -> usize {
        let mut deepest = depth;
        for node in nodes {
            deepest = deepest.max(self.nesting_of(node, depth, seen));
            if MAX_NESTING < deepest {
                break;
            }
        }
        deepest
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.canonical())
    }
}
