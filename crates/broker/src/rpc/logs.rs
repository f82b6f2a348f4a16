use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;

use commit_log::scrub::{Finding, Scrubbed, SealedSegment};
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use types::{Timestamp, TopicName, TopicPartition};
use wire::bounds::Purses;
use wire::convert::error_to_proto;
use wire::v1::broker::log_service_server::LogService;
use wire::v1::broker::{
    DescribeLogsRequest, DescribeLogsResponse, DescribedLog, LogDamage, ScrubLogsRequest,
    ScrubLogsResponse, ScrubbedDamage,
};
use wire::{InvalidMessage, OrStatus};

use super::fetch::owing;
use crate::partition::Partition;
use crate::partitions::Partitions;
use crate::scrubbing::{Asked, Found, Progress, ScrubError, Scrubs, Told};

/// Answers that may wait for the network.
const ANSWERS: usize = 4;
/// What one log and one finding of a description take in memory, in bytes.
const LOG: usize = 512;
const FINDING: usize = 512;

/// `LogService`: what lies on this broker's disk.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) partitions: Partitions,
    pub(crate) scrubs: Scrubs,
    /// The memory for answers.
    pub(crate) purses: Purses,
    /// The tasks of scrubs: drained at shutdown.
    pub(crate) tasks: TaskTracker,
    pub(crate) draining: CancellationToken,
}

#[tonic::async_trait]
impl LogService for Logs {
    async fn describe_logs(
        &self,
        request: Request<DescribeLogsRequest>,
    ) -> Result<Response<DescribeLogsResponse>, Status> {
        let purse = self.purses.of(request.extensions());
        let DescribeLogsRequest { topics, damaged_only } = request.into_inner();
        let topics = topic_names(&topics)?;
        let wanted = |of: &TopicPartition| topics.is_empty() || topics.contains(&of.topic);
        let held = purse.take_for_answer(self.size(wanted)).await.or_status()?;
        let view = self.partitions.view();
        let led = view.led.iter().filter(|(of, _)| wanted(of));
        let mut logs: Vec<_> = led.map(|(_, partition)| self.described(partition)).collect();
        let unusable = view.unusable.keys().filter(|of| wanted(of));
        logs.extend(unusable.map(|of| self.unusable(of)));
        if damaged_only {
            logs.retain(|log| log.error.is_some() || !log.damage.is_empty() || 0 < log.unlisted);
        }
        Ok(owing(Response::new(DescribeLogsResponse { logs }), &purse, held))
    }

    type ScrubLogsStream = Pin<Box<dyn Stream<Item = Result<ScrubLogsResponse, Status>> + Send>>;

    async fn scrub_logs(
        &self,
        request: Request<ScrubLogsRequest>,
    ) -> Result<Response<Self::ScrubLogsStream>, Status> {
        let ScrubLogsRequest { topics, bytes_per_second } = request.into_inner();
        let bytes_per_second = NonZeroU64::new(bytes_per_second);
        let asked = Asked { topics: topic_names(&topics)?, bytes_per_second };
        let requested = self.scrubs.request(asked, &self.partitions).or_status()?;
        let (tell, told) = mpsc::channel(ANSWERS);
        let draining = self.draining.clone();
        self.tasks.spawn(async move {
            let ended = draining.run_until_cancelled(requested.run(&tell)).await;
            if let Err(error) = ended.unwrap_or(Err(ScrubError::ShuttingDown)) {
                // Nobody listens any more if this fails, or has stopped to.
                tell.try_send(Err(error)).ok();
            }
        });
        let answers = ReceiverStream::new(told).map(|told| told.map(encode).or_status());
        Ok(Response::new(Box::pin(answers)))
    }
}

impl Logs {
    /// What the description of these logs will take in memory, roughly.
    fn size(&self, wanted: impl Fn(&TopicPartition) -> bool) -> usize {
        let view = self.partitions.view();
        let logs = view.led.keys().chain(view.unusable.keys()).filter(|of| wanted(of)).count();
        let findings = self.scrubs.known().listed().saturating_mul(FINDING);
        logs.saturating_mul(LOG).saturating_add(findings)
    }

    fn described(&self, partition: &Arc<Partition>) -> DescribedLog {
        let (of, log) = (partition.name(), partition.log());
        let segments = log.segments();
        let log_start = log.log_start();
        let bases = log.sealed_segments().iter().map(SealedSegment::base).collect();
        let known = self.scrubs.known();
        let known = known.of(partition.key());
        let standing = known.map(|known| known.standing(&bases, log_start));
        let (findings, unlisted) = standing.unwrap_or_default();
        DescribedLog {
            topic: of.topic.to_string(),
            partition: of.partition.get(),
            error: None,
            log_start_offset: log_start.get(),
            log_end_offset: log.end().get(),
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            segments: u32::try_from(segments.len()).unwrap_or(u32::MAX),
            scrubbed_ms: known.and_then(|known| known.scrubbed).map(Timestamp::as_millis),
            damage: findings.into_iter().map(damage).collect(),
            unlisted,
        }
    }

    fn unusable(&self, of: &TopicPartition) -> DescribedLog {
        let error = self.partitions.led(of).err();
        DescribedLog {
            topic: of.topic.to_string(),
            partition: of.partition.get(),
            error: error.map(|error| error_to_proto(&error, None)),
            ..DescribedLog::default()
        }
    }
}

fn topic_names(names: &[String]) -> Result<BTreeSet<TopicName>, InvalidMessage> {
    names.iter().map(|name| Ok(TopicName::new(name)?)).collect()
}

fn encode(told: Told) -> ScrubLogsResponse {
    let Told { progress, found, scrubbed } = told;
    let complete = scrubbed == Scrubbed::Wholly;
    let Progress { segments_done, segments, bytes_done, bytes } = progress;
    let found = found.map(|Found { of, findings, unlisted }| ScrubbedDamage {
        topic: of.topic.to_string(),
        partition: of.partition.get(),
        damage: findings.iter().map(damage).collect(),
        unlisted,
    });
    ScrubLogsResponse { segments_done, segments, bytes_done, bytes, found, complete }
}

fn damage(finding: &Finding) -> LogDamage {
    LogDamage {
        file: finding.file.display().to_string(),
        first_byte: finding.bytes.start,
        end_byte: finding.bytes.end,
        first_offset: finding.offsets.start.get(),
        end_offset: finding.offsets.end.get(),
        after_ms: finding.after.map(Timestamp::as_millis),
        before_ms: finding.before.map(Timestamp::as_millis),
        problem: finding.kind.to_string(),
    }
}
