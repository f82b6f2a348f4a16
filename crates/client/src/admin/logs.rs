use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

use cluster::Broker;
use tokio::time::timeout;
use tonic::Streaming;
use types::{Offset, Timestamp, TopicName, TopicPartition};
use wire::convert::{error_to_remote, topic_partition};
use wire::v1::broker as v1;

use super::{Admin, names};
use crate::ClientError;
use crate::connection::{log_service, within};

/// How long a broker that scrubs may be silent: one that lives says every second how far it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which logs are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogScope {
    /// All of them.
    All,
    /// Those that are damaged, or cannot be used.
    Damaged,
}

/// A log, as the broker that leads its partition holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct LogDescription {
    /// Of which partition.
    pub topic_partition: TopicPartition,
    /// Why the broker cannot use it at all; then nothing else is known of it.
    pub unusable: Option<ClientError>,
    /// First offset held.
    pub start: Offset,
    /// First offset not written.
    pub end: Offset,
    /// Its size.
    pub bytes: u64,
    /// How many files it lies in.
    pub segments: u32,
    /// When all of it but the newest segment was last read from the disk, since the broker started.
    pub scrubbed: Option<Timestamp>,
    /// What is known to be damaged.
    pub damage: Vec<LogDamage>,
    /// How much more is.
    pub unlisted: u64,
}

/// Something in a log that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDamage {
    /// The file, on the broker that holds it.
    pub file: String,
    /// The bytes of it that cannot be relied on.
    pub bytes: Range<u64>,
    /// The records that were there; none if no record is concerned.
    pub offsets: Range<Offset>,
    /// Time of the last whole record before them in the file.
    pub after: Option<Timestamp>,
    /// Time of the first whole record behind them in the file.
    pub before: Option<Timestamp>,
    /// What is wrong.
    pub problem: String,
}

/// How far a scrub has come, and what it found last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubNews {
    /// Segments that were read.
    pub segments_done: u64,
    /// Segments that are to be read in all.
    pub segments: u64,
    /// Bytes that were read.
    pub bytes_done: u64,
    /// Bytes that are to be read in all.
    pub bytes: u64,
    /// What was found in the segment that was just read.
    pub found: Option<ScrubbedDamage>,
}

/// What a scrub found in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubbedDamage {
    /// Of which partition.
    pub topic_partition: TopicPartition,
    /// What is damaged.
    pub damage: Vec<LogDamage>,
    /// How much more is.
    pub unlisted: u64,
}

/// A scrub under way. Dropping it ends the scrub.
#[derive(Debug)]
pub struct ScrubStream {
    answers: Streaming<v1::ScrubLogsResponse>,
    is_complete: bool,
}

impl ScrubStream {
    /// Waits for news; `None` once all was read.
    ///
    /// # Errors
    ///
    /// The broker broke the scrub off, fell silent or went away: what was not named may be damaged.
    pub async fn next(&mut self) -> Result<Option<ScrubNews>, ClientError> {
        let answer = timeout(PATIENCE, self.answers.message()).await;
        let silent = ClientError::Timeout { request: "ScrubLogs", waited: PATIENCE };
        let answer = answer.map_err(|_elapsed| silent)?;
        let answer = answer.map_err(|status| ClientError::Broker(wire::from_status(&status)))?;
        match answer {
            Some(answer) => {
                self.is_complete = answer.complete;
                news(answer).map(Some)
            }
            None if self.is_complete => Ok(None),
            None => Err(ClientError::BrokenOff { request: "ScrubLogs" }),
        }
    }
}

impl Admin {
    /// Describes the logs of the partitions that one broker leads, as they lie on its disk; of all
    /// topics if none is named.
    ///
    /// # Errors
    ///
    /// The broker does not answer.
    pub async fn describe_logs(
        &self,
        broker: &Broker,
        topics: &[TopicName],
        scope: LogScope,
    ) -> Result<Vec<LogDescription>, ClientError> {
        let damaged_only = scope == LogScope::Damaged;
        let request = v1::DescribeLogsRequest { topics: names(topics), damaged_only };
        let limit = self.metadata.request_timeout();
        let channel = self.metadata.connection(&broker.endpoint.to_string()).await?;
        let mut logs = log_service(channel);
        let answer = within(limit, "DescribeLogs", logs.describe_logs(request)).await?;
        answer.logs.into_iter().map(description).collect()
    }

    /// Has one broker read the sealed segments of the partitions that it leads from its disk, and
    /// tell what is damaged; those of all topics if none is named. At most `bytes_per_second`, or as
    /// fast as the broker always does.
    ///
    /// # Errors
    ///
    /// The broker does not answer, a topic does not exist, or a scrub that somebody asked for is
    /// under way.
    pub async fn scrub_logs(
        &self,
        broker: &Broker,
        topics: &[TopicName],
        bytes_per_second: Option<NonZeroU64>,
    ) -> Result<ScrubStream, ClientError> {
        let bytes_per_second = bytes_per_second.map_or(0, NonZeroU64::get);
        let request = v1::ScrubLogsRequest { topics: names(topics), bytes_per_second };
        let limit = self.metadata.request_timeout();
        let channel = self.metadata.connection(&broker.endpoint.to_string()).await?;
        let mut logs = log_service(channel);
        let answers = within(limit, "ScrubLogs", logs.scrub_logs(request)).await?;
        Ok(ScrubStream { answers, is_complete: false })
    }
}

fn description(log: v1::DescribedLog) -> Result<LogDescription, ClientError> {
    Ok(LogDescription {
        topic_partition: topic_partition(&log.topic, log.partition)?,
        unusable: log.error.map(|error| ClientError::Broker(error_to_remote(error))),
        start: Offset::new(log.log_start_offset),
        end: Offset::new(log.log_end_offset),
        bytes: log.bytes,
        segments: log.segments,
        scrubbed: log.scrubbed_ms.map(Timestamp::from_millis),
        damage: log.damage.into_iter().map(damage).collect(),
        unlisted: log.unlisted,
    })
}

fn damage(damage: v1::LogDamage) -> LogDamage {
    LogDamage {
        file: damage.file,
        bytes: damage.first_byte..damage.end_byte,
        offsets: Offset::new(damage.first_offset)..Offset::new(damage.end_offset),
        after: damage.after_ms.map(Timestamp::from_millis),
        before: damage.before_ms.map(Timestamp::from_millis),
        problem: damage.problem,
    }
}

fn news(answer: v1::ScrubLogsResponse) -> Result<ScrubNews, ClientError> {
    let v1::ScrubLogsResponse { segments_done, segments, bytes_done, bytes, found, .. } = answer;
    let found = found.map(|found| {
        Ok::<_, ClientError>(ScrubbedDamage {
            topic_partition: topic_partition(&found.topic, found.partition)?,
            damage: found.damage.into_iter().map(damage).collect(),
            unlisted: found.unlisted,
        })
    });
    Ok(ScrubNews { segments_done, segments, bytes_done, bytes, found: found.transpose()? })
}
