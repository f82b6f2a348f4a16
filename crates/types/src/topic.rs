use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::{Coded, PartitionId, Reason};

/// A topic's name: 1 to 249 of the characters `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
///
/// The rule is Kafka's (`Topic.validate`), so every name that is valid there is valid here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 249;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`InvalidTopicName`] says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() {
            return Err(InvalidTopicName::Empty);
        }
        if Self::MAX_LEN < name.len() {
            return Err(InvalidTopicName::TooLong { length: name.len() });
        }
        if name == "." || name == ".." {
            return Err(InvalidTopicName::Reserved);
        }
        if let Some(found) = name.chars().find(|c| !legal(*c)) {
            return Err(InvalidTopicName::Character { name: name.to_owned(), found });
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one of the platform's own topics, such as `__consumer_offsets`.
    pub fn is_internal(&self) -> bool {
        self.0.starts_with("__")
    }
}

/// As text. Most names that are looked up are copies of the one that is found.
impl Ord for TopicName {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for TopicName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for TopicName {
    type Err = InvalidTopicName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a topic may not be called that.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidTopicName {
    /// No name at all.
    #[error("a topic needs a name")]
    Empty,
    /// Longer than [`TopicName::MAX_LEN`].
    #[error("the topic name has {length} characters; at most 249 are allowed")]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// `.` or `..`.
    #[error("a topic cannot be called \".\" or \"..\"")]
    Reserved,
    /// A character outside the allowed set.
    #[error(
        "topic name {name:?} holds {found:?}; only a-z, A-Z, 0-9, '.', '_' and '-' are allowed"
    )]
    Character {
        /// The name given.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
}

impl Coded for InvalidTopicName {
    fn reason(&self) -> Reason {
        Reason::InvalidTopic
    }
}

/// One partition, by the name its users call it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition of that topic.
    pub partition: PartitionId,
}

impl TopicPartition {
    /// Names a partition.
    pub const fn new(topic: TopicName, partition: PartitionId) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(name: &str, expected: &InvalidTopicName) {
        assert_eq!(TopicName::new(name).as_ref(), Err(expected));
    }

    #[test]
    fn names_that_kafka_accepts_are_accepted() {
        for name in ["test1", "repl-test-topic", "bigdata.test", "__consumer_offsets", "...", "A_9"]
        {
            assert_eq!(TopicName::new(name).unwrap().as_str(), name);
        }
        assert!(TopicName::new(&"x".repeat(249)).is_ok());
    }

    #[test]
    fn names_that_could_leave_the_data_directory_are_refused() {
        refused("..", &InvalidTopicName::Reserved);
        refused(".", &InvalidTopicName::Reserved);
        refused("", &InvalidTopicName::Empty);
        refused(&"x".repeat(250), &InvalidTopicName::TooLong { length: 250 });
        refused("a/b", &InvalidTopicName::Character { name: "a/b".into(), found: '/' });
        refused("ação", &InvalidTopicName::Character { name: "ação".into(), found: 'ç' });
    }
}
