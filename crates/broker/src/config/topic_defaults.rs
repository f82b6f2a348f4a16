use cluster::config::{
    self, RETENTION_BYTES, RETENTION_MS, SEGMENT_BYTES, SEGMENT_MS, TopicConfigs,
};

use super::{Config, ConfigError};

const HOUR_MS: i64 = 60 * 60 * 1000;

impl Config {
    /// What holds for topics that do not say otherwise, as far as this broker keeps them. As in
    /// Kafka, milliseconds win over hours.
    ///
    /// # Errors
    ///
    /// A value that a topic could not be given either.
    pub(crate) fn topic_defaults(&self) -> Result<TopicConfigs, ConfigError> {
        let retention = in_millis(
            ("log_retention_ms", self.log_retention_ms),
            ("log_retention_hours", self.log_retention_hours),
        );
        let roll =
            in_millis(("log_roll_ms", self.log_roll_ms), ("log_roll_hours", self.log_roll_hours));
        let told = [
            (RETENTION_MS, retention),
            (RETENTION_BYTES, ("log_retention_bytes", self.log_retention_bytes)),
            (SEGMENT_MS, roll),
            (SEGMENT_BYTES, ("log_segment_bytes", self.log_segment_bytes)),
        ];
        let mut entries = Vec::new();
        for (definition, (key, value)) in told {
            let value = value.to_string();
            config::validate(definition.name, &value)
                .map_err(|source| ConfigError::TopicDefault { key, source })?;
            if value != definition.default {
                entries.push((definition.name.to_owned(), value));
            }
        }
        Ok(TopicConfigs::from_entries(entries))
    }
}

/// Which of the two keys counts, and what it says in milliseconds.
fn in_millis(
    (millis_key, millis): (&'static str, Option<i64>),
    (hours_key, hours): (&'static str, i64),
) -> (&'static str, i64) {
    match millis {
        Some(millis) => (millis_key, millis),
        // -1 hours is for ever, too.
        None if hours == -1 => (hours_key, -1),
        None => (hours_key, hours.saturating_mul(HOUR_MS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(config: &Config) -> TopicConfigs {
        config.topic_defaults().unwrap()
    }

    #[test]
    fn a_broker_that_is_told_nothing_changes_no_default() {
        assert_eq!(defaults(&Config::default()), TopicConfigs::default());
    }

    #[test]
    fn what_the_broker_is_told_holds_for_topics_that_say_nothing() {
        let config = Config {
            log_retention_hours: 2,
            log_retention_bytes: 5_000,
            log_roll_ms: Some(60_000),
            log_segment_bytes: 4_096,
            ..Config::default()
        };
        let defaults = defaults(&config);
        assert_eq!(defaults.retention_ms(), Some(7_200_000));
        assert_eq!(defaults.retention_bytes(), Some(5_000));
        assert_eq!(defaults.segment_ms(), 60_000);
        assert_eq!(defaults.segment_bytes(), 4_096);
    }

    #[test]
    fn milliseconds_win_over_hours_and_minus_one_of_either_is_for_ever() {
        let both =
            Config { log_retention_ms: Some(1), log_retention_hours: 9, ..Config::default() };
        assert_eq!(defaults(&both).retention_ms(), Some(1));
        for config in [
            Config { log_retention_ms: Some(-1), ..Config::default() },
            Config { log_retention_hours: -1, ..Config::default() },
        ] {
            assert_eq!(defaults(&config).retention_ms(), None);
        }
    }

    #[test]
    fn a_value_that_no_topic_could_have_is_refused_by_the_brokers_own_key() {
        let config = Config { log_retention_hours: -2, ..Config::default() };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with("log_retention_hours: topic config retention.ms"), "{error}");
        let config = Config { log_segment_bytes: 3, ..Config::default() };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with("log_segment_bytes: topic config segment.bytes"), "{error}");
    }
}
