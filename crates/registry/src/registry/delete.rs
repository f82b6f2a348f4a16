//! Deleting versions and subjects, softly first.

use schema::{Deletion, Entry, Liveness, NotDeletable, VersionSelector};

use super::{Registry, Subject, refuse_read_only, version_not_found};
use crate::error::RegistryError;
use crate::store::{Change, View};

impl Registry {
    /// Deletes a subject; the versions that went, in order.
    pub(crate) fn delete_subject(
        &self,
        subject: &Subject,
        deletion: Deletion,
    ) -> Result<Vec<u32>, RegistryError> {
        self.change(|view| {
            refuse_read_only(view, subject)?;
            let history = view.history(subject.as_str())?;
            let gone = history.delete_all(deletion).map_err(|refusal| match refusal {
                NotDeletable::Unknown => subject.not_found(),
                NotDeletable::AlreadySoftDeleted => {
                    RegistryError::SubjectSoftDeleted { subject: subject.0.clone() }
                }
                NotDeletable::StillLive => {
                    RegistryError::SubjectNotSoftDeleted { subject: subject.0.clone() }
                }
            })?;
            let mut change = Change::default();
            for entry in &gone {
                refuse_referenced(view, subject, *entry, deletion, References::FromOutside)?;
                remove(view, &mut change, subject, *entry, deletion)?;
            }
            if deletion == Deletion::Permanent {
                forget_settings(&mut change, subject)?;
            }
            Ok((change, gone.iter().map(|entry| entry.version).collect()))
        })
    }

    /// Deletes one version; the number it had.
    pub(crate) fn delete_version(
        &self,
        subject: &Subject,
        selector: VersionSelector,
        deletion: Deletion,
    ) -> Result<u32, RegistryError> {
        self.change(|view| {
            refuse_read_only(view, subject)?;
            let history = view.history(subject.as_str())?;
            if history.entries().is_empty() {
                return Err(subject.not_found());
            }
            let named = |version: u32| (subject.0.clone(), version);
            let gone = history.delete_one(selector, deletion).map_err(|refusal| {
                let version = match selector {
                    VersionSelector::Exactly(version) => version,
                    VersionSelector::Latest => {
                        history.entries().last().map_or(0, |entry| entry.version)
                    }
                };
                let (subject, version) = named(version);
                match refusal {
                    NotDeletable::Unknown => version_not_found(selector),
                    NotDeletable::AlreadySoftDeleted => {
                        RegistryError::VersionSoftDeleted { subject, version }
                    }
                    NotDeletable::StillLive => {
                        RegistryError::VersionNotSoftDeleted { subject, version }
                    }
                }
            })?;
            refuse_referenced(view, subject, gone, deletion, References::FromAnywhere)?;
            let mut change = Change::default();
            remove(view, &mut change, subject, gone, deletion)?;
            if deletion == Deletion::Permanent && history.entries().len() == 1 {
                forget_settings(&mut change, subject)?;
            }
            Ok((change, gone.version))
        })
    }
}

/// Whose references keep a version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum References {
    /// Versions of one subject that refer to each other go together.
    FromOutside,
    FromAnywhere,
}

/// A version that live ones refer to stays; one that softly deleted ones refer to is not deleted
/// for good, since they may still be read by id.
fn refuse_referenced(
    view: &View<'_>,
    subject: &Subject,
    entry: Entry,
    deletion: Deletion,
    references: References,
) -> Result<(), RegistryError> {
    for id in view.referrers(subject.as_str(), entry.version)? {
        let keeps = view.uses(id)?.into_iter().any(|(used, liveness)| {
            let counts = deletion == Deletion::Permanent || liveness == Liveness::Live;
            let outside = references == References::FromAnywhere || used.subject != subject.0;
            counts && outside
        });
        if keeps {
            let (subject, version) = (subject.0.clone(), entry.version);
            return Err(RegistryError::Referenced { subject, version });
        }
    }
    Ok(())
}

fn remove(
    view: &View<'_>,
    change: &mut Change,
    subject: &Subject,
    entry: Entry,
    deletion: Deletion,
) -> Result<(), RegistryError> {
    match deletion {
        Deletion::Soft => {
            let hidden = Entry { liveness: Liveness::SoftDeleted, ..entry };
            change.set_version(subject.as_str(), hidden)
        }
        Deletion::Permanent => {
            change.remove_version(subject.as_str(), entry);
            let referrers = view.referrers(subject.as_str(), entry.version)?;
            change.remove_referrers(subject.as_str(), entry.version, &referrers);
            Ok(())
        }
    }
}

fn forget_settings(change: &mut Change, subject: &Subject) -> Result<(), RegistryError> {
    change.set_mode(Some(subject.as_str()), None);
    change.set_settings(Some(subject.as_str()), None)
}
