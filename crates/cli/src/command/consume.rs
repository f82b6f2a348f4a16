//! `dohle consume`: records, as they are or as they come.

mod decoder;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Client, ClientError, Consumer, ConsumerConfig, FetchedBatch, StartAt};
use cluster::Topic;
use record::Record;
use types::{TopicName, TopicPartition};

use self::decoder::Decoder;
use self::plan::{Leave, Reading, plan};
use crate::args::consume::Consume;
use crate::exit::{Exit, Failure};
use crate::format::{Format, Payload, Shown};
use crate::offsets::Range;
use crate::output::{Output, Style, counted};
use crate::session::Session;

/// Prints records until there are enough, the end is reached, or Ctrl-C.
///
/// # Errors
///
/// The cluster cannot be reached, an offset is outside the log, or it was interrupted.
pub(crate) async fn run(
    consume: Consume,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let client = session.client().await?;
    let topics = subscribe(&client, &consume.topics).await?;
    let mut readings =
        plan(&topics, &consume.partitions, extent(&consume), &client.admin(), session).await?;
    readings.retain(|_, reading| !reading.is_over());
    let from: Vec<_> =
        readings.iter().map(|(of, reading)| (of.clone(), StartAt::Offset(reading.from))).collect();
    let mut consumer = client.consumer(ConsumerConfig::default());
    consumer.assign(&from).await?;
    let mut reader = Reader {
        format: format(&consume, output),
        decoder: if consume.raw { None } else { Some(Decoder::new(session.registry()?)) },
        consumer,
        readings,
        left: consume.count,
        shown: 0,
        text: Vec::new(),
    };
    let result = tokio::select! {
        result = reader.read_all(output) => result,
        () = session.interrupted.cancelled() => Err(Failure::Told(Exit::Interrupted)),
    };
    output.flush()?;
    output.note(&counted(reader.shown, "record"));
    result
}

/// Finds the topics. Those that do not exist are made, if the brokers allow that: it is what a
/// subscription does.
async fn subscribe(client: &Client, topics: &[TopicName]) -> Result<Vec<Arc<Topic>>, Failure> {
    let mut found = Vec::new();
    for topic in topics {
        found.push(client.topic(topic).await.map_err(|error| {
            Failure::from(error).next_if(Exit::NotFound, || format!("topic create {topic}"))
        })?);
    }
    Ok(found)
}

fn advise(error: ClientError) -> Failure {
    if let ClientError::OffsetOutOfRange { topic_partition, .. } = &error {
        let next = format!("consume {} -o start", topic_partition.topic);
        return Failure::from(error).next(next);
    }
    if let ClientError::Damaged { topic_partition: of, offsets, .. } = &error {
        let next = format!("consume {} -p {} -o {}", of.topic, of.partition, offsets.end);
        return Failure::from(error).next(next);
    }
    Failure::from(error)
}

/// The part asked for; `-e` bounds it by the end as it is now.
fn extent(consume: &Consume) -> (Range, Leave) {
    let range = match (consume.offset, consume.from_beginning) {
        (Some(range), _) => range,
        (None, true) => Range::FROM_BEGINNING,
        (None, false) => Range::FOLLOW,
    };
    (range, if consume.exit_at_end { Leave::AtEnd } else { Leave::WithRange })
}

fn format(consume: &Consume, output: &Output) -> Format {
    match (&consume.format, output.style()) {
        (Some(format), _) => format.clone(),
        (None, Style::Json) => Format::Json,
        (None, Style::Table) => Format::values(),
    }
}

/// Everything between a fetched batch and stdout.
struct Reader {
    consumer: Consumer,
    readings: BTreeMap<TopicPartition, Reading>,
    decoder: Option<Decoder>,
    format: Format,
    /// How many records are still wanted, if not all.
    left: Option<u64>,
    shown: u64,
    /// The text of one record; kept for its memory.
    text: Vec<u8>,
}

impl Reader {
    async fn read_all(&mut self, output: &mut Output) -> Result<(), Failure> {
        while !self.readings.is_empty() && self.left != Some(0) {
            let batch = self.consumer.next_batch().await.map_err(advise)?;
            let Some(batch) = batch else { break };
            self.show(batch, output).await?;
            output.flush()?;
        }
        Ok(())
    }

    async fn show(&mut self, batch: FetchedBatch, output: &mut Output) -> Result<(), Failure> {
        let partition = batch.topic_partition;
        let until = self.readings.get(&partition).and_then(|reading| reading.until);
        for record in batch.records {
            if self.left == Some(0) || until.is_some_and(|until| until <= record.offset) {
                break;
            }
            let shown = self.decode(&partition, record, output).await;
            self.text.clear();
            self.format.render(&shown, &mut self.text);
            output.bytes(&self.text)?;
            self.shown += 1;
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
        let position = self.consumer.position(&partition);
        if until.is_some_and(|until| position.is_some_and(|position| until <= position)) {
            self.consumer.unassign(&partition);
            self.readings.remove(&partition);
        }
        Ok(())
    }

    async fn decode(
        &mut self,
        partition: &TopicPartition,
        record: Record,
        output: &mut Output,
    ) -> Shown {
        let (key, value) = match &mut self.decoder {
            Some(decoder) => (
                decoder.payload(record.key, output).await,
                decoder.payload(record.value, output).await,
            ),
            None => (Payload::raw(record.key), Payload::raw(record.value)),
        };
        Shown {
            topic: partition.topic.clone(),
            partition: partition.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key,
            value,
            headers: record.headers,
        }
    }
}
