//! A producer and a broker, and a plain client of a plain server.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use client::{Delivery, Producer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use types::{Durability, Offset};

use super::contest::Contender;
use super::cpu::Server;
use super::latency::{Latencies, Schedule};
use super::load::{Bound, Work};
use super::plain::{PlainServer, Purpose, connect, frame};
use super::stage::{CLIENT_THREADS, Stage};
use super::topic::{Topic, fill, producer_config, unexpected};
use crate::exit::Failure;

/// Records that are under way while latencies are taken; more are begun late.
const UNDER_WAY: usize = 16 * 1024;
/// Behind the record that warms a topic up.
const WARMED_UP: Offset = Offset::new(1);
/// Bytes that a plain client sends ahead of its acknowledgements.
const WINDOW_BYTES: usize = 8 << 20;

/// Ours.
pub(super) struct Producing<'a> {
    work: Work,
    stage: &'a Stage,
    durability: Durability,
    ready: Option<(Producer, Topic)>,
}

impl<'a> Producing<'a> {
    pub(super) const fn new(work: Work, stage: &'a Stage, durability: Durability) -> Self {
        Self { work, stage, durability, ready: None }
    }
}

impl Contender for Producing<'_> {
    fn server(&self) -> Server {
        self.stage.server()
    }

    /// Makes a topic, and has the producer connected to its leader.
    async fn prepare(&mut self) -> Result<(), Failure> {
        let (client, work) = (self.stage.client(), self.work.clone());
        let topic = Topic::create(client.clone(), work.clone(), self.durability);
        let ready = async move {
            let topic = topic.await?;
            let producer = client.producer(producer_config(&work))?;
            producer.send(topic.record(&work)).await?.await?;
            Ok((producer, topic))
        };
        self.ready = Some(self.stage.on_client(ready).await?);
        Ok(())
    }

    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let (producer, topic) = self.ready.take().ok_or_else(unprepared)?;
        let work = self.work.clone();
        let filling = async move {
            let sent = fill(&producer, &topic, &work, (WARMED_UP, &bound)).await;
            Ok((sent, producer, topic))
        };
        let (sent, producer, topic) = self.stage.on_client(filling).await?;
        self.ready = Some((producer, topic));
        sent
    }

    async fn pace(&mut self, schedule: Schedule) -> Result<Latencies, Failure> {
        let (producer, topic) = self.ready.take().ok_or_else(unprepared)?;
        let work = self.work.clone();
        let pacing = async move {
            let latencies = deliver(&producer, &topic, &work, schedule).await;
            Ok((latencies, producer, topic))
        };
        let (latencies, producer, topic) = self.stage.on_client(pacing).await?;
        self.ready = Some((producer, topic));
        latencies
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        let Some((producer, topic)) = self.ready.take() else { return Ok(()) };
        let delete = async move {
            producer.close().await?;
            topic.delete().await
        };
        self.stage.on_client(delete).await?;
        self.stage.emptied().await
    }
}

/// Sends what is due when it is due; its latency ends with its acknowledgement.
async fn deliver(
    producer: &Producer,
    topic: &Topic,
    work: &Work,
    schedule: Schedule,
) -> Result<Latencies, Failure> {
    let (tell, mut deliveries) = mpsc::channel::<(u64, Delivery)>(UNDER_WAY);
    let send = send_due(producer, topic, work, schedule, tell);
    let receive = async {
        let mut latencies = Latencies::new();
        // Deliveries of one partition come in the order sent.
        while let Some((index, delivery)) = deliveries.recv().await {
            delivery.await?;
            latencies.record(schedule.due(index), work.clock().monotonic());
        }
        Ok::<_, Failure>(latencies)
    };
    let ((), latencies) = tokio::try_join!(send, receive)?;
    Ok(latencies)
}

