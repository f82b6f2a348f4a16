//! Whether data written with one schema can be read with another: Avro-Java's
//! `SchemaCompatibility`, path by path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thiserror::Error;
use types::{Coded, Reason};

use crate::model::{Body, Field, Kind, NamedType, Node, Primitive, Resolved, Schema};
use crate::name::FullName;

/// How many incompatibilities are reported at most; the verdict does not depend on it.
pub const MAX_REPORTED: usize = 1000;

/// How many of a type's incompatibilities are reported again at each further use of it.
const MAX_REPEATED: usize = 16;

/// How many named types may lie within one another on the way to a verdict.
const MAX_DEPTH: usize = 200;

/// How many pairs of types may be compared: two unions ask for every pair of their branches.
const MAX_STEPS: usize = 250_000;

/// One reason why a reader's schema cannot read what a writer's schema wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// What is wrong.
    pub kind: IncompatibilityKind,
    /// Where in the reader's schema, as a JSON pointer; `/` is the schema itself.
    pub path: String,
    /// The particulars, in Avro-Java's words.
    pub detail: String,
}

/// The ways in which schemas can be incompatible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncompatibilityKind {
    /// Named types have different names, and no alias bridges them.
    NameMismatch,
    /// Fixed types have different sizes.
    FixedSizeMismatch,
    /// The writer's enum has symbols that the reader's has not.
    MissingEnumSymbols,
    /// The reader has a field that the writer lacks, and no default for it.
    ReaderFieldMissingDefaultValue,
    /// The types differ and none is promoted to the other.
    TypeMismatch,
    /// No branch of the reader's union reads what the writer may write.
    MissingUnionBranch,
}

impl IncompatibilityKind {
    /// Avro-Java's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NameMismatch => "NAME_MISMATCH",
            Self::FixedSizeMismatch => "FIXED_SIZE_MISMATCH",
            Self::MissingEnumSymbols => "MISSING_ENUM_SYMBOLS",
            Self::ReaderFieldMissingDefaultValue => "READER_FIELD_MISSING_DEFAULT_VALUE",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::MissingUnionBranch => "MISSING_UNION_BRANCH",
        }
    }
}

impl fmt::Display for IncompatibilityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Two schemas that cannot be compared with reasonable effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the schemas cannot be compared: more than {MAX_DEPTH} types lie within one another, or their \
     unions ask for more than {MAX_STEPS} comparisons; make them simpler"
)]
pub struct TooComplex;

impl Coded for TooComplex {
    fn reason(&self) -> Reason {
        Reason::InvalidRequest
    }
}

/// Why `reader` cannot read everything that `writer` writes; empty if it can.
///
/// Logical types do not count, nor do namespaces: that is how Avro-Java decides.
///
/// # Errors
///
/// [`TooComplex`] if the schemas cannot be compared at all.
pub fn can_read(reader: &Schema, writer: &Schema) -> Result<Vec<Incompatibility>, TooComplex> {
    let verdicts = BTreeMap::new();
    let mut comparison =
        Comparison { reader, writer, path: Vec::new(), depth: 0, steps: 0, verdicts };
    comparison.nodes(&reader.root, &writer.root).map(|findings| findings.reported)
}

/// What a comparison of two nodes brought to light.
#[derive(Clone, Default)]
struct Findings {
    /// Cut at [`MAX_REPORTED`]: types used in many places repeat their findings at each.
    reported: Vec<Incompatibility>,
}

impl Findings {
    fn is_compatible(&self) -> bool {
        self.reported.is_empty()
    }

    /// What is said again where a type is used again.
    fn repeated(&self) -> Self {
        Self { reported: self.reported.iter().take(MAX_REPEATED).cloned().collect() }
    }

    fn add(&mut self, more: Self) {
        let room = MAX_REPORTED.saturating_sub(self.reported.len());
        self.reported.extend(more.reported.into_iter().take(room));
    }
}

type Names<'a> = (&'a FullName, &'a FullName);

