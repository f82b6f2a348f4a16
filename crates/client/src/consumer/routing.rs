//! How a consumer finds where its partitions begin and who brings them.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::debug;
use types::{BrokerId, Offset, TopicPartition};
use wire::v1::broker as v1;

use super::stream::{self, Credit, StreamHandle};
use super::{Consumer, StartAt};
use crate::ClientError;
use crate::admin::{OffsetAt, list_offsets};
use crate::metadata::{Leader, Missing, no_leader};

/// Requests that wait for a stream to open, or for the network.
const MAX_REQUESTS: usize = 256;

impl Consumer {
    /// Asks for the offsets of partitions that start at a time or an end.
    pub(super) async fn resolve(&mut self) -> Result<(), ClientError> {
        let asked = self.partitions.unresolved(self.now());
        if asked.is_empty() {
            return Ok(());
        }
        // The ends come first: a record that arrives between the two questions is then behind the
        // end, where reading begins if no record was young enough.
        let ends = self.offsets(&asked, |_| OffsetAt::Latest).await?;
        let starts = self.offsets(&asked, |start| match start {
            StartAt::Earliest => OffsetAt::Earliest,
            StartAt::Timestamp(timestamp) => OffsetAt::Timestamp(timestamp),
            StartAt::Latest | StartAt::Offset(_) => OffsetAt::Latest,
        });
        for (of, start) in starts.await? {
            if let Some(next) = start.or_else(|| ends.get(&of).copied().flatten()) {
                self.partitions.resolved(&of, next);
            }
        }
        Ok(())
    }

    /// The offsets found, without the partitions that could not be asked for.
    async fn offsets(
        &mut self,
        asked: &[(TopicPartition, StartAt)],
        at: impl Fn(StartAt) -> OffsetAt,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, ClientError> {
        let questions: Vec<_> = asked.iter().map(|(of, start)| (of.clone(), at(*start))).collect();
        let mut found = BTreeMap::new();
        match list_offsets(&self.metadata, &questions).await {
            Ok(answers) => {
                for (of, answer) in answers {
                    match answer {
                        Ok(listed) => {
                            found.insert(of, listed.offset);
                        }
                        Err(error) => self.fail(&of, error)?,
                    }
                }
            }
            Err(error) => {
                asked.iter().try_for_each(|(of, _)| self.fail(of, error.clone()))?;
            }
        }
        Ok(found)
    }

    /// Asks leaders for partitions that no stream brings.
    pub(super) async fn route(&mut self) -> Result<(), ClientError> {
        let unrouted = self.partitions.unrouted(self.now());
        if unrouted.is_empty() {
            return Ok(());
        }
        for topic in mem::take(&mut self.stale) {
            if let Err(error) = self.metadata.refresh(&topic, Missing::Refuse).await {
                // Its partitions find no leader below, and that is told if it lasts.
                debug!(%topic, %error, "metadata could not be refreshed");
            }
        }
        let mut by_leader: BTreeMap<BrokerId, (Leader, Vec<(TopicPartition, Offset)>)> =
            BTreeMap::new();
        for (of, next) in unrouted {
            if let Some(leader) = self.metadata.leader(&of) {
                by_leader.entry(leader.broker).or_insert((leader, Vec::new())).1.push((of, next));
            } else {
                self.fail(&of, no_leader(&of))?;
            }
        }
        for (leader, partitions) in by_leader.into_values() {
            self.ask(&leader, partitions);
        }
        Ok(())
    }

    fn ask(&mut self, leader: &Leader, partitions: Vec<(TopicPartition, Offset)>) {
        let reusable = self.streams.get(&leader.broker).is_some_and(|handle| {
            handle.address == leader.address
                && !handle.requests.is_closed()
                && !partitions.iter().any(|(of, _)| handle.carries.contains(of))
        });
        let mut credit_bytes = 0;
        if !reusable {
            credit_bytes = self.config.prefetch_bytes;
            let opened = self.open(leader);
            if let Some(old) = self.streams.insert(leader.broker, opened) {
                self.partitions.reroute(old.id);
            }
        }
        let Some(handle) = self.streams.get_mut(&leader.broker) else { return };
        let assign = |(of, next): &(TopicPartition, Offset)| v1::FetchPartition {
            topic: of.topic.to_string(),
            partition: of.partition.get(),
            fetch_offset: next.get(),
            max_bytes: 0,
            current_leader_epoch: self.metadata.leader(of).map(|leader| leader.epoch.get()),
        };
        let request = v1::FetchStreamRequest {
            assign: partitions.iter().map(assign).collect(),
            unassign: Vec::new(),
            credit_bytes,
        };
        // If the queue is full the partitions stay unrouted and are asked for again.
        if handle.requests.try_send(request).is_ok() {
            let now = self.start.elapsed();
            for (of, _) in partitions {
                self.partitions.routed(&of, handle.id, now);
                handle.carries.insert(of);
            }
        }
    }

    fn open(&mut self, leader: &Leader) -> StreamHandle {
        let (requests, queue) = mpsc::channel(MAX_REQUESTS);
        self.next_stream += 1;
        let id = self.next_stream;
        let address = Arc::clone(&leader.address);
        let timeout = self.metadata.request_timeout();
        let pump = stream::run(id, Arc::clone(&address), timeout, queue, self.event_to.clone());
        let task = self.tasks.spawn(pump);
        let credit = Credit::new(self.config.prefetch_bytes);
        StreamHandle { id, address, requests, carries: BTreeSet::new(), credit, task }
    }
}
