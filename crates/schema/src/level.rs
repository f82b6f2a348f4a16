//! Compatibility levels, and the words in which a registry refuses a schema.

use crate::compatibility::{Incompatibility, IncompatibilityKind, TooComplex, can_read};
use crate::json::shorten;
use crate::model::Schema;

/// How much of an old schema is quoted in a refusal, in bytes.
const MAX_QUOTED_SCHEMA: usize = 10 * 1024;

/// What a new schema of a subject must have in common with the earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    None,
    /// It reads what the latest wrote.
    #[default]
    Backward,
    /// It reads what all earlier ones wrote.
    BackwardTransitive,
    /// The latest reads what it writes.
    Forward,
    /// All earlier ones read what it writes.
    ForwardTransitive,
    /// Both, with the latest.
    Full,
    /// Both, with all earlier ones.
    FullTransitive,
}

impl Level {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// Confluent's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Reads a level in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text))
    }

    /// Whether all earlier schemas count, not only the latest.
    pub const fn is_transitive(self) -> bool {
        match self {
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive => true,
            Self::None | Self::Backward | Self::Forward | Self::Full => false,
        }
    }

    const fn asks_new_to_read_old(self) -> bool {
        match self {
            Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive => true,
            Self::None | Self::Forward | Self::ForwardTransitive => false,
        }
    }

    const fn asks_old_to_read_new(self) -> bool {
        match self {
            Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive => true,
            Self::None | Self::Backward | Self::BackwardTransitive => false,
        }
    }
}

/// A schema that a new one is held against.
#[derive(Clone, Copy, Debug)]
pub struct Earlier<'a> {
    /// Its version in the subject.
    pub version: u32,
    /// The schema.
    pub schema: &'a Schema,
}

/// Why a schema does not fit its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    messages: Vec<String>,
}

impl Refusal {
    /// Confluent's words: one text per incompatibility, then the version and the text of the
    /// schema that is incompatible, then the level.
    pub fn messages(&self) -> &[String] {
        &self.messages
    }
}

