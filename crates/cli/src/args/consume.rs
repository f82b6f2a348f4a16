use clap::Args;
use types::TopicName;

use super::topic_name;
use crate::format::Format;
use crate::offsets::Range;

/// `dohle consume`.
#[derive(Debug, Args)]
pub(crate) struct Consume {
    /// What to read; created with the broker's defaults if it does not exist
    #[arg(required = true, value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) topics: Vec<TopicName>,
    /// Where to begin, and where to end: start, end, N, +N (after the start), -N (before the end),
    /// @TIME, A:B, :end
    #[arg(short, long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) offset: Option<Range>,
    /// The same as -o start
    #[arg(long, conflicts_with = "offset")]
    pub(crate) from_beginning: bool,
    /// Leave after so many records
    #[arg(short = 'n', long, value_name = "N", visible_alias = "max-messages",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Leave at the end, as it was when the command started
    #[arg(short, long)]
    pub(crate) exit_at_end: bool,
    /// Only these partitions: 0,2
    #[arg(short, long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) partitions: Vec<u32>,
    /// json, or a template: %t topic, %p partition, %o offset, %T timestamp, %k key, %v value,
    /// %h headers, \n and \t; the value and a line end unless given
    #[arg(short, long, value_parser = Format::parse)]
    pub(crate) format: Option<Format>,
    /// Do not decode Avro
    #[arg(long)]
    pub(crate) raw: bool,
}
