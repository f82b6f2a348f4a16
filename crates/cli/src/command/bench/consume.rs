//! A consumer and a broker, and a plain client of a plain server. Both read what was written
//! before; for latencies, what is being written.

use client::{Client, Consumer, ConsumerConfig, Producer, StartAt};
use measure::{Begin, Done, Latencies, Server, open_loop};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use types::{Durability, Offset};

use super::contest::{Contender, Pace, Saturate};
use super::load::{Bound, Work};
use super::plain::{PlainServer, Purpose, connect, consume_from};
use super::produce::{Writing, fill_plainly};
use super::stage::{CLIENT_THREADS, Stage};
use super::topic::{Topic, fill, interrupted, producer_config, unexpected};
use crate::exit::Failure;

/// What a plain client reads at once.
const READ_BYTES: usize = 1 << 20;

/// Ours.
pub(super) struct Consuming<'a> {
    work: Work,
    stage: &'a Stage,
    topic: Topic,
    /// The records written in advance that a turn reads.
    from: u64,
    to: u64,
}

impl<'a> Consuming<'a> {
    /// Fills a topic for the turns to come.
    ///
    /// # Errors
    ///
    /// The cluster does not take it.
    pub(super) async fn new(
        work: Work,
        stage: &'a Stage,
        durability: Durability,
    ) -> Result<Self, Failure> {
        let records = work.records_per_turn();
        let topic = filled(work.clone(), stage, durability, records).await?;
        Ok(Self { work, stage, topic, from: 0, to: records })
    }

    /// With nothing written in advance.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn from_empty(
        work: Work,
        stage: &'a Stage,
        durability: Durability,
    ) -> Result<Self, Failure> {
        let topic = filled(work.clone(), stage, durability, 0).await?;
        Ok(Self { work, stage, topic, from: 0, to: 0 })
    }

    /// Reads the last turn's worth of what is in a topic.
    ///
    /// # Errors
    ///
    /// The broker refuses or does not answer.
    pub(super) async fn end_of(
        topic: Topic,
        work: Work,
        stage: &'a Stage,
    ) -> Result<Self, Failure> {
        let given = topic.clone();
        let to = stage.on_client(async move { given.records().await }).await?;
        let from = to.saturating_sub(work.records_per_turn());
        Ok(Self { work, stage, topic, from, to })
    }

    /// Removes the topic.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.stage.remove(self.topic).await
    }
}

/// A new topic with so many records.
///
/// # Errors
///
/// The cluster does not take them; the topic is gone then.
pub(super) async fn filled(
    work: Work,
    stage: &Stage,
    durability: Durability,
    records: u64,
) -> Result<Topic, Failure> {
    let client = stage.client();
    let filling = async move {
        let topic = Topic::create(client.clone(), work.clone(), durability).await?;
        let producer = client.producer(producer_config(&work))?;
        match fill(&producer, &topic, &work, (0, &work.preload(records))).await {
            Ok(_) => Ok(topic),
            Err(failure) => {
                topic.delete().await?;
                Err(failure)
            }
        }
    };
    stage.on_client(filling).await
}

impl Contender for Consuming<'_> {
    fn server(&self) -> Server {
        self.stage.server()
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Saturate for Consuming<'_> {
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let (client, topic) = (self.stage.client(), self.topic.clone());
        let (from, records) = (Offset::new(self.from), self.to - self.from);
        let reading = async move {
            let mut consumer = assigned(&client, &topic, from).await?;
            let mut read = 0;
            while read < records && bound.allows_more_than(read) {
                read += next(&mut consumer).await?.records.len() as u64;
            }
            Ok(read)
        };
        self.stage.on_client(reading).await
    }
}

impl Pace for Consuming<'_> {
    async fn pace(&mut self) -> Result<Latencies, Failure> {
        let (client, topic, work) = (self.stage.client(), self.topic.clone(), self.work.clone());
        let pacing = async move {
            let producer = client.producer(producer_config(&work))?;
            let start = topic.records().await?;
            let mut consumer = assigned(&client, &topic, Offset::new(start)).await?;
            // Both are connected once one record has come through.
            producer.send(topic.record(&work)).await?.await?;
            next(&mut consumer).await?;
            let sending = Sending { producer, topic, work: work.clone() };
            let receiving = Receiving { consumer, start: Offset::new(start + 1) };
            let schedule = work.schedule();
            let due = schedule.begin(work.clock())?;
            open_loop(schedule, due, || work.clock().monotonic(), (sending, receiving)).await
        };
        self.stage.on_client(pacing).await
    }
}

async fn assigned(client: &Client, topic: &Topic, start: Offset) -> Result<Consumer, Failure> {
    let mut consumer = client.consumer(ConsumerConfig::default());
    consumer.assign(&[(topic.partition.clone(), StartAt::Offset(start))]).await?;
    Ok(consumer)
}

