use std::num::NonZeroU64;

use clap::{Args, Subcommand};
use types::TopicName;

use super::{byte_count, topic_name};

/// `dohle broker ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Read what is stored from the disks now and say which records are damaged; exits with 1 if
    /// any are
    Scrub(Scrub),
}

/// `dohle broker scrub`.
#[derive(Debug, Args)]
pub(crate) struct Scrub {
    /// Only these topics
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) topics: Vec<TopicName>,
    /// Only these brokers: 1,3
    #[arg(long = "broker", value_name = "ID,..", value_delimiter = ',')]
    pub(crate) brokers: Vec<u32>,
    /// How many bytes each broker reads in a second, such as 100m; as many as it always does unless
    /// given
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    pub(crate) rate: Option<NonZeroU64>,
}

fn rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = byte_count(text).and_then(NonZeroU64::new);
    bytes.ok_or_else(|| "write 1 or more: bytes, or with k, m or g behind them".to_owned())
}
