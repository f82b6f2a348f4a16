//! Compatibility levels and modes, of the registry and of single subjects.

use schema::{Level, Mode};

use super::{Registry, Subject, refuse_read_only};
use crate::error::RegistryError;
use crate::store::{Change, Settings, View};

/// What a request sets; what it leaves out stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SettingsUpdate {
    pub(crate) level: Option<Level>,
    pub(crate) normalize: Option<bool>,
}

/// Whether the registry's own answer serves where a subject has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    ToRegistry,
    None,
}

impl Registry {
    /// What is set for the registry.
    pub(crate) fn global_settings(&self) -> Result<Settings, RegistryError> {
        global_settings(&self.store.view())
    }

    /// What is set for a subject.
    pub(crate) fn settings(
        &self,
        subject: &Subject,
        fallback: Fallback,
    ) -> Result<Settings, RegistryError> {
        let view = self.store.view();
        let own = view.settings(Some(subject.as_str()))?;
        match (own.filter(|own| own.level().is_some()), fallback) {
            (Some(own), _) => Ok(own),
            (None, Fallback::ToRegistry) => global_settings(&view),
            (None, Fallback::None) => {
                Err(RegistryError::NoSubjectLevel { subject: subject.as_str().to_owned() })
            }
        }
    }

    /// Changes what is set for a subject, or for the registry.
    pub(crate) fn update_settings(
        &self,
        subject: Option<&Subject>,
        update: SettingsUpdate,
    ) -> Result<(), RegistryError> {
        let scope = subject.map(Subject::as_str);
        self.change(|view| {
            refuse_where_read_only(view, subject)?;
            let mut settings = view.settings(scope)?.unwrap_or_default();
            if let Some(level) = update.level {
                settings.set_level(level);
            }
            settings.normalize = update.normalize.or(settings.normalize);
            let mut change = Change::default();
            if update != SettingsUpdate::default() {
                change.set_settings(scope, Some(&settings))?;
            }
            Ok((change, ()))
        })
    }

    /// Clears what is set for a subject, or for the registry; what it was.
    pub(crate) fn clear_settings(&self, subject: Option<&Subject>) -> Result<Level, RegistryError> {
        let scope = subject.map(Subject::as_str);
        self.change(|view| {
            refuse_where_read_only(view, subject)?;
            let old = match (view.settings(scope)?, subject) {
                (Some(settings), _) => level(&settings),
                (None, None) => Level::default(),
                (None, Some(subject)) => return Err(subject.not_found()),
            };
            let mut change = Change::default();
            change.set_settings(scope, None)?;
            Ok((change, old))
        })
    }

    /// The registry's mode.
    pub(crate) fn global_mode(&self) -> Result<Mode, RegistryError> {
        Ok(self.store.view().mode(None)?.unwrap_or(Mode::ReadWrite))
    }

    /// A subject's mode.
    pub(crate) fn mode(
        &self,
        subject: &Subject,
        fallback: Fallback,
    ) -> Result<Mode, RegistryError> {
        match (self.store.view().mode(Some(subject.as_str()))?, fallback) {
            (Some(mode), _) => Ok(mode),
            (None, Fallback::ToRegistry) => self.global_mode(),
            (None, Fallback::None) => {
                Err(RegistryError::NoSubjectMode { subject: subject.as_str().to_owned() })
            }
        }
    }

    /// Sets the mode of a subject, or of the registry.
    pub(crate) fn set_mode(
        &self,
        subject: Option<&Subject>,
        mode: Mode,
        import: ImportOver,
    ) -> Result<(), RegistryError> {
        self.change(|view| {
            if mode == Mode::Import && import == ImportOver::NothingOnly {
                let occupied = match subject {
                    Some(subject) => !view.history(subject.as_str())?.is_hidden(),
                    None => view.has_live_subjects()?,
                };
                if occupied {
                    return Err(RegistryError::ImportOverSubjects);
                }
            }
            let mut change = Change::default();
            change.set_mode(subject.map(Subject::as_str), Some(mode));
            Ok((change, ()))
        })
    }

    /// Clears a subject's mode; what it was.
    pub(crate) fn clear_mode(&self, subject: &Subject) -> Result<Mode, RegistryError> {
        self.change(|view| {
            let old = view.mode(Some(subject.as_str()))?.ok_or_else(|| subject.not_found())?;
            let mut change = Change::default();
            change.set_mode(Some(subject.as_str()), None);
            Ok((change, old))
        })
    }
}

/// What import mode may be switched on over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImportOver {
    NothingOnly,
    Anything,
}

fn global_settings(view: &View<'_>) -> Result<Settings, RegistryError> {
    let mut settings = view.settings(None)?.unwrap_or_default();
    settings.set_level(level(&settings));
    Ok(settings)
}

fn level(settings: &Settings) -> Level {
    settings.level().unwrap_or_default()
}

fn refuse_where_read_only(view: &View<'_>, subject: Option<&Subject>) -> Result<(), RegistryError> {
    match subject {
        Some(subject) => refuse_read_only(view, subject),
        None if view.mode(None)?.is_some_and(Mode::is_read_only) => {
            Err(RegistryError::ReadOnly { subject: "null".to_owned() })
        }
        None => Ok(()),
    }
}
