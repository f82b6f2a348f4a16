use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use client::DeleteBefore;
use types::{Offset, TopicName};

use super::{pair, topic_name};

/// `dohle topic ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create topics
    Create {
        /// Their names
        #[arg(required = true, value_name = "TOPIC", value_parser = topic_name)]
        topics: Vec<TopicName>,
        /// How many partitions; the broker's num.partitions unless given
        #[arg(short, long, value_name = "N")]
        partitions: Option<u32>,
        /// How many replicas; the broker's default.replication.factor unless given
        #[arg(short, long, value_name = "N")]
        replication_factor: Option<u32>,
        /// A setting, such as retention.ms=86400000; may be repeated
        #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// Leave a topic that exists as it is, and succeed
        #[arg(long)]
        if_not_exists: bool,
        /// Check everything and create nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List topics
    List {
        /// Show the platform's own topics too
        #[arg(long)]
        internal: bool,
    },
    /// Show a topic's partitions and settings
    Describe {
        /// Its name
        #[arg(value_name = "TOPIC", value_parser = topic_name)]
        topic: TopicName,
        /// Show partitions only
        #[arg(long, conflicts_with = "configs")]
        partitions: bool,
        /// Show settings only
        #[arg(long)]
        configs: bool,
    },
    /// Change a topic's settings or add partitions
    Alter {
        /// Its name
        #[arg(value_name = "TOPIC", value_parser = topic_name)]
        topic: TopicName,
        /// A setting to set; may be repeated
        #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// A setting to put back to its default; may be repeated
        #[arg(long, value_name = "NAME", action = ArgAction::Append)]
        unset: Vec<String>,
        /// The new number of partitions; it can only grow
        #[arg(long, value_name = "N")]
        partitions: Option<u32>,
    },
    /// Delete topics with all their records
    Delete {
        /// Their names
        #[arg(required = true, value_name = "TOPIC", value_parser = topic_name)]
        topics: Vec<TopicName>,
    },
    /// Delete the records of partitions before an offset, for good
    DeleteRecords(DeleteRecords),
}

/// `dohle topic delete-records`.
#[derive(Debug, Args)]
pub(crate) struct DeleteRecords {
    /// Whose records
    #[arg(
        value_name = "TOPIC",
        value_parser = topic_name,
        requires = "before_offset",
        required_unless_present = "offset_json_file",
        conflicts_with = "offset_json_file"
    )]
    pub(crate) topic: Option<TopicName>,
    /// Only these partitions: 0,2
    #[arg(
        short,
        long = "partition",
        value_name = "N,..",
        value_delimiter = ',',
        requires = "topic",
        visible_alias = "partitions"
    )]
    pub(crate) partitions: Vec<u32>,
    /// The first offset that stays; end, or Kafka's -1: delete all that can be read now
    #[arg(long, value_name = "OFFSET", value_parser = before_offset, allow_hyphen_values = true,
          requires = "topic")]
    pub(crate) before_offset: Option<DeleteBefore>,
    /// Take partitions and offsets from a file in the form of kafka-delete-records:
    /// {"partitions": [{"topic": "t", "partition": 0, "offset": 5}], "version": 1}
    #[arg(long, value_name = "FILE")]
    pub(crate) offset_json_file: Option<PathBuf>,
}

fn before_offset(text: &str) -> Result<DeleteBefore, String> {
    match text {
        "end" | "-1" => Ok(DeleteBefore::HighWatermark),
        _ => match text.parse() {
            Ok(offset) => Ok(DeleteBefore::Offset(Offset::new(offset))),
            Err(_) => Err("an offset is a whole number from 0, or end (or -1)".to_owned()),
        },
    }
}
