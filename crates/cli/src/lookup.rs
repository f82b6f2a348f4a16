//! Where partitions begin and end, and where moments lie in them.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{Admin, ClientError, OffsetAt};
use tokio::time::{Instant, sleep};
use types::{Code, Coded as _, Offset, Timestamp, TopicPartition};

use crate::offsets::Point;

/// A partition of a topic that was made a moment ago is asked for again after this.
const PAUSE: Duration = Duration::from_millis(50);

/// An offset of each partition.
pub(crate) type Offsets = BTreeMap<TopicPartition, Offset>;

/// Asks for offsets of the same partitions.
pub(crate) struct Lookup<'a> {
    admin: &'a Admin,
    partitions: &'a [TopicPartition],
    patience: Duration,
}

impl<'a> Lookup<'a> {
    /// Waits at most `patience` for partitions that have no leader yet.
    pub(crate) const fn new(
        admin: &'a Admin,
        partitions: &'a [TopicPartition],
        patience: Duration,
    ) -> Self {
        Self { admin, partitions, patience }
    }

    /// Where the moment of a point lies in each partition, if the point is one.
    pub(crate) async fn moment(
        &self,
        point: Option<Point>,
        now: Timestamp,
    ) -> Result<Offsets, ClientError> {
        match point.and_then(Point::moment) {
            Some(moment) => self.offsets(OffsetAt::Timestamp(moment.timestamp(now))).await,
            None => Ok(Offsets::new()),
        }
    }

    /// The offsets found.
    pub(crate) async fn offsets(&self, at: OffsetAt) -> Result<Offsets, ClientError> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.ask(at).await {
                Err(error) if may_pass(&error) && Instant::now() + PAUSE < deadline => {
                    sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn ask(&self, at: OffsetAt) -> Result<Offsets, ClientError> {
        let wanted: Vec<_> = self.partitions.iter().map(|of| (of.clone(), at)).collect();
        let mut offsets = Offsets::new();
        for (partition, listed) in self.admin.list_offsets(&wanted).await? {
            if let Some(offset) = listed?.offset {
                offsets.insert(partition, offset);
            }
        }
        Ok(offsets)
    }
}

fn may_pass(error: &ClientError) -> bool {
    match error.code() {
        Code::Unavailable | Code::Stale | Code::NotFound => {
            !matches!(error, ClientError::Unreachable { .. })
        }
        Code::Invalid
        | Code::AlreadyExists
        | Code::Exhausted
        | Code::Timeout
        | Code::DataLoss
        | Code::Internal => false,
    }
}
