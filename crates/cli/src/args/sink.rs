use chrono_tz::Tz;
use clap::{Args, Subcommand, ValueEnum};
use lake::partitioner::DirectoryFormat;
use sink::store::LakePlace;
use types::TopicName;

use super::topic_name;

/// `dohle sink ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Land what is new in the topics; safe to repeat at any time
    Run(Land),
    /// Check that the lake holds what its log of commits says; exits with 1 if not
    Verify(Verify),
    /// List the last runs that landed something, the newest first
    History(History),
}

/// `dohle sink verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Which topics
    #[arg(required = true, value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) topics: Vec<TopicName>,
    /// Where they were landed
    #[command(flatten)]
    pub(crate) lake: Lake,
    /// Look at names and lengths only, not at every byte
    #[arg(long)]
    pub(crate) quick: bool,
}

/// `dohle sink history`.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Which topic
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) topic: TopicName,
    /// Where it was landed
    #[command(flatten)]
    pub(crate) lake: Lake,
    /// How many runs
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) count: usize,
}

/// `dohle sink run`.
#[derive(Debug, Args)]
pub(crate) struct Land {
    /// Which topics
    #[arg(required = true, value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) topics: Vec<TopicName>,
    /// Where to land them
    #[command(flatten)]
    pub(crate) lake: Lake,
    /// Show what a run would read, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Directories: hourly, daily, hive-hourly, hive-daily, or a pattern such as %Y/%m/%d/%H
    #[arg(long, value_name = "FORMAT", default_value = "hourly")]
    pub(crate) directories: DirectoryFormat,
    /// The field that says when a record happened (header.time); its timestamp unless given
    #[arg(long, value_name = "FIELD")]
    pub(crate) time_field: Option<String>,
    /// What numbers in that field count
    #[arg(long, value_enum, default_value_t = TimeUnit::Millis, requires = "time_field")]
    pub(crate) time_unit: TimeUnit,
    /// Whose wall clock names the directories
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = timezone)]
    pub(crate) timezone: Tz,
    /// What becomes of a record whose field holds no time
    #[arg(long, value_enum, default_value_t = Undated::Quarantine)]
    pub(crate) undated: Undated,
    /// What becomes of a record without a value
    #[arg(long, value_enum, default_value_t = Tombstones::Skip)]
    pub(crate) tombstones: Tombstones,
    /// What to do when retention took records before they were landed
    #[arg(long, value_enum, default_value_t = Gaps::Fail)]
    pub(crate) gaps: Gaps,
    /// Read at most so many offsets of each partition
    #[arg(long, value_name = "N")]
    pub(crate) max_records: Option<u64>,
    /// How the files' blocks are packed
    #[arg(long, value_enum, default_value_t = Codec::Deflate)]
    pub(crate) codec: Codec,
}

/// Which lake.
#[derive(Clone, Debug, Args)]
pub(crate) struct Lake {
    /// The lake: `file:///path`, a path, or `hdfs://host:port/path`
    #[arg(long = "lake", value_name = "URL", env = "DOHLE_LAKE")]
    pub(crate) place: LakePlace,
}

/// What a number that is a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeUnit {
    /// Seconds
    #[value(name = "s")]
    Seconds,
    /// Milliseconds
    #[value(name = "ms")]
    Millis,
    /// Microseconds
    #[value(name = "us")]
    Micros,
}

/// What becomes of a record whose field holds no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Undated {
    /// Its payload goes to quarantine
    Quarantine,
    /// Its row lands in the directory `undated`
    Directory,
}

/// What becomes of a record without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tombstones {
    /// It is left out and counted
    Skip,
    /// It goes to quarantine
    Quarantine,
}

/// What to do when retention took records before they were landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gaps {
    /// Stop
    Fail,
    /// Note the gap in the commit and go on
    Skip,
}

/// How blocks are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codec {
    /// Not at all
    Null,
    /// As every Avro reader knows
    Deflate,
    /// Quicker, larger
    Snappy,
}

fn timezone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_unknown| format!("{text:?} is no time zone; write Europe/Paris or UTC"))
}