/// Holds `new` against `earlier`, newest first: against the first, or at a transitive level against
/// each until one is incompatible.
///
/// # Errors
///
/// [`TooComplex`] if two schemas cannot be compared.
pub fn check(
    new: &Schema,
    earlier: &[Earlier<'_>],
    level: Level,
) -> Result<Option<Refusal>, TooComplex> {
    let count = if level.is_transitive() { earlier.len() } else { 1 };
    for earlier in earlier.iter().take(count) {
        let mut messages = Vec::new();
        if level.asks_old_to_read_new() {
            let found = can_read(earlier.schema, new)?;
            messages.extend(found.iter().map(|each| describe(each, "old", "new")));
        }
        if level.asks_new_to_read_old() {
            let found = can_read(new, earlier.schema)?;
            messages.extend(found.iter().map(|each| describe(each, "new", "old")));
        }
        if !messages.is_empty() {
            messages.push(format!("{{oldSchemaVersion: {}}}", earlier.version));
            messages.push(quote(&earlier.schema.canonical()));
            let level = level.as_str();
            messages.push(format!("{{validateFields: 'false', compatibility: '{level}'}}"));
            return Ok(Some(Refusal { messages }));
        }
    }
    Ok(None)
}

fn describe(found: &Incompatibility, reader: &str, writer: &str) -> String {
    let (kind, path) = (found.kind, &found.path);
    let detail = shorten(found.detail.clone());
    let description = match kind {
        IncompatibilityKind::FixedSizeMismatch => format!(
            "The size of FIXED type field at path '{path}' in the {reader} schema does not match \
             with the {writer} schema"
        ),
        IncompatibilityKind::TypeMismatch => format!(
            "The type (path '{path}') of a field in the {reader} schema does not match with the \
             {writer} schema"
        ),
        IncompatibilityKind::NameMismatch => {
            format!("The name of the schema has changed (path '{path}')")
        }
        IncompatibilityKind::MissingEnumSymbols => format!(
            "The {reader} schema is missing enum symbols '{detail}' at path '{path}' in the \
             {writer} schema"
        ),
        IncompatibilityKind::MissingUnionBranch => format!(
            "The {reader} schema is missing a type inside a union field at path '{path}' in the \
             {writer} schema"
        ),
        IncompatibilityKind::ReaderFieldMissingDefaultValue => format!(
            "The field '{detail}' at path '{path}' in the {reader} schema has no default value \
             and is missing in the {writer} schema"
        ),
    };
    format!("{{errorType:'{kind}', description:'{description}', additionalInfo:'{detail}'}}")
}

fn quote(schema: &str) -> String {
    if schema.len() <= MAX_QUOTED_SCHEMA {
        return format!("{{oldSchema: '{schema}'}}");
    }
    let start: String = schema.chars().take(MAX_QUOTED_SCHEMA).collect();
    format!("{{oldSchema: <truncated to {MAX_QUOTED_SCHEMA} characters> '{start}...'}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &str) -> Schema {
        Schema::parse(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)).unwrap()
    }

    #[track_caller]
    fn refused(new: &Schema, earlier: &[&Schema], level: Level) -> Vec<String> {
        let newest = u32::try_from(earlier.len()).unwrap();
        let earlier: Vec<_> = earlier
            .iter()
            .zip((1..=newest).rev())
            .map(|(schema, version)| Earlier { version, schema })
            .collect();
        let refusal = check(new, &earlier, level).unwrap();
        refusal.map_or_else(Vec::new, |refusal| refusal.messages().to_vec())
    }

    #[test]
    fn a_refusal_is_worded_as_confluents_registry_words_it() {
        let (old, new) = (parse(""), parse(r#"{"name":"age","type":"int"}"#));
        assert_eq!(
            refused(&new, &[&old], Level::Backward),
            [
                "{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'age' at \
                 path '/fields/0' in the new schema has no default value and is missing in the \
                 old schema', additionalInfo:'age'}",
                "{oldSchemaVersion: 1}",
                r#"{oldSchema: '{"type":"record","name":"R","fields":[]}'}"#,
                "{validateFields: 'false', compatibility: 'BACKWARD'}",
            ]
        );
    }

    #[test]
    fn each_level_asks_in_its_own_direction() {
        let (less, more) = (parse(""), parse(r#"{"name":"age","type":"int"}"#));
        for (new, old, level, fits) in [
            (&more, &less, Level::Backward, false),
            (&less, &more, Level::Backward, true),
            (&more, &less, Level::Forward, true),
            (&less, &more, Level::Forward, false),
            (&more, &less, Level::Full, false),
            (&less, &more, Level::Full, false),
            (&more, &less, Level::None, true),
        ] {
            assert_eq!(refused(new, &[old], level).is_empty(), fits, "{level:?}");
        }
    }

    #[test]
    fn only_transitive_levels_look_beyond_the_latest() {
        let new = parse(r#"{"name":"a","type":"string"}"#);
        let latest = parse(r#"{"name":"a","type":"string","default":""}"#);
        let first = parse(r#"{"name":"a","type":"int"}"#);
        assert!(refused(&new, &[&latest, &first], Level::Full).is_empty());
        let messages = refused(&new, &[&latest, &first], Level::BackwardTransitive);
        assert_eq!(messages.get(1).map(String::as_str), Some("{oldSchemaVersion: 1}"));
    }

    #[test]
    fn a_long_old_schema_is_quoted_in_part() {
        let doc = "x".repeat(MAX_QUOTED_SCHEMA);
        let old = parse(&format!(r#"{{"name":"a","type":"int","doc":"{doc}"}}"#));
        let messages = refused(&parse(r#"{"name":"b","type":"int"}"#), &[&old], Level::Backward);
        assert!(messages.iter().all(|message| message.len() < MAX_QUOTED_SCHEMA + 100));
        assert!(messages.iter().any(|message| message.contains("<truncated to 10240 characters>")));
    }

    #[test]
    fn levels_are_read_in_any_case() {
        assert_eq!(Level::parse("full_transitive"), Some(Level::FullTransitive));
        assert_eq!(Level::parse("SIDEWARD"), None);
    }
}
