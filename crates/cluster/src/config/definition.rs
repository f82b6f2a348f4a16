use super::ConfigError;

/// One setting of a topic.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Its value where nothing is set.
    pub default: &'static str,
    /// One line of help.
    pub documentation: &'static str,
    values: Values,
}

#[derive(Clone, Copy, Debug)]
enum Values {
    /// Both ends inclusive.
    Integer {
        min: i64,
        max: i64,
    },
    OneOf(&'static [&'static str]),
}

impl Definition {
    /// Checks a value.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidValue`] says what is possible.
    pub fn validate(&self, value: &str) -> Result<(), ConfigError> {
        let is_valid = match self.values {
            Values::Integer { min, max } => {
                value.parse::<i64>().is_ok_and(|number| (min..=max).contains(&number))
            }
            Values::OneOf(words) => words.contains(&value),
        };
        if is_valid {
            return Ok(());
        }
        let expected = match self.values {
            Values::Integer { min, max: i64::MAX } => format!("a whole number from {min}"),
            Values::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Values::OneOf(words) => words.join(" or "),
        };
        Err(ConfigError::InvalidValue { name: self.name, value: value.to_owned(), expected })
    }
}

/// What happens to old segments.
pub const CLEANUP_POLICY: Definition = Definition {
    name: "cleanup.policy",
    default: "delete",
    documentation: "what happens to old segments: delete them by retention.ms and retention.bytes",
    values: Values::OneOf(&["delete"]),
};

/// When an append counts as stored.
pub const DURABILITY: Definition = Definition {
    name: "durability",
    default: "fsync",
    documentation: "when a record counts as stored: fsync (on the disk) or page-cache (in memory)",
    values: Values::OneOf(&["fsync", "page-cache"]),
};

/// The largest batch. The gRPC edge takes no larger message.
pub const MAX_MESSAGE_BYTES: Definition = Definition {
    name: "max.message.bytes",
    default: "1048588",
    documentation: "the largest record batch, as sent, in bytes",
    values: Values::Integer { min: 128, max: 64 * 1024 * 1024 },
};

/// Whose clock a record's timestamp is from.
pub const MESSAGE_TIMESTAMP_TYPE: Definition = Definition {
    name: "message.timestamp.type",
    default: CREATE_TIME,
    documentation: "whose clock a record's timestamp is from: CreateTime (its producer's) or \
                    LogAppendTime (the broker's, when it appends the record)",
    values: Values::OneOf(&[CREATE_TIME, LOG_APPEND_TIME]),
};
const CREATE_TIME: &str = "CreateTime";
pub(super) const LOG_APPEND_TIME: &str = "LogAppendTime";

/// How many replicas acks=all needs.
pub const MIN_INSYNC_REPLICAS: Definition = Definition {
    name: "min.insync.replicas",
    default: "1",
    documentation: "how many replicas must be in sync for a produce with acks=all",
    values: Values::Integer { min: 1, max: 32 },
};

/// How much of a partition is kept.
pub const RETENTION_BYTES: Definition = Definition {
    name: "retention.bytes",
    default: "-1",
    documentation: "size of a partition above which its oldest segments are deleted; -1: no limit",
    values: Values::Integer { min: -1, max: i64::MAX },
};

/// How long a record is kept.
pub const RETENTION_MS: Definition = Definition {
    name: "retention.ms",
    default: "604800000",
    documentation: "age of a segment's youngest record at which it is deleted; -1: never",
    values: Values::Integer { min: -1, max: i64::MAX },
};

/// How large a segment grows.
pub const SEGMENT_BYTES: Definition = Definition {
    name: "segment.bytes",
    default: "1073741824",
    documentation: "size at which a segment is closed and another begun",
    values: Values::Integer { min: 1024, max: i32::MAX as i64 },
};

/// How long a segment grows.
pub const SEGMENT_MS: Definition = Definition {
    name: "segment.ms",
    default: "604800000",
    documentation: "age at which a segment is closed and another begun",
    values: Values::Integer { min: 1, max: i64::MAX },
};