struct Comparison<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    path: Vec<String>,
    depth: usize,
    steps: usize,
    /// Pairs of named types that were compared; `None` while that is going on, which ends the
    /// recursion of types that contain themselves.
    verdicts: BTreeMap<Names<'a>, Option<Findings>>,
}

impl<'a> Comparison<'a> {
    fn nodes(&mut self, reader: &'a Node, writer: &'a Node) -> Result<Findings, TooComplex> {
        self.steps += 1;
        if MAX_STEPS < self.steps {
            return Err(TooComplex);
        }
        let (r, w) = (self.reader.resolve(reader), self.writer.resolve(writer));
        match (r, w) {
            (Resolved::Array(reader), Resolved::Array(writer)) => {
                self.below("items", |this| this.nodes(reader, writer))
            }
            (Resolved::Map(reader), Resolved::Map(writer)) => {
                self.below("values", |this| this.nodes(reader, writer))
            }
            (Resolved::Named(r), Resolved::Named(w)) if kind_of(r) == kind_of(w) => {
                self.named(r, w)
            }
            (Resolved::Union(_), Resolved::Union(branches)) => self.unions(reader, branches),
            (_, Resolved::Union(branches)) => {
                let mut findings = Findings::default();
                for (index, branch) in branches.iter().enumerate() {
                    let found =
                        self.below(&index.to_string(), |this| this.nodes(reader, branch))?;
                    findings.add(found);
                }
                Ok(findings)
            }
            (Resolved::Union(branches), _) => {
                for branch in branches {
                    if self.nodes(branch, writer)?.is_compatible() {
                        return Ok(Findings::default());
                    }
                }
                Ok(self.missing_branch(w.kind()))
            }
            _ if reads(r.kind(), w.kind()) => Ok(Findings::default()),
            _ => Ok(self.mismatch(r.kind(), w.kind())),
        }
    }

    /// Every branch the writer may use must be readable; why one is not is left out.
    fn unions(&mut self, reader: &'a Node, branches: &'a [Node]) -> Result<Findings, TooComplex> {
        let mut findings = Findings::default();
        for (index, branch) in branches.iter().enumerate() {
            let found = self.below(&index.to_string(), |this| {
                let readable = this.nodes(reader, branch)?.is_compatible();
                let kind = this.writer.resolve(branch).kind();
                Ok(if readable { Findings::default() } else { this.missing_branch(kind) })
            })?;
            findings.add(found);
        }
        Ok(findings)
    }

    fn named(
        &mut self,
        reader: &'a NamedType,
        writer: &'a NamedType,
    ) -> Result<Findings, TooComplex> {
        let names = (&reader.name, &writer.name);
        if let Some(verdict) = self.verdicts.get(&names) {
            return Ok(verdict.as_ref().map_or_else(Findings::default, Findings::repeated));
        }
        if MAX_DEPTH <= self.depth {
            return Err(TooComplex);
        }
        self.verdicts.insert(names, None);
        self.depth += 1;
        let mut findings = self.names(reader, writer);
        match (&reader.body, &writer.body) {
            (Body::Record { fields: r, .. }, Body::Record { fields: w, .. }) => {
                let found = self.below("fields", |this| this.fields(r, w))?;
                findings.add(found);
            }
            (Body::Enum { symbols: r, default }, Body::Enum { symbols: w, .. }) => {
                if default.is_none() {
                    findings.add(self.symbols(r, w));
                }
            }
            (Body::Fixed { size: r }, Body::Fixed { size: w }) => {
                if r != w {
                    let detail = format!("expected: {w}, found: {r}");
                    findings.add(self.at("size", IncompatibilityKind::FixedSizeMismatch, detail));
                }
            }
            (Body::Record { .. } | Body::Enum { .. } | Body::Fixed { .. }, _) => {
                findings.add(self.mismatch(kind_of(reader), kind_of(writer)));
            }
        }
        self.depth -= 1;
        self.verdicts.insert(names, Some(findings.clone()));
        Ok(findings)
    }

    fn names(&self, reader: &NamedType, writer: &NamedType) -> Findings {
        let same = reader.name.simple() == writer.name.simple();
        if same || reader.aliases.contains(&writer.name) {
            return Findings::default();
        }
        let detail = format!("expected: {}", writer.name);
        self.at("name", IncompatibilityKind::NameMismatch, detail)
    }

