use std::path::PathBuf;
use std::str::FromStr;

use clap::{Subcommand, ValueEnum};
use types::SchemaId;

/// `dohle schema ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Register a schema under a subject; prints its id
    Register {
        /// Such as orders-value
        subject: String,
        /// The Avro schema (.avsc); - reads stdin
        file: PathBuf,
    },
    /// List the subjects
    List,
    /// Print a schema
    Get {
        /// SUBJECT, SUBJECT@VERSION or #ID
        schema: SchemaRef,
    },
    /// List a subject's versions
    Versions {
        /// Such as orders-value
        subject: String,
    },
    /// Check whether a schema is compatible with what a subject holds; exits with 5 if not
    Check {
        /// Such as orders-value
        subject: String,
        /// The Avro schema (.avsc); - reads stdin
        file: PathBuf,
    },
    /// Show or set which changes are compatible
    #[command(subcommand)]
    Compat(Compat),
    /// Delete a subject or one version of it
    Delete {
        /// SUBJECT or SUBJECT@VERSION
        subject: SchemaRef,
        /// Delete what was deleted softly before; it cannot be brought back
        #[arg(long)]
        permanent: bool,
    },
}

/// `dohle schema compat ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Compat {
    /// Show the level of a subject, or of all that have none of their own
    Get {
        /// Such as orders-value
        subject: Option<String>,
    },
    /// Set the level of a subject, or of all that have none of their own
    Set {
        /// The level
        #[arg(value_enum, ignore_case = true)]
        level: Level,
        /// Such as orders-value
        subject: Option<String>,
    },
}

/// Which changes of a schema are compatible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Anything goes
    None,
    /// The new schema reads data of the last one
    Backward,
    /// The new schema reads data of all before
    BackwardTransitive,
    /// The last schema reads data of the new one
    Forward,
    /// All schemas before read data of the new one
    ForwardTransitive,
    /// Both ways
    Full,
    /// Both ways, with all before
    FullTransitive,
}

impl Level {
    /// The registry's word for it.
    pub(crate) const fn as_str(self) -> &'static str {
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
}

/// One schema, or all of a subject, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SchemaRef {
    /// By its id: `#17`.
    Id(SchemaId),
    /// A subject: its latest version, or all of it.
    Subject(String),
    /// One version of a subject: `orders-value@3`.
    Version(String, u32),
}

impl FromStr for SchemaRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(id) = text.strip_prefix('#') {
            let id = id.parse().map_err(|_no_number| format!("{text:?} is not #ID"))?;
            return Ok(Self::Id(SchemaId::new(id)));
        }
        match text.rsplit_once('@') {
            _ if text.is_empty() => Err("a subject has a name".to_owned()),
            None | Some((_, "latest")) => {
                Ok(Self::Subject(text.strip_suffix("@latest").unwrap_or(text).to_owned()))
            }
            Some((subject, version)) => match version.parse() {
                Ok(version) if 0 < version => Ok(Self::Version(subject.to_owned(), version)),
                Ok(_) | Err(_) => Err(format!("{version:?} is no version; they count from 1")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_named_by_subject_version_or_id() {
        let parse = |text: &str| text.parse::<SchemaRef>();
        assert_eq!(parse("#17"), Ok(SchemaRef::Id(SchemaId::new(17))));
        assert_eq!(parse("a-value"), Ok(SchemaRef::Subject("a-value".into())));
        assert_eq!(parse("a-value@latest"), Ok(SchemaRef::Subject("a-value".into())));
        assert_eq!(parse("a-value@3"), Ok(SchemaRef::Version("a-value".into(), 3)));
        for text in ["", "#", "#x", "a@0", "a@x", "a@"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
