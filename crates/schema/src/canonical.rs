//! The text of a schema in the form of Avro-Java's `Schema.toString()`. Two schemas are the same to
//! a registry if these texts are.

use std::collections::BTreeSet;

use crate::json::{separate, write_string, write_value};
use crate::model::{Body, Field, NamedType, Node, Order, Primitive, Props, Schema};
use crate::name::FullName;

/// What is written where a type that a reference defines is used first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum References {
    ByName,
    Inlined,
}

impl Schema {
    /// The schema's own text; types that references define appear by name.
    pub fn canonical(&self) -> String {
        self.text_of(&self.root, References::ByName)
    }

    /// The text with the types of references written out at their first use, so that it stands by
    /// itself.
    pub fn resolved(&self) -> String {
        self.text_of(&self.root, References::Inlined)
    }

    /// A part of the schema, for messages.
    pub(crate) fn part(&self, node: &Node) -> String {
        self.text_of(node, References::ByName)
    }

    fn text_of(&self, node: &Node, references: References) -> String {
        let mut seen = BTreeSet::new();
        if references == References::ByName {
            seen.extend(&self.external);
        }
        let mut writer = Writer { schema: self, seen, out: String::new() };
        writer.node(node, None);
        writer.out
    }
}

struct Writer<'a> {
    schema: &'a Schema,
    seen: BTreeSet<&'a FullName>,
    out: String,
}

impl<'a> Writer<'a> {
    /// Writes `node` where `enclosing` is the namespace that short names lie in.
    fn node(&mut self, node: &'a Node, enclosing: Option<&str>) {
        match node {
            Node::Primitive { primitive, props } if props.is_empty() => {
                write_string(&mut self.out, primitive.as_str());
            }
            Node::Primitive { primitive, props } => {
                self.open(primitive.as_str());
                self.props(props);
                self.out.push('}');
            }
            Node::Array { items, props } => {
                self.container("array", "items", items, props, enclosing);
            }
            Node::Map { values, props } => {
                self.container("map", "values", values, props, enclosing);
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
                Some(_) | None => {
                    let used = self.schema.short_name(name, enclosing);
                    write_string(&mut self.out, &used);
                }
            },
        }
    }

    fn container(
        &mut self,
        kind: &str,
        key: &str,
        inner: &'a Node,
        props: &Props,
        enclosing: Option<&str>,
    ) {
        self.open(kind);
        self.key(key);
        self.node(inner, enclosing);
        self.props(props);
        self.out.push('}');
    }

    fn named(&mut self, named: &'a NamedType, enclosing: Option<&str>) {
        self.open(match &named.body {
            Body::Record { kind, .. } => kind.as_str(),
            Body::Enum { .. } => "enum",
            Body::Fixed { .. } => "fixed",
        });
        self.text("name", named.name.simple());
        let namespace = named.name.namespace();
        if namespace != enclosing {
            self.text("namespace", namespace.unwrap_or_default());
        }
        if let Some(doc) = &named.doc {
            self.text("doc", doc);
        }
        match &named.body {
            Body::Record { fields, .. } => self.fields(fields, namespace.or(enclosing)),
            Body::Enum { symbols, default } => {
                self.texts("symbols", symbols.iter().map(String::as_str));
                if let Some(symbol) = default {
                    self.text("default", symbol);
                }
            }
            Body::Fixed { size } => {
                self.key("size");
                self.out.push_str(&size.to_string());
            }
        }
        self.props(&named.props);
        if !named.aliases.is_empty() {
            let aliases: Vec<_> =
                named.aliases.iter().map(|alias| short_alias(alias, namespace)).collect();
            self.texts("aliases", aliases.iter().map(String::as_str));
        }
        self.out.push('}');
    }

    fn fields(&mut self, fields: &'a [Field], namespace: Option<&str>) {
        self.key("fields");
        self.out.push('[');
        for (index, field) in fields.iter().enumerate() {
            separate(&mut self.out, index);
            self.out.push_str("{\"name\":");
            write_string(&mut self.out, &field.name);
            self.key("type");
            self.node(&field.node, namespace);
            if let Some(doc) = &field.doc {
                self.text("doc", doc);
            }
            if let Some(default) = &field.default {
                self.key("default");
                write_value(&mut self.out, default);
            }
            if field.order != Order::Ascending {
                self.text("order", field.order.as_str());
            }
            if !field.aliases.is_empty() {
                self.texts("aliases", field.aliases.iter().map(String::as_str));
            }
            self.props(&field.props);
            self.out.push('}');
        }
        self.out.push(']');
    }

    fn open(&mut self, kind: &str) {
        self.out.push_str("{\"type\":");
        write_string(&mut self.out, kind);
    }

    fn key(&mut self, key: &str) {
        self.out.push(',');
        write_string(&mut self.out, key);
        self.out.push(':');
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        write_string(&mut self.out, text);
    }

    fn texts<'t>(&mut self, key: &str, texts: impl Iterator<Item = &'t str>) {
        self.key(key);
        self.out.push('[');
        for (index, text) in texts.enumerate() {
            separate(&mut self.out, index);
            write_string(&mut self.out, text);
        }
        self.out.push(']');
    }

    fn props(&mut self, props: &Props) {
        for (key, value) in props {
            self.key(key);
            write_value(&mut self.out, value);
        }
    }
}

impl Schema {
    /// The shortest text that means `name` where short names lie in `enclosing`.
    fn short_name(&self, name: &FullName, enclosing: Option<&str>) -> String {
        match (name.namespace(), enclosing) {
            // A short `int` would mean the primitive.
            (Some(own), Some(around)) if own == around && !is_primitive(name.simple()) => {
                name.simple().to_owned()
            }
            // A short name is looked for in the namespace first; the leading dot says which.
            (None, Some(around)) if self.is_defined(&format!("{around}.{}", name.simple())) => {
                format!(".{}", name.simple())
            }
            _ => name.as_str().to_owned(),
        }
    }

    fn is_defined(&self, full: &str) -> bool {
        FullName::read(full, None).is_ok_and(|name| self.types.contains_key(&name))
    }
}

fn is_primitive(name: &str) -> bool {
    Primitive::parse(name).is_some()
}

/// Aliases are not looked up: a short one always lies in the namespace of its type.
fn short_alias(alias: &FullName, namespace: Option<&str>) -> String {
    match (alias.namespace(), namespace) {
        (own, around) if own == around => alias.simple().to_owned(),
        (None, _) => format!(".{}", alias.simple()),
        _ => alias.as_str().to_owned(),
    }
}
