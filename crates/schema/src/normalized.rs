//! The text that `normalize=true` registers: full names instead of namespaces, attributes sorted,
//! every order spelled out. Schemas that differ only in such spelling become the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::json::{separate, write_string, write_value};
use crate::model::{Body, Field, NamedType, Node, Props, Schema};
use crate::name::FullName;

impl Schema {
    /// The normalised text; types that references define appear by name.
    pub fn normalized(&self) -> String {
        let seen = self.external.iter().collect();
        let mut writer = Writer { schema: self, seen, out: String::new() };
        writer.node(&self.root, None);
        writer.out
    }
}

struct Writer<'a> {
    schema: &'a Schema,
    seen: BTreeSet<&'a FullName>,
    out: String,
}

impl<'a> Writer<'a> {
    fn node(&mut self, node: &'a Node, enclosing: Option<&str>) {
        match node {
            Node::Primitive { primitive, props } if props.is_empty() => {
                write_string(&mut self.out, primitive.as_str());
            }
            Node::Primitive { primitive, props } => {
                self.out.push_str("{\"type\":");
                write_string(&mut self.out, primitive.as_str());
                self.close(props);
            }
            Node::Array { items, props } => {
                self.out.push_str(r#"{"type":"array","items":"#);
                self.node(items, enclosing);
                self.close(props);
            }
            Node::Map { values, props } => {
                self.out.push_str(r#"{"type":"map","values":"#);
                self.node(values, enclosing);
                self.close(props);
            }
            Node::Union(branches) => {
                self.out.push('[');
                for (index, branch) in branches.iter().enumerate() {
                    separate(&mut self.out, index);
                    self.node(branch, enclosing);
                }
                self.out.push(']');
            }
            Node::Named(name) => match self.schema.types.get(name) {
                Some(named) if self.seen.insert(&named.name) => self.named(named, enclosing),
                Some(_) | None => write_string(&mut self.out, &outright(name, enclosing)),
            },
        }
    }

    fn named(&mut self, named: &'a NamedType, enclosing: Option<&str>) {
        let namespace = named.name.namespace();
        self.out.push_str("{\"name\":");
        write_string(&mut self.out, &outright(&named.name, enclosing));
        match &named.body {
            Body::Record { kind, fields } => {
                self.text("type", kind.as_str());
                self.out.push_str(",\"fields\":[");
                for (index, field) in fields.iter().enumerate() {
                    separate(&mut self.out, index);
                    self.field(field, namespace.or(enclosing));
                }
                self.out.push(']');
            }
            Body::Enum { symbols, default } => {
                self.text("type", "enum");
                self.texts("symbols", symbols.iter().map(String::as_str));
                if let Some(symbol) = default {
                    self.text("default", symbol);
                }
            }
            Body::Fixed { size } => {
                self.text("type", "fixed");
                self.out.push_str(",\"size\":");
                self.out.push_str(&size.to_string());
            }
        }
        if let Some(doc) = &named.doc {
            self.text("doc", doc);
        }
        let aliases: BTreeSet<_> =
            named.aliases.iter().map(|alias| outright(alias, namespace)).collect();
        if !aliases.is_empty() {
            self.texts("aliases", aliases.iter().map(String::as_str));
        }
        self.close(&named.props);
    }

    fn field(&mut self, field: &'a Field, namespace: Option<&str>) {
        self.out.push_str("{\"name\":");
        write_string(&mut self.out, &field.name);
        self.out.push_str(",\"type\":");
        self.node(&field.node, namespace);
        self.text("order", field.order.as_str());
        if let Some(doc) = &field.doc {
            self.text("doc", doc);
        }
        if let Some(default) = &field.default {
            self.out.push_str(",\"default\":");
            write_value(&mut self.out, default);
        }
        let aliases: BTreeSet<_> = field.aliases.iter().map(String::as_str).collect();
        if !aliases.is_empty() {
            self.texts("aliases", aliases.into_iter());
        }
        self.close(&field.props);
    }

    fn text(&mut self, key: &str, text: &str) {
        self.out.push(',');
        write_string(&mut self.out, key);
        self.out.push(':');
        write_string(&mut self.out, text);
    }

    fn texts<'t>(&mut self, key: &str, texts: impl Iterator<Item = &'t str>) {
        self.out.push(',');
        write_string(&mut self.out, key);
        self.out.push_str(":[");
        for (index, text) in texts.enumerate() {
            separate(&mut self.out, index);
            write_string(&mut self.out, text);
        }
        self.out.push(']');
    }

    fn close(&mut self, props: &Props) {
        let sorted: BTreeMap<_, _> = props.iter().collect();
        for (key, value) in sorted {
            self.out.push(',');
            write_string(&mut self.out, key);
            self.out.push(':');
            write_value(&mut self.out, value);
        }
        self.out.push('}');
    }
}

/// A name in full. Where a namespace surrounds it, the leading dot keeps a name without one so.
fn outright(name: &FullName, enclosing: Option<&str>) -> String {
    match (name.namespace(), enclosing) {
        (None, Some(_)) => format!(".{name}"),
        (None, None) | (Some(_), _) => name.as_str().to_owned(),
    }
}
