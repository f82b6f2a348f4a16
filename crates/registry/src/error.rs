use kv_store::KvError;
use schema::{InvalidVersion, ParseError, TooComplex};
use thiserror::Error;
use types::{Coded, Reason};

use crate::store::Reference;

/// Why the registry did not do as asked. The words are Confluent's: clients show them to people.
#[derive(Debug, Error)]
pub(crate) enum RegistryError {
    #[error("Subject '{subject}' not found.")]
    SubjectNotFound { subject: String },
    #[error("Version {version} not found.")]
    VersionNotFound { version: String },
    #[error("Schema {id} not found")]
    IdNotFound { id: i64 },
    #[error("Schema not found")]
    SchemaNotFound,
    #[error("Subject '{subject}' was soft deleted.Set permanent=true to delete permanently")]
    SubjectSoftDeleted { subject: String },
    #[error("Subject '{subject}' was not deleted first before being permanently deleted")]
    SubjectNotSoftDeleted { subject: String },
    #[error(
        "Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete \
         permanently"
    )]
    VersionSoftDeleted { subject: String, version: u32 },
    #[error(
        "Subject '{subject}' Version {version} was not deleted first before being permanently \
         deleted"
    )]
    VersionNotSoftDeleted { subject: String, version: u32 },
    #[error("Subject '{subject}' does not have subject-level compatibility configured")]
    NoSubjectLevel { subject: String },
    #[error("Subject '{subject}' does not have subject-level mode configured")]
    NoSubjectMode { subject: String },
    #[error(transparent)]
    InvalidSchema(Box<RejectedSchema>),
    #[error("Invalid schema type {kind}; this registry holds AVRO only")]
    InvalidType { kind: String },
    #[error("Empty schema")]
    EmptySchema,
    #[error(
        "Version {version} is not one more than the previous version of subject '{subject}', \
         which makes {expected}"
    )]
    UnexpectedVersion { subject: String, version: u32, expected: u32 },
    #[error(
        "Schema being registered is incompatible with an earlier schema for subject \
         \"{subject}\", details: [{}]", messages.join(", ")
    )]
    Incompatible { subject: String, messages: Vec<String> },
    #[error(transparent)]
    InvalidVersion(#[from] InvalidVersion),
    #[error(
        "Invalid compatibility level. Valid values are none, backward, forward, full, \
         backward_transitive, forward_transitive, and full_transitive"
    )]
    InvalidLevel,
    #[error("Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT")]
    InvalidMode,
    #[error("Subject {subject} is in read-only mode")]
    ReadOnly { subject: String },
    #[error("Subject {subject} is not in import mode; an id is given out, not brought along")]
    NotInImportMode { subject: String },
    #[error("Subject {subject} is in import mode; the schema has to bring its id along")]
    InImportMode { subject: String },
    #[error("Overwrite new schema with id {id} is not permitted.")]
    IdTaken { id: u32 },
    #[error("Cannot import since found existing subjects; add force=true to import beside them")]
    ImportOverSubjects,
    #[error(
        "One or more references exist to the schema \
         {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}."
    )]
    Referenced { subject: String, version: u32 },
    #[error("The specified subject '{subject}' is not a valid.")]
    InvalidSubject { subject: String },
    #[error("Error in the backend data store: {0}")]
    Store(#[from] KvError),
    #[error("Error in the backend data store: the record at {key} cannot be read; restore it")]
    Damaged { key: String },
    #[error("Error in the backend data store: other writers kept changing the same; try again")]
    Contended,
    #[error("Error in the backend data store: all {what} are used up")]
    UsedUp { what: &'static str },
}

/// A schema that cannot be registered, and why.
#[derive(Debug, Error)]
#[error("Invalid schema {context}, details: {cause}")]
pub(crate) struct RejectedSchema {
    pub(crate) context: SchemaContext,
    #[source]
    pub(crate) cause: InvalidSchema,
}

/// What is wrong with a schema.
#[derive(Debug, Error)]
pub(crate) enum InvalidSchema {
    #[error(transparent)]
    Text(#[from] ParseError),
    #[error("No schema reference found for subject \"{subject}\" and version {version}")]
    MissingReference { subject: String, version: i32 },
    #[error("it refers to more than {limit} schemas")]
    TooManyReferences { limit: usize },
    #[error("{cause} (in the reference to subject \"{subject}\", version {version})")]
    Reference { subject: String, version: u32, cause: ParseError },
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
}

/// The schema at fault, as Confluent's registry prints it.
#[derive(Clone, Debug)]
pub(crate) struct SchemaContext {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
}

impl std::fmt::Display for SchemaContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const LONGEST: usize = 10 * 1024;
        let references: Vec<_> = self
            .references
            .iter()
            .map(|Reference { name, subject, version }| {
                format!("{{name='{name}', subject='{subject}', version={version}}}")
            })
            .collect();
        let references = references.join(", ");
        let subject = &self.subject;
        write!(
            f,
            "{{subject={subject},version=0,id=-1,schemaType=AVRO,references=[{references}],\
             metadata=null,ruleSet=null,schema="
        )?;
        let cut: String = self.text.chars().take(LONGEST).collect();
        let ellipsis = if cut.len() < self.text.len() { "..." } else { "" };
        write!(f, "{cut}{ellipsis}}} with refs [{references}] of type AVRO")
    }
}

impl Coded for RegistryError {
    fn reason(&self) -> Reason {
        match self {
            Self::SubjectNotFound { .. }
            | Self::VersionNotFound { .. }
            | Self::IdNotFound { .. }
            | Self::SchemaNotFound
            | Self::SubjectSoftDeleted { .. }
            | Self::SubjectNotSoftDeleted { .. }
            | Self::VersionSoftDeleted { .. }
            | Self::VersionNotSoftDeleted { .. }
            | Self::NoSubjectLevel { .. }
            | Self::NoSubjectMode { .. }
            | Self::InvalidSchema(_)
            | Self::InvalidType { .. }
            | Self::EmptySchema
            | Self::UnexpectedVersion { .. }
            | Self::Incompatible { .. }
            | Self::InvalidVersion(_)
            | Self::InvalidLevel
            | Self::InvalidMode
            | Self::ReadOnly { .. }
            | Self::NotInImportMode { .. }
            | Self::InImportMode { .. }
            | Self::IdTaken { .. }
            | Self::ImportOverSubjects
            | Self::Referenced { .. }
            | Self::InvalidSubject { .. } => Reason::InvalidRequest,
            Self::Store(error) => error.reason(),
            Self::Damaged { .. } => Reason::StorageError,
            Self::Contended => Reason::Busy,
            Self::UsedUp { .. } => Reason::UnknownServerError,
        }
    }
}
