use types::{Offset, PartitionId, SchemaId, TopicId, TopicName};

use crate::path::{InvalidPath, LakePath};
use crate::run_id::RunId;

/// How many characters of a topic's name its files' names begin with: file systems take names of
/// 255 bytes, and the rest of a name has up to 100.
const MAX_TOPIC_IN_FILE_NAME: usize = 150;

/// Where everything of one topic lies in a lake.
///
/// ```text
/// <topic>/hourly/2013/01/01/05/<topic>.<partition>.<first>-<last>.<rows>.s<schema>.<topic id>.avro
/// _quarantine/<topic>/…                      what could not be decoded, in the same kind of files
/// _state/<topic>/log/<seq>.json              one closed commit record per run that moved
/// _state/<topic>/log/<seq>.done              that record's files are all in place
/// _staging/<topic>/<run id>/                 what a run has written and not yet published
/// _trash/<topic>/<run id>/                   a dead run's staging on its way out
/// ```
///
/// The names that begin with `_` are hidden from Hive and Spark. The topic keeps its name as it
/// is: `a.b` and `a_b` never meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPaths {
    topic: TopicName,
    data: LakePath,
    quarantine: LakePath,
    log: LakePath,
    staging: LakePath,
    trash: LakePath,
}

/// What a name in the log's directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEntry {
    /// The commit record of this sequence number.
    Record(u64),
    /// The mark that this commit is published.
    Done(u64),
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Datums of one writer schema.
    Data(SchemaId),
    /// Payloads that could not be landed, with the reason.
    Quarantine,
}

/// What makes a file's name unique in its directory: no offset of a topic lands in two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// The life of the topic; a topic made anew starts at offset 0 again.
    pub topic_id: TopicId,
    /// The partition all rows come from.
    pub partition: PartitionId,
    /// Offset of the first row.
    pub first: Offset,
    /// Offset of the last row, inclusive.
    pub last: Offset,
    /// Rows in the file.
    pub rows: u64,
    /// Data or quarantine.
    pub kind: FileKind,
}

