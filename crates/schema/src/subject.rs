//! A subject's versions, and what may be done to them.

use thiserror::Error;
use types::SchemaId;

/// One version of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1. A number freed at the end by permanent deletion is given out again, as
    /// Confluent's registry does; a softly deleted version keeps its own.
    pub version: u32,
    /// The schema.
    pub id: SchemaId,
    /// Whether it was deleted softly.
    pub liveness: Liveness,
}

/// Whether a version is there for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is.
    Live,
    /// Only for those who ask for deleted ones. Its schema stays readable by id.
    SoftDeleted,
}

/// All versions of one subject, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    entries: Vec<Entry>,
}

/// How a version is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionSelector {
    /// That one.
    Exactly(u32),
    /// The newest.
    Latest,
}

impl VersionSelector {
    /// Reads `latest`, `-1` or a number from 1 to 2^31-1.
    ///
    /// # Errors
    ///
    /// [`InvalidVersion`] for everything else.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        if text == "latest" || text == "-1" {
            return Ok(Self::Latest);
        }
        match text.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok()) {
            Some(number) if 0 < number => Ok(Self::Exactly(number)),
            Some(_) | None => Err(InvalidVersion { text: text.to_owned() }),
        }
    }
}

/// A text that names no version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "The specified version '{text}' is not a valid version id. Allowed values are between \
     [1, 2^31-1] and the string \"latest\""
)]
pub struct InvalidVersion {
    /// The text.
    pub text: String,
}

/// How thoroughly something is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Hidden; can be registered again under its id.
    Soft,
    /// Gone. Must have been deleted softly before.
    Permanent,
}

/// Why a version or a subject is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotDeletable {
    /// There is no such thing.
    #[error("it does not exist")]
    Unknown,
    /// It was deleted softly already.
    #[error("it was deleted softly already; delete it permanently")]
    AlreadySoftDeleted,
    /// It has to be deleted softly first.
    #[error("it has to be deleted softly first")]
    StillLive,
}

impl History {
    /// Gathers versions, in any order.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.version);
        Self { entries }
    }

    /// All versions, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The versions that are not deleted, oldest first.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.liveness == Liveness::Live)
    }

    /// The softly deleted versions, oldest first.
    pub fn soft_deleted(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.liveness == Liveness::SoftDeleted)
    }

    /// Whether nothing of it is live.
    pub fn is_hidden(&self) -> bool {
        self.live().next().is_none()
    }

    /// A version, deleted or not.
    pub fn find(&self, version: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.version == version)
    }

    /// The live version with that schema.
    pub fn live_with(&self, id: SchemaId) -> Option<&Entry> {
        self.live().rev().find(|entry| entry.id == id)
    }

    /// The number of the version registered next: one more than any there is, deleted or not.
    /// `None` when numbers are used up.
    pub fn next_version(&self) -> Option<u32> {
        let last = self.entries.last().map_or(0, |entry| entry.version);
        last.checked_add(1).filter(|next| i32::try_from(*next).is_ok())
    }

    /// The versions that go when the subject is deleted.
    ///
    /// # Errors
    ///
    /// [`NotDeletable`] if there is nothing to delete in that way.
    pub fn delete_all(&self, deletion: Deletion) -> Result<Vec<Entry>, NotDeletable> {
        if self.entries.is_empty() {
            return Err(NotDeletable::Unknown);
        }
        match deletion {
            Deletion::Soft if self.is_hidden() => Err(NotDeletable::AlreadySoftDeleted),
            Deletion::Soft => Ok(self.live().copied().collect()),
            Deletion::Permanent if !self.is_hidden() => Err(NotDeletable::StillLive),
            Deletion::Permanent => Ok(self.entries.clone()),
        }
    }

    /// The version that goes.
    ///
    /// # Errors
    ///
    /// [`NotDeletable`] if it cannot be deleted in that way.
    pub fn delete_one(
        &self,
        selector: VersionSelector,
        deletion: Deletion,
    ) -> Result<Entry, NotDeletable> {
        let found = match (selector, deletion) {
            (VersionSelector::Exactly(version), _) => self.find(version),
            (VersionSelector::Latest, Deletion::Soft) => self.live().next_back(),
            (VersionSelector::Latest, Deletion::Permanent) => self.entries.last(),
        };
        let entry = *found.ok_or(NotDeletable::Unknown)?;
        match (deletion, entry.liveness) {
            (Deletion::Soft, Liveness::SoftDeleted) => Err(NotDeletable::AlreadySoftDeleted),
            (Deletion::Permanent, Liveness::Live) => Err(NotDeletable::StillLive),
            (Deletion::Soft, Liveness::Live) | (Deletion::Permanent, Liveness::SoftDeleted) => {
                Ok(entry)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(versions: &[(u32, Liveness)]) -> History {
        let entry = |&(version, liveness)| Entry { version, id: SchemaId::new(version), liveness };
        History::new(versions.iter().map(entry).collect())
    }

    #[test]
    fn a_soft_deleted_version_keeps_its_number() {
        let history = history(&[(2, Liveness::SoftDeleted), (1, Liveness::Live)]);
        assert_eq!(history.next_version(), Some(3));
        assert_eq!(history.live().map(|entry| entry.version).collect::<Vec<_>>(), [1]);
        assert_eq!(history.live_with(SchemaId::new(2)), None);
    }

    #[test]
    fn an_empty_subject_begins_at_one() {
        assert_eq!(history(&[]).next_version(), Some(1));
    }

    #[test]
    fn version_numbers_end_rather_than_wrap() {
        assert_eq!(history(&[(2_147_483_647, Liveness::Live)]).next_version(), None);
    }

    #[test]
    fn nothing_is_deleted_permanently_before_it_is_deleted_softly() {
        let both = history(&[(1, Liveness::SoftDeleted), (2, Liveness::Live)]);
        let one = |version, deletion| {
            both.delete_one(VersionSelector::Exactly(version), deletion).map(|entry| entry.version)
        };
        assert_eq!(one(1, Deletion::Permanent), Ok(1));
        assert_eq!(one(1, Deletion::Soft), Err(NotDeletable::AlreadySoftDeleted));
        assert_eq!(one(2, Deletion::Soft), Ok(2));
        assert_eq!(one(2, Deletion::Permanent), Err(NotDeletable::StillLive));
        assert_eq!(one(3, Deletion::Soft), Err(NotDeletable::Unknown));
        assert_eq!(both.delete_all(Deletion::Permanent), Err(NotDeletable::StillLive));
        assert_eq!(both.delete_all(Deletion::Soft).map(|gone| gone.len()), Ok(1));
        let hidden = history(&[(1, Liveness::SoftDeleted)]);
        assert_eq!(hidden.delete_all(Deletion::Soft), Err(NotDeletable::AlreadySoftDeleted));
        assert_eq!(hidden.delete_all(Deletion::Permanent).map(|gone| gone.len()), Ok(1));
    }

    #[test]
    fn versions_are_selected_by_the_words_that_confluent_allows() {
        assert_eq!(VersionSelector::parse("7"), Ok(VersionSelector::Exactly(7)));
        assert_eq!(VersionSelector::parse("latest"), Ok(VersionSelector::Latest));
        assert_eq!(VersionSelector::parse("-1"), Ok(VersionSelector::Latest));
        for text in ["0", "-2", "abc", "", "2147483648", "1.0"] {
            assert!(VersionSelector::parse(text).is_err(), "{text}");
        }
    }
}
