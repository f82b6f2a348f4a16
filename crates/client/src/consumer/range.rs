use std::ops::Range;
use std::sync::Arc;

use types::{Offset, TopicPartition};

use super::{Consumer, ConsumerConfig, FetchedBatch, OnOutOfRange, StartAt};
use crate::ClientError;
use crate::admin::{OffsetAt, list_offsets};
use crate::metadata::Metadata;

/// Reads exactly the records of one partition that lie in a range of offsets, then ends.
#[derive(Debug)]
pub struct RangeReader {
    consumer: Consumer,
    of: TopicPartition,
    end: Offset,
}

impl RangeReader {
    pub(crate) async fn open(
        metadata: Arc<Metadata>,
        of: TopicPartition,
        range: Range<Offset>,
        config: ConsumerConfig,
    ) -> Result<Self, ClientError> {
        let Range { start, end } = range;
        // Whatever the caller prefers: a range with a hole at its front is not that range.
        let config = ConsumerConfig { on_out_of_range: OnOutOfRange::Error, ..config };
        let mut consumer = Consumer::new(Arc::clone(&metadata), config);
        consumer.assign(&[(of.clone(), StartAt::Offset(start))]).await?;
        // Without this, a reader of what is not there yet would wait for ever.
        let both = [(of.clone(), OffsetAt::Earliest), (of.clone(), OffsetAt::Latest)];
        let mut held = Vec::new();
        for (_, listed) in list_offsets(&metadata, &both).await? {
            held.extend(listed?.offset);
        }
        match held.as_slice() {
            &[earliest, latest] if start < end && (start < earliest || latest < end) => {
                let asked = if start < earliest { start } else { end };
                let (start, end) = (earliest, latest);
                Err(ClientError::OffsetOutOfRange { topic_partition: of, asked, start, end })
            }
            [_, _] => Ok(Self { consumer, of, end }),
            _ => Err(ClientError::InvalidAnswer(wire::InvalidMessage::Missing { field: "offset" })),
        }
    }

    /// The next offset that will be read; at or behind the range's end when all was.
    pub fn position(&self) -> Option<Offset> {
        self.consumer.position(&self.of)
    }

    /// The next records in order, or `None` behind the last.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next_batch`]; in particular [`ClientError::OffsetOutOfRange`] if retention
    /// was quicker.
    pub async fn next_batch(&mut self) -> Result<Option<FetchedBatch>, ClientError> {
        while self.position().is_none_or(|position| position < self.end) {
            let Some(mut batch) = self.consumer.next_batch().await? else { return Ok(None) };
            batch.records.retain(|record| record.offset < self.end);
            if !batch.records.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}