    fn fields(&mut self, reader: &'a [Field], writer: &'a [Field]) -> Result<Findings, TooComplex> {
        let by_name: BTreeMap<_, _> = writer.iter().map(|field| (&field.name, field)).collect();
        let mut findings = Findings::default();
        for (index, field) in reader.iter().enumerate() {
            let mut names = std::iter::once(&field.name).chain(&field.aliases);
            let written = names.find_map(|name| by_name.get(name));
            let found = self.below(&index.to_string(), |this| match written {
                Some(written) => this.below("type", |this| this.nodes(&field.node, &written.node)),
                None => Ok(this.missing_field(field)),
            })?;
            findings.add(found);
        }
        Ok(findings)
    }

    fn missing_field(&mut self, field: &'a Field) -> Findings {
        if field.default.is_some() {
            return Findings::default();
        }
        if let Resolved::Named(NamedType { body: Body::Enum { default: Some(_), .. }, .. }) =
            self.reader.resolve(&field.node)
        {
            // Avro-Java compares such an enum with the whole record, and reports what follows.
            self.path.push("type".to_owned());
            let findings = self.mismatch(Kind::Enum, Kind::Record);
            self.path.pop();
            return findings;
        }
        self.here(IncompatibilityKind::ReaderFieldMissingDefaultValue, field.name.clone())
    }

    fn symbols(&self, reader: &[String], writer: &[String]) -> Findings {
        let known: BTreeSet<_> = reader.iter().collect();
        let missing: BTreeSet<_> =
            writer.iter().filter(|symbol| !known.contains(symbol)).map(String::as_str).collect();
        if missing.is_empty() {
            return Findings::default();
        }
        let missing: Vec<_> = missing.into_iter().collect();
        let detail = format!("[{}]", missing.join(", "));
        self.at("symbols", IncompatibilityKind::MissingEnumSymbols, detail)
    }

    fn mismatch(&self, reader: Kind, writer: Kind) -> Findings {
        let detail = format!("reader type: {reader} not compatible with writer type: {writer}");
        self.here(IncompatibilityKind::TypeMismatch, detail)
    }

    fn missing_branch(&self, writer: Kind) -> Findings {
        let detail = format!("reader union lacking writer type: {writer}");
        self.here(IncompatibilityKind::MissingUnionBranch, detail)
    }

    fn here(&self, kind: IncompatibilityKind, detail: String) -> Findings {
        let path = format!("/{}", self.path.join("/"));
        Findings { reported: vec![Incompatibility { kind, path, detail }] }
    }

    fn at(&self, segment: &str, kind: IncompatibilityKind, detail: String) -> Findings {
        let within: Vec<_> =
            self.path.iter().map(String::as_str).chain(std::iter::once(segment)).collect();
        let path = format!("/{}", within.join("/"));
        Findings { reported: vec![Incompatibility { kind, path, detail }] }
    }

    fn below(
        &mut self,
        segment: &str,
        compare: impl FnOnce(&mut Self) -> Result<Findings, TooComplex>,
    ) -> Result<Findings, TooComplex> {
        self.path.push(segment.to_owned());
        let findings = compare(self);
        self.path.pop();
        findings
    }
}

fn kind_of(named: &NamedType) -> Kind {
    Resolved::Named(named).kind()
}

/// Whether a reader's primitive takes what the writer's primitive writes.
const fn reads(reader: Kind, writer: Kind) -> bool {
    use Primitive::{Boolean, Bytes, Double, Float, Int, Long, Null, String};
    match (reader, writer) {
        (Kind::Primitive(reader), Kind::Primitive(writer)) => matches!(
            (reader, writer),
            (Null, Null)
                | (Boolean, Boolean)
                | (Int, Int)
                | (Long, Int | Long)
                | (Float, Int | Long | Float)
                | (Double, Int | Long | Float | Double)
                | (Bytes | String, Bytes | String)
        ),
        _ => false,
    }
}
