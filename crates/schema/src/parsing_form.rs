//! The Parsing Canonical Form of the Avro specification: only what decides how bytes are read.

use std::collections::BTreeSet;

use crate::json::{separate, write_string};
use crate::model::{Body, NamedType, Node, Schema};
use crate::name::FullName;

impl Schema {
    /// The Parsing Canonical Form; fingerprints are taken of it.
    pub fn parsing_canonical_form(&self) -> String {
        let mut writer = Writer { schema: self, seen: BTreeSet::new(), out: String::new() };
        writer.node(&self.root);
        writer.out
    }
}

struct Writer<'a> {
    schema: &'a Schema,
    seen: BTreeSet<&'a FullName>,
    out: String,
}

impl<'a> Writer<'a> {
    fn node(&mut self, node: &'a Node) {
        match node {
            Node::Primitive { primitive, .. } => write_string(&mut self.out, primitive.as_str()),
            Node::Array { items, .. } => {
                self.out.push_str(r#"{"type":"array","items":"#);
                self.node(items);
                self.out.push('}');
            }
            Node::Map { values, .. } => {
                self.out.push_str(r#"{"type":"map","values":"#);
                self.node(values);
                self.out.push('}');
            }
            Node::Union(branches) => {
                self.out.push('[');
                for (index, branch) in branches.iter().enumerate() {
                    separate(&mut self.out, index);
                    self.node(branch);
                }
                self.out.push(']');
            }
            Node::Named(name) => match self.schema.types.get(name) {
                Some(named) if self.seen.insert(&named.name) => self.named(named),
                Some(_) | None => write_string(&mut self.out, name.as_str()),
            },
        }
    }

    fn named(&mut self, named: &'a NamedType) {
        self.out.push_str(r#"{"name":"#);
        write_string(&mut self.out, named.name.as_str());
        match &named.body {
            Body::Record { fields, .. } => {
                self.out.push_str(r#","type":"record","fields":["#);
                for (index, field) in fields.iter().enumerate() {
                    separate(&mut self.out, index);
                    self.out.push_str(r#"{"name":"#);
                    write_string(&mut self.out, &field.name);
                    self.out.push_str(r#","type":"#);
                    self.node(&field.node);
                    self.out.push('}');
                }
                self.out.push(']');
            }
            Body::Enum { symbols, .. } => {
                self.out.push_str(r#","type":"enum","symbols":["#);
                for (index, symbol) in symbols.iter().enumerate() {
                    separate(&mut self.out, index);
                    write_string(&mut self.out, symbol);
                }
                self.out.push(']');
            }
            Body::Fixed { size } => {
                self.out.push_str(r#","type":"fixed","size":"#);
                self.out.push_str(&size.to_string());
            }
        }
        self.out.push('}');
    }
}
