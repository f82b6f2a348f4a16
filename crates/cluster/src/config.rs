//! What can be configured for a topic: a closed table of names, defaults and limits.
//!
//! Kafka's names where Kafka has the setting. A name is here once something honours it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use thiserror::Error;
use types::{Coded, Durability, Reason, TimestampType};

use self::definition::LOG_APPEND_TIME;

mod definition;

pub use definition::{CLEANUP_POLICY, DURABILITY, Definition, MAX_MESSAGE_BYTES};
pub use definition::{
    MESSAGE_TIMESTAMP_TYPE, MIN_INSYNC_REPLICAS, RETENTION_BYTES, RETENTION_MS, SEGMENT_BYTES,
    SEGMENT_MS,
};

/// Every setting, by name.
pub const DEFINITIONS: &[Definition] = &[
    CLEANUP_POLICY,
    DURABILITY,
    MAX_MESSAGE_BYTES,
    MESSAGE_TIMESTAMP_TYPE,
    MIN_INSYNC_REPLICAS,
    RETENTION_BYTES,
    RETENTION_MS,
    SEGMENT_BYTES,
    SEGMENT_MS,
];

/// Checks one entry.
///
/// # Errors
///
/// [`ConfigError`] says what is wrong with the name or the value.
pub fn validate(name: &str, value: &str) -> Result<(), ConfigError> {
    definition(name)?.validate(value)
}

/// The definition of a setting.
///
/// # Errors
///
/// [`ConfigError::UnknownName`].
pub fn definition(name: &str) -> Result<&'static Definition, ConfigError> {
    DEFINITIONS
        .iter()
        .find(|definition| definition.name == name)
        .ok_or_else(|| ConfigError::UnknownName { name: name.to_owned() })
}

/// Why a configuration entry is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No such setting.
    #[error("unknown topic config {name:?}; known are {}", known_names())]
    UnknownName {
        /// The name given.
        name: String,
    },
    /// A value outside the setting's limits.
    #[error("topic config {name} cannot be {value:?}; it takes {expected}")]
    InvalidValue {
        /// The setting.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is possible.
        expected: String,
    },
    /// One entry is both set and unset, or set twice.
    #[error("topic config {name} is named twice in one change")]
    NamedTwice {
        /// The setting.
        name: String,
    },
}

impl Coded for ConfigError {
    fn reason(&self) -> Reason {
        Reason::InvalidConfig
    }
}

fn known_names() -> String {
    let names: Vec<_> = DEFINITIONS.iter().map(|definition| definition.name).collect();
    names.join(", ")
}

/// What was set for one topic. Everything else is at its default.
///
/// Entries that a newer version wrote and this one does not know are kept and ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicConfigs(BTreeMap<String, String>);

impl TopicConfigs {
    /// Takes entries as they are stored; nothing is checked.
    pub fn from_entries(entries: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// Names and values that were set, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What was set for `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value that counts: what was set, or the default.
    pub fn effective(&self, definition: &Definition) -> &str {
        self.get(definition.name).unwrap_or(definition.default)
    }

    /// These, and `defaults` for what is not set here.
    pub fn over(&self, defaults: &Self) -> Cow<'_, Self> {
        if defaults.0.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut entries = defaults.0.clone();
        entries.extend(self.0.clone());
        Cow::Owned(Self(entries))
    }

    /// Oldest age of a record before its segment may go, in milliseconds; none: kept for ever.
    pub fn retention_ms(&self) -> Option<u64> {
        u64::try_from(self.integer(&RETENTION_MS)).ok()
    }

    /// Size of a partition above which its oldest segments go, in bytes; none: no limit.
    pub fn retention_bytes(&self) -> Option<u64> {
        u64::try_from(self.integer(&RETENTION_BYTES)).ok()
    }

    /// Size at which a segment is closed, in bytes.
    pub fn segment_bytes(&self) -> u64 {
        self.integer(&SEGMENT_BYTES).unsigned_abs()
    }

    /// Age at which a segment is closed, in milliseconds.
    pub fn segment_ms(&self) -> u64 {
        self.integer(&SEGMENT_MS).unsigned_abs()
    }

