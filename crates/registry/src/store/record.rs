//! What the store's values hold. Their form is versioned as a whole, by the store's format number.

use schema::{Level, Liveness};
use serde::{Deserialize, Serialize};

/// One schema for ever: what an id stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SchemaRecord {
    /// The canonical text.
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) references: Vec<Reference>,
}

/// A version of a subject that a schema takes names from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Reference {
    /// What the schema calls it.
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VersionRecord {
    pub(super) id: u32,
    #[serde(default, skip_serializing_if = "is_live")]
    pub(super) deleted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_live(deleted: &bool) -> bool {
    !deleted
}

impl VersionRecord {
    pub(super) fn liveness(self) -> Liveness {
        if self.deleted { Liveness::SoftDeleted } else { Liveness::Live }
    }
}

/// What is set for a subject, or for the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compatibility: Option<String>,
    /// Whether schemas are registered and looked up normalised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) normalize: Option<bool>,
}

impl Settings {
    /// The level, if one is set.
    pub(crate) fn level(&self) -> Option<Level> {
        self.compatibility.as_deref().and_then(Level::parse)
    }

    /// Sets the level.
    pub(crate) fn set_level(&mut self, level: Level) {
        self.compatibility = Some(level.as_str().to_owned());
    }
}