async fn next(consumer: &mut Consumer) -> Result<client::FetchedBatch, Failure> {
    consumer.next_batch().await?.ok_or_else(|| unexpected("the topic was gone while being read"))
}

struct Sending {
    producer: Producer,
    topic: Topic,
    work: Work,
}

impl Begin for Sending {
    type Error = Failure;

    async fn begin(&mut self, _index: u64) -> Result<(), Failure> {
        if self.work.is_interrupted() {
            return Err(interrupted());
        }
        // One that is not delivered never arrives; the consumer would wait for it.
        drop(self.producer.send(self.topic.record(&self.work)).await?);
        Ok(())
    }
}

/// A record's latency ends when it is in the consumer's hands.
struct Receiving {
    consumer: Consumer,
    /// Of the first record of the schedule.
    start: Offset,
}

impl Done for Receiving {
    type Error = Failure;

    async fn done(&mut self) -> Result<u64, Failure> {
        let batch = next(&mut self.consumer).await?;
        let last = batch.records.last().ok_or_else(|| unexpected("a batch without a record"))?;
        Ok(last.offset.distance_from(self.start) + 1)
    }
}

/// Beside it.
pub(super) struct ConsumingPlainly<'a> {
    work: Work,
    stage: &'a Stage,
    server: PlainServer,
    /// Bytes written in advance.
    preloaded: u64,
    /// Bytes written.
    end: u64,
}

impl<'a> ConsumingPlainly<'a> {
    /// Fills a file for the turns to come.
    ///
    /// # Errors
    ///
    /// The plain server cannot start or does not take it.
    pub(super) async fn new(
        work: Work,
        stage: &'a Stage,
        durability: Durability,
    ) -> Result<Self, Failure> {
        let server = stage.plain_server(durability).await?;
        let (address, given) = (server.address(), work.clone());
        let bound = work.preload(work.records_per_turn());
        let filling = async move { fill_plainly(address, &given, &bound).await };
        let records = stage.on_client(filling).await?;
        let batches = records / work.records_per_batch();
        let preloaded = batches * work.full.bytes().len() as u64;
        Ok(Self { work, stage, server, preloaded, end: preloaded })
    }
}

impl Contender for ConsumingPlainly<'_> {
    fn server(&self) -> Server {
        Server::BesideClient(CLIENT_THREADS)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Saturate for ConsumingPlainly<'_> {
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let (address, preloaded) = (self.server.address(), self.preloaded);
        let (batch, records) = (self.work.full.bytes().len() as u64, self.work.records_per_batch());
        let reading = async move {
            let mut stream = consume_from(address, 0).await?;
            let mut buffer = vec![0; READ_BYTES];
            let mut read = 0;
            while read < preloaded && bound.allows_more_than(read / batch * records) {
                read += some(&mut stream, &mut buffer).await?;
            }
            Ok(read / batch * records)
        };
        self.stage.on_client(reading).await
    }
}

impl Pace for ConsumingPlainly<'_> {
    async fn pace(&mut self) -> Result<Latencies, Failure> {
        let (address, start, work) = (self.server.address(), self.end, self.work.clone());
        let schedule = work.schedule();
        let pacing = async move {
            let stream = consume_from(address, start).await?;
            // Nobody reads the acknowledgements, which fit into the socket's buffer.
            let (_acknowledgements, write) = connect(address, Purpose::Produce).await?.into_split();
            let due = schedule.begin(work.clock())?;
            let sides = (Writing::new(write, &work), Arriving::new(stream, &work));
            open_loop(schedule, due, || work.clock().monotonic(), sides).await
        };
        let latencies = self.stage.on_client(pacing).await?;
        self.end = start + schedule.count * self.work.single.bytes().len() as u64;
        Ok(latencies)
    }
}

/// Counts the batches of one record that a stream brings.
pub(super) struct Arriving<S> {
    stream: S,
    buffer: Vec<u8>,
    batch: u64,
    bytes: u64,
}

impl<S> Arriving<S> {
    pub(super) fn new(stream: S, work: &Work) -> Self {
        let batch = work.single.bytes().len() as u64;
        Self { stream, buffer: vec![0; READ_BYTES], batch, bytes: 0 }
    }
}

impl<S: AsyncRead + Send + Unpin> Done for Arriving<S> {
    type Error = Failure;

    async fn done(&mut self) -> Result<u64, Failure> {
        self.bytes += some(&mut self.stream, &mut self.buffer).await?;
        Ok(self.bytes / self.batch)
    }
}

/// Reads what is there.
async fn some(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> Result<u64, Failure> {
    match stream.read(buffer).await? {
        0 => Err(unexpected("the plain server ended early")),
        read => Ok(read as u64),
    }
}