    /// The largest batch, in bytes.
    pub fn max_message_bytes(&self) -> usize {
        usize::try_from(self.integer(&MAX_MESSAGE_BYTES)).unwrap_or(usize::MAX)
    }

    /// How many replicas must be in sync for acks=all.
    pub fn min_insync_replicas(&self) -> usize {
        usize::try_from(self.integer(&MIN_INSYNC_REPLICAS)).unwrap_or(usize::MAX)
    }

    /// Whose clock the timestamps of records are from.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.effective(&MESSAGE_TIMESTAMP_TYPE) == LOG_APPEND_TIME {
            TimestampType::LogAppend
        } else {
            TimestampType::Create
        }
    }

    /// When an append counts as stored.
    pub fn durability(&self) -> Durability {
        if self.effective(&DURABILITY) == "page-cache" {
            Durability::PageCache
        } else {
            Durability::Fsync
        }
    }

    pub(crate) fn altered(&self, set: &[(String, String)], unset: &[String]) -> Self {
        let mut entries = self.0.clone();
        for name in unset {
            entries.remove(name);
        }
        entries.extend(set.iter().cloned());
        Self(entries)
    }

    /// A value that passed [`validate`]; the default in place of one that did not.
    fn integer(&self, definition: &Definition) -> i64 {
        let value = self.effective(definition);
        let valid = definition.validate(value).is_ok();
        let value = if valid { value } else { definition.default };
        value.parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid() {
        for definition in DEFINITIONS {
            assert_eq!(definition.validate(definition.default), Ok(()));
        }
        let names: Vec<_> = DEFINITIONS.iter().map(|definition| definition.name).collect();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn an_unknown_name_is_named_together_with_those_that_are_known() {
        let error = validate("retention.mss", "1").unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidConfig);
        let text = error.to_string();
        assert!(text.contains("\"retention.mss\"") && text.contains("retention.ms,"), "{text}");
    }

    #[test]
    fn a_value_outside_its_limits_is_refused() {
        for (name, value) in [
            ("retention.ms", "-2"),
            ("retention.ms", "a week"),
            ("segment.bytes", "0"),
            ("segment.bytes", "99999999999"),
            ("min.insync.replicas", "0"),
            ("max.message.bytes", "67108865"),
            ("durability", "yes"),
            ("message.timestamp.type", "logappendtime"),
            ("cleanup.policy", "compact"),
        ] {
            let refused = validate(name, value);
            assert!(matches!(refused, Err(ConfigError::InvalidValue { .. })), "{name}={value}");
        }
    }

    #[test]
    fn what_is_not_set_is_at_its_default() {
        let configs = TopicConfigs::default();
        assert_eq!(configs.retention_ms(), Some(604_800_000));
        assert_eq!(configs.retention_bytes(), None);
        assert_eq!(configs.segment_bytes(), 1 << 30);
        assert_eq!(configs.max_message_bytes(), 1_048_588);
        assert_eq!(configs.min_insync_replicas(), 1);
        assert_eq!(configs.durability(), Durability::Fsync);
        assert_eq!(configs.timestamp_type(), TimestampType::Create);
    }

    #[test]
    fn timestamps_are_the_logs_where_the_topic_says_so() {
        let set = [("message.timestamp.type".to_owned(), "LogAppendTime".to_owned())];
        assert_eq!(TopicConfigs::from_entries(set).timestamp_type(), TimestampType::LogAppend);
    }

    #[test]
    fn what_a_topic_sets_wins_over_what_its_broker_is_told() {
        let entry = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let told = [entry("retention.ms", "5"), entry("segment.ms", "6")];
        let told = TopicConfigs::from_entries(told);
        let topic = TopicConfigs::from_entries([entry("retention.ms", "-1")]);
        let both = topic.over(&told);
        assert_eq!((both.retention_ms(), both.segment_ms()), (None, 6));
        assert_eq!(*topic.over(&TopicConfigs::default()), topic);
    }

    #[test]
    fn a_stored_value_that_this_version_refuses_counts_as_not_set() {
        let stored = [("segment.bytes".to_owned(), "-1".to_owned())];
        assert_eq!(TopicConfigs::from_entries(stored).segment_bytes(), 1 << 30);
    }
}
