use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use types::{SchemaId, TopicName};

use super::{pair, topic_name};

/// `dohle produce`.
#[derive(Debug, Args)]
pub(crate) struct Produce {
    /// Where to send to; created with the broker's defaults if it does not exist
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) topic: TopicName,
    /// The key of every record
    #[arg(short, long, conflicts_with = "key_separator")]
    pub(crate) key: Option<String>,
    /// What stands between key and value in a line (\t is a tab)
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = separator)]
    pub(crate) key_separator: Option<String>,
    /// A header of every record; may be repeated
    #[arg(short = 'H', long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) header: Vec<(String, String)>,
    /// The partition; by the key's hash unless given
    #[arg(short, long, value_name = "N")]
    pub(crate) partition: Option<u32>,
    /// How lines are read
    #[arg(short, long, value_enum, default_value_t = LineShape::Text)]
    pub(crate) format: LineShape,
    /// Read lines from here instead of stdin
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    /// When a record counts as sent: 0 at once, 1 leader, all in-sync replicas
    #[arg(long, value_enum, default_value_t = AcksArg::All)]
    pub(crate) acks: AcksArg,
    /// Wait for each record's answer before sending the next
    #[arg(long)]
    pub(crate) sync: bool,
    /// Wait so long between records: 500ms, 1s
    #[arg(long, value_name = "DURATION", conflicts_with = "rate",
          value_parser = crate::duration::parse)]
    pub(crate) delay: Option<Duration>,
    /// Send so many records a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// How batches are packed
    #[arg(short = 'z', long, visible_alias = "compression-codec", value_enum,
          default_value_t = CompressionArg::None)]
    pub(crate) compression: CompressionArg,
    /// Encode values as Avro: by the latest schema of TOPIC-value, of a subject, by an id, or by a
    /// file whose schema is registered first
    #[arg(long, value_name = "SUBJECT|ID|@FILE", num_args = 0..=1, require_equals = true,
          default_missing_value = "", value_parser = avro)]
    pub(crate) avro: Option<Avro>,
    /// Stop at the first line that cannot be sent
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Send an empty value as a tombstone, which deletes its key from a compacted topic
    #[arg(long)]
    pub(crate) tombstone: bool,
}

/// How lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineShape {
    /// A line is a value, or a key and a value (-K)
    Text,
    /// A line is an object as `dohle consume -f json` prints it
    Json,
}

/// When a record counts as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AcksArg {
    /// At once; it may be lost
    #[value(name = "0")]
    None,
    /// Once the leader has it
    #[value(name = "1")]
    Leader,
    /// Once all in-sync replicas have it
    #[value(alias = "-1")]
    All,
}

/// How batches are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionArg {
    /// Not at all
    None,
    /// Small, and slow to pack
    Gzip,
    /// Quick, and not that small
    Snappy,
    /// Quick, and not that small: LZ4 frames
    Lz4,
    /// Small and rather quick: Zstandard frames
    Zstd,
}

/// Which schema encodes the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Avro {
    /// The latest of `TOPIC-value`.
    Topic,
    /// The latest of a subject.
    Subject(String),
    /// This one.
    Id(SchemaId),
    /// What the file says, registered under `TOPIC-value`.
    File(PathBuf),
}

/// Cannot fail: any text that is no id and no file is a subject.
fn avro(text: &str) -> Result<Avro, String> {
    if text.is_empty() {
        return Ok(Avro::Topic);
    }
    if let Some(path) = text.strip_prefix('@') {
        return if path.is_empty() {
            Err("a file's name must follow the @".to_owned())
        } else {
            Ok(Avro::File(PathBuf::from(path)))
        };
    }
    let id = text.parse().ok().map(SchemaId::new);
    Ok(id.map_or_else(|| Avro::Subject(text.to_owned()), Avro::Id))
}

fn separator(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a separator has one character at least".to_owned()),
        r"\t" => Ok("\t".to_owned()),
        other => Ok(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avro_names_a_subject_an_id_or_a_file() {
        assert_eq!(avro(""), Ok(Avro::Topic));
        assert_eq!(avro("17"), Ok(Avro::Id(SchemaId::new(17))));
        assert_eq!(avro("@p.avsc"), Ok(Avro::File("p.avsc".into())));
        assert_eq!(avro("orders-value"), Ok(Avro::Subject("orders-value".into())));
        assert!(avro("@").is_err());
    }
}