async fn send_due(
    producer: &Producer,
    topic: &Topic,
    work: &Work,
    schedule: Schedule,
    tell: mpsc::Sender<(u64, Delivery)>,
) -> Result<(), Failure> {
    let mut due = schedule.begin(work.clock())?;
    while let Some(index) = due.recv().await {
        let delivery = producer.send(topic.record(work)).await?;
        if tell.send((index, delivery)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Beside it.
pub(super) struct ProducingPlainly<'a> {
    work: Work,
    stage: &'a Stage,
    durability: Durability,
    server: Option<PlainServer>,
}

impl<'a> ProducingPlainly<'a> {
    pub(super) const fn new(work: Work, stage: &'a Stage, durability: Durability) -> Self {
        Self { work, stage, durability, server: None }
    }

    fn address(&self) -> Result<SocketAddr, Failure> {
        self.server.as_ref().map(PlainServer::address).ok_or_else(unprepared)
    }
}

impl Contender for ProducingPlainly<'_> {
    fn server(&self) -> Server {
        Server::BesideClient(CLIENT_THREADS)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        self.server = Some(self.stage.plain_server(self.durability).await?);
        Ok(())
    }

    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let (address, work) = (self.address()?, self.work.clone());
        self.stage.on_client(async move { fill_plainly(address, &work, &bound).await }).await
    }

    async fn pace(&mut self, schedule: Schedule) -> Result<Latencies, Failure> {
        let (address, work) = (self.address()?, self.work.clone());
        self.stage.on_client(async move { deliver_plainly(address, &work, schedule).await }).await
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        self.server = None;
        Ok(())
    }
}

/// Sends full batches as fast as acknowledgements let it; returns how many records have theirs.
pub(super) async fn fill_plainly(
    address: SocketAddr,
    work: &Work,
    bound: &Bound,
) -> Result<u64, Failure> {
    let (read, write) = connect(address, Purpose::Produce).await?.into_split();
    let frame = frame(work.full.bytes());
    // Deep enough that neither side waits for the other.
    let window = Semaphore::new((WINDOW_BYTES / frame.len()).clamp(4, 256));
    let records_per_batch = work.records_per_batch();
    let sending = send_frames(write, &frame, &window, |sent| {
        bound.allows_more_than(sent * records_per_batch)
    });
    // The server ends the connection when the client has ended its half.
    let (sent, acknowledged) = tokio::try_join!(sending, count_acknowledged(read, &window))?;
    if sent == acknowledged {
        Ok(sent * records_per_batch)
    } else {
        Err(unexpected("the plain server did not acknowledge everything"))
    }
}

async fn send_frames(
    mut write: OwnedWriteHalf,
    frame: &Bytes,
    window: &Semaphore,
    goes_on: impl Fn(u64) -> bool,
) -> Result<u64, Failure> {
    let mut sent = 0;
    while goes_on(sent) {
        let permit = window.acquire().await.map_err(|_closed| unexpected("the window closed"))?;
        permit.forget();
        write.write_all(frame).await?;
        sent += 1;
    }
    write.shutdown().await?;
    Ok(sent)
}

async fn count_acknowledged(mut read: OwnedReadHalf, window: &Semaphore) -> Result<u64, Failure> {
    let mut acknowledged = 0;
    while let Ok(count) = read.read_u64().await {
        window.add_permits(usize::try_from(count - acknowledged).unwrap_or(0));
        acknowledged = count;
    }
    Ok(acknowledged)
}

async fn deliver_plainly(
    address: SocketAddr,
    work: &Work,
    schedule: Schedule,
) -> Result<Latencies, Failure> {
    let (mut read, write) = connect(address, Purpose::Produce).await?.into_split();
    let (tell, mut sent) = mpsc::channel(UNDER_WAY);
    let receive = async {
        let mut latencies = Latencies::new();
        let mut acknowledged = 0;
        let mut waiting = VecDeque::new();
        while let Some(index) = sent.recv().await {
            waiting.push_back(index);
            let count =
                if acknowledged < index + 1 { read.read_u64().await? } else { acknowledged };
            acknowledged = count;
            let done = work.clock().monotonic();
            while let Some(index) = waiting.pop_front_if(|index| *index < count) {
                latencies.record(schedule.due(index), done);
            }
        }
        Ok::<_, Failure>(latencies)
    };
    let ((), latencies) = tokio::try_join!(send_plainly(write, work, schedule, tell), receive)?;
    Ok(latencies)
}

/// Writes what is due when it is due.
pub(super) async fn send_plainly(
    mut write: OwnedWriteHalf,
    work: &Work,
    schedule: Schedule,
    tell: mpsc::Sender<u64>,
) -> Result<(), Failure> {
    let frame = frame(work.single.bytes());
    let mut due = schedule.begin(work.clock())?;
    while let Some(index) = due.recv().await {
        write.write_all(&frame).await?;
        if tell.send(index).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn unprepared() -> Failure {
    unexpected("a turn began without preparation")
}