impl TopicPaths {
    /// Where `topic` lies.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] for a topic that is called like one of the lake's own directories
    /// (`_state`, `_staging`, `_trash`, `_quarantine`).
    pub fn new(topic: &TopicName) -> Result<Self, InvalidPath> {
        let name = topic.as_str();
        if matches!(name, "_state" | "_staging" | "_trash" | "_quarantine") {
            return Err(InvalidPath { text: name.to_owned() });
        }
        Ok(Self {
            topic: topic.clone(),
            data: LakePath::new(name)?,
            quarantine: LakePath::new(&format!("_quarantine/{name}"))?,
            log: LakePath::new(&format!("_state/{name}/log"))?,
            staging: LakePath::new(&format!("_staging/{name}"))?,
            trash: LakePath::new(&format!("_trash/{name}"))?,
        })
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The directory of commit records and done marks.
    pub fn log(&self) -> &LakePath {
        &self.log
    }

    /// The directory that holds one directory per unpublished run.
    pub fn staging(&self) -> &LakePath {
        &self.staging
    }

    /// The directory where dead runs' staging waits for its deletion.
    pub fn trash(&self) -> &LakePath {
        &self.trash
    }

    /// The directory below which all rows of the topic land.
    pub fn data(&self) -> &LakePath {
        &self.data
    }

    /// The directory where payloads land that could not be decoded.
    pub fn quarantine(&self) -> &LakePath {
        &self.quarantine
    }

    /// The commit record `seq`; its existence is the commit.
    pub fn record(&self, seq: u64) -> LakePath {
        self.log.below(&name(&format!("{seq:020}.json")))
    }

    /// The mark that all files of commit `seq` are in place.
    pub fn done(&self, seq: u64) -> LakePath {
        self.log.below(&name(&format!("{seq:020}.done")))
    }

    /// The staging directory of one run.
    pub fn staging_of(&self, run: &RunId) -> LakePath {
        self.staging.below(&name(run.as_str()))
    }

    /// Where the staging directory of one run goes before it is deleted.
    pub fn trash_of(&self, run: &RunId) -> LakePath {
        self.trash.below(&name(run.as_str()))
    }

    /// Reads a name in the log's directory; `None` for a stranger.
    pub fn log_entry(file_name: &str) -> Option<LogEntry> {
        let (digits, kind) = file_name.split_once('.')?;
        if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seq = digits.parse().ok()?;
        match kind {
            "json" => Some(LogEntry::Record(seq)),
            "done" => Some(LogEntry::Done(seq)),
            _ => None,
        }
    }

    /// The name of a file, without its directory.
    pub fn file_name(&self, file: &FileIdentity) -> LakePath {
        let FileIdentity { topic_id, partition, first, last, rows, kind } = file;
        let [a, b, c, d, ..] = topic_id.to_bytes();
        let life = u32::from_be_bytes([a, b, c, d]);
        let schema = match kind {
            FileKind::Data(schema) => format!("s{schema}"),
            FileKind::Quarantine => "quarantine".to_owned(),
        };
        // The directory tells the whole name of the topic.
        let topic = self.topic.as_str();
        let topic = topic.get(..MAX_TOPIC_IN_FILE_NAME).unwrap_or(topic);
        name(&format!(
            "{topic}.{partition}.{:020}-{:020}.{rows}.{schema}.{life:08x}.avro",
            first.get(),
            last.get()
        ))
    }
}

/// A name made of digits, dots and a checked topic name.
fn name(text: &str) -> LakePath {
    #[expect(clippy::expect_used, reason = "no topic name or number holds a '/' or is '..'")]
    LakePath::new(text).expect("a legal name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(topic: &str) -> TopicPaths {
        TopicPaths::new(&TopicName::new(topic).unwrap()).unwrap()
    }

    fn identity() -> FileIdentity {
        FileIdentity {
            topic_id: TopicId::from_bytes([0xab; 16]),
            partition: PartitionId::new(2),
            first: Offset::new(10),
            last: Offset::new(25),
            rows: 7,
            kind: FileKind::Data(SchemaId::new(3)),
        }
    }

    #[test]
    fn topics_that_differ_in_dots_share_no_directory_and_no_file_name() {
        let (dots, underscores) = (paths("a.b"), paths("a_b"));
        assert_ne!(dots.data(), underscores.data());
        assert_ne!(dots.log(), underscores.log());
        assert_ne!(dots.file_name(&identity()), underscores.file_name(&identity()));
    }

    #[test]
    fn a_file_name_tells_partition_offsets_rows_schema_and_the_topics_life() {
        assert_eq!(
            paths("flights").file_name(&identity()).as_str(),
            "flights.2.00000000000000000010-00000000000000000025.7.s3.abababab.avro"
        );
        let quarantine = FileIdentity { kind: FileKind::Quarantine, ..identity() };
        assert_eq!(
            paths("flights").file_name(&quarantine).as_str(),
            "flights.2.00000000000000000010-00000000000000000025.7.quarantine.abababab.avro"
        );
    }

    #[test]
    fn a_topic_made_anew_gets_other_file_names_at_the_same_offsets() {
        let again = FileIdentity { topic_id: TopicId::from_bytes([1; 16]), ..identity() };
        assert_ne!(paths("t").file_name(&identity()), paths("t").file_name(&again));
    }

    #[test]
    fn the_longest_topic_name_makes_file_names_that_every_file_system_takes() {
        let longest = "t".repeat(TopicName::MAX_LEN);
        let largest = FileIdentity {
            partition: PartitionId::new(u32::MAX),
            first: Offset::MAX,
            last: Offset::MAX,
            rows: u64::MAX,
            kind: FileKind::Data(SchemaId::new(u32::MAX)),
            ..identity()
        };
        assert!(paths(&longest).file_name(&largest).as_str().len() <= 255);
    }

    #[test]
    fn a_topic_cannot_take_the_place_of_the_lakes_own_directories() {
        for topic in ["_state", "_staging", "_trash", "_quarantine"] {
            assert!(TopicPaths::new(&TopicName::new(topic).unwrap()).is_err());
        }
    }

    #[test]
    fn log_names_read_back_and_strangers_are_ignored() {
        let paths = paths("t");
        assert_eq!(TopicPaths::log_entry(paths.record(7).name()), Some(LogEntry::Record(7)));
        assert_eq!(TopicPaths::log_entry(paths.done(7).name()), Some(LogEntry::Done(7)));
        for stranger in ["7.json", "README", "00000000000000000007.tmp", "x.json"] {
            assert_eq!(TopicPaths::log_entry(stranger), None);
        }
    }
}
