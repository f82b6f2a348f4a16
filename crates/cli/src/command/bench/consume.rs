//! A consumer and a broker, and a plain client of a plain server. Both read what was written
//! before; for latencies, what is being written.

use client::{Client, Consumer, ConsumerConfig, Producer, StartAt};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use types::{Durability, Offset};

use super::contest::Contender;
use super::cpu::Server;
use super::latency::{Latencies, Schedule};
use super::load::{Bound, Work};
use super::plain::{PlainServer, Purpose, connect, consume_from};
use super::produce::{fill_plainly, send_plainly};
use super::stage::{CLIENT_THREADS, Stage};
use super::topic::{Topic, fill, producer_config, unexpected};
use crate::exit::Failure;

/// Records of a schedule whose send nobody has noted yet.
const NOTES: usize = 1024;
/// What a plain client reads at once.
const READ_BYTES: usize = 1 << 20;

/// Ours.
pub(super) struct Consuming<'a> {
    work: Work,
    stage: &'a Stage,
    topic: Topic,
    /// Records written in advance, from offset 0 on.
    preloaded: u64,
    /// Offset of the next record.
    end: Offset,
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
        let (client, given) = (stage.client(), work.clone());
        let preload = async move {
            let topic = Topic::create(client.clone(), given.clone(), durability).await?;
            let producer = client.producer(producer_config(&given))?;
            let filled = fill(&producer, &topic, &given, (Offset::ZERO, &given.preload())).await;
            match filled {
                Ok(records) => Ok((topic, records)),
                Err(failure) => {
                    topic.delete().await?;
                    Err(failure)
                }
            }
        };
        let (topic, preloaded) = stage.on_client(preload).await?;
        Ok(Self { work, stage, topic, preloaded, end: Offset::new(preloaded) })
    }

    /// Removes the topic.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.stage.on_client(self.topic.delete()).await
    }
}

impl Contender for Consuming<'_> {
    fn server(&self) -> Server {
        self.stage.server()
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let (client, topic, preloaded) = (self.stage.client(), self.topic.clone(), self.preloaded);
        let reading = async move {
            let mut consumer = assigned(&client, &topic, Offset::ZERO).await?;
            let mut read = 0;
            while read < preloaded && bound.allows_more_than(read) {
                read += next(&mut consumer).await?.records.len() as u64;
            }
            Ok(read)
        };
        self.stage.on_client(reading).await
    }

    async fn pace(&mut self, schedule: Schedule) -> Result<Latencies, Failure> {
        let (client, topic, work) = (self.stage.client(), self.topic.clone(), self.work.clone());
        let start = self.end;
        let pacing = async move {
            let producer = client.producer(producer_config(&work))?;
            let consumer = assigned(&client, &topic, start).await?;
            let sending = send_due(&producer, &topic, &work, schedule);
            let receiving = receive(consumer, &work, schedule, start);
            let ((), latencies) = tokio::try_join!(sending, receiving)?;
            Ok(latencies)
        };
        let latencies = self.stage.on_client(pacing).await?;
        self.end = Offset::new(start.get() + schedule.count);
        Ok(latencies)
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        Ok(())
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

async fn send_due(
    producer: &Producer,
    topic: &Topic,
    work: &Work,
    schedule: Schedule,
) -> Result<(), Failure> {
    let mut due = schedule.begin(work.clock())?;
    while due.recv().await.is_some() {
        // One that is not delivered never arrives; the consumer would wait for it.
        drop(producer.send(topic.record(work)).await?);
    }
    Ok(producer.flush().await?)
}

/// A record's latency ends when it is in the consumer's hands.
async fn receive(
    mut consumer: Consumer,
    work: &Work,
    schedule: Schedule,
    start: Offset,
) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::new();
    let mut received = 0;
    while received < schedule.count && !work.is_interrupted() {
        let batch = next(&mut consumer).await?;
        let done = work.clock().monotonic();
        for record in batch.records {
            latencies.record(schedule.due(record.offset.distance_from(start)), done);
            received += 1;
        }
    }
    Ok(latencies)
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
        let filling = async move { fill_plainly(address, &given, &given.preload()).await };
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

    async fn pace(&mut self, schedule: Schedule) -> Result<Latencies, Failure> {
        let (address, start, work) = (self.server.address(), self.end, self.work.clone());
        let pacing = async move {
            let stream = consume_from(address, start).await?;
            // Nobody reads the acknowledgements, which fit into the socket's buffer.
            let (_acknowledgements, write) = connect(address, Purpose::Produce).await?.into_split();
            let (tell, mut noted) = mpsc::channel(NOTES);
            let noting = async { while noted.recv().await.is_some() {} };
            let sending = async {
                let (sent, ()) = tokio::join!(send_plainly(write, &work, schedule, tell), noting);
                sent
            };
            let ((), latencies) =
                tokio::try_join!(sending, receive_plainly(stream, &work, schedule))?;
            Ok(latencies)
        };
        let latencies = self.stage.on_client(pacing).await?;
        self.end = start + schedule.count * self.work.single.bytes().len() as u64;
        Ok(latencies)
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

async fn receive_plainly(
    mut stream: TcpStream,
    work: &Work,
    schedule: Schedule,
) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::new();
    let mut buffer = vec![0; READ_BYTES];
    let (batch, mut bytes, mut received) = (work.single.bytes().len() as u64, 0, 0);
    while received < schedule.count && !work.is_interrupted() {
        bytes += some(&mut stream, &mut buffer).await?;
        let done = work.clock().monotonic();
        while received < bytes / batch {
            latencies.record(schedule.due(received), done);
            received += 1;
        }
    }
    Ok(latencies)
}

/// Reads what is there.
async fn some(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<u64, Failure> {
    match stream.read(buffer).await? {
        0 => Err(unexpected("the plain server ended early")),
        read => Ok(read as u64),
    }
}
