//! A producer and a broker, and a plain client of a plain server.

use std::net::SocketAddr;

use bytes::Bytes;
use client::{Delivery, Producer};
use measure::{Begin, Done, Latencies, Server, open_loop};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use types::Durability;

use super::contest::{Contender, Pace, Saturate};
use super::load::{Bound, Work};
use super::plain::{PlainServer, Purpose, connect, frame};
use super::stage::{CLIENT_THREADS, Stage};
use super::topic::{Topic, fill, interrupted, producer_config, unexpected};
use crate::exit::Failure;

/// Records that are under way while latencies are taken; more are begun late.
const UNDER_WAY: usize = 16 * 1024;
/// Bytes that a plain client sends ahead of its acknowledgements.
const WINDOW_BYTES: usize = 8 << 20;

/// Ours.
pub(super) struct Producing<'a> {
    work: Work,
    stage: &'a Stage,
    into: Into,
    ready: Option<Ready>,
}

enum Into {
    /// A new topic for each turn, which is removed after it.
    Fresh(Durability),
    /// A new topic for each turn. These stay.
    FreshAndKept(Durability, Vec<Topic>),
    /// This topic, which stays.
    Kept(Topic),
}

struct Ready {
    producer: Producer,
    topic: Topic,
    /// Records that are in the topic before the turn.
    before: u64,
}

impl<'a> Producing<'a> {
    /// Into a new topic for each turn.
    pub(super) const fn new(work: Work, stage: &'a Stage, durability: Durability) -> Self {
        Self { work, stage, into: Into::Fresh(durability), ready: None }
    }

    /// Into a new topic for each turn, all of which stay until the [end](Self::end): beside one that
    /// keeps what it wrote, for whoever removes that has pages at hand where the other has to find new
    /// ones.
    pub(super) const fn keeping(work: Work, stage: &'a Stage, durability: Durability) -> Self {
        Self { work, stage, into: Into::FreshAndKept(durability, Vec::new()), ready: None }
    }

    /// Behind what is in a topic already.
    pub(super) const fn behind(topic: Topic, work: Work, stage: &'a Stage) -> Self {
        Self { work, stage, into: Into::Kept(topic), ready: None }
    }

    /// Removes what it made and kept.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn end(self) -> Result<(), Failure> {
        match self.into {
            Into::FreshAndKept(_, topics) => {
                let mut removed = Ok(());
                for topic in topics {
                    removed = removed.and(self.stage.remove(topic).await);
                }
                removed
            }
            Into::Fresh(_) | Into::Kept(_) => Ok(()),
        }
    }
}

impl Contender for Producing<'_> {
    fn server(&self) -> Server {
        self.stage.server()
    }

    /// Has the topic, and the producer connected to its leader.
    async fn prepare(&mut self) -> Result<(), Failure> {
        let (client, work) = (self.stage.client(), self.work.clone());
        let kept = match &self.into {
            Into::Fresh(durability) | Into::FreshAndKept(durability, _) => Err(*durability),
            Into::Kept(topic) => Ok(topic.clone()),
        };
        let ready = async move {
            let topic = match kept {
                Ok(topic) => topic,
                Err(durability) => Topic::create(client.clone(), work.clone(), durability).await?,
            };
            let producer = client.producer(producer_config(&work))?;
            producer.send(topic.record(&work)).await?.await?;
            let before = topic.records().await?;
            Ok(Ready { producer, topic, before })
        };
        self.ready = Some(self.stage.on_client(ready).await?);
        Ok(())
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        let Some(Ready { producer, topic, .. }) = self.ready.take() else { return Ok(()) };
        let closed = self.stage.on_client(async move { Ok(producer.close().await?) }).await;
        match &mut self.into {
            Into::Fresh(_) => self.stage.remove(topic).await.and(closed),
            Into::FreshAndKept(_, topics) => {
                topics.push(topic);
                closed
            }
            Into::Kept(_) => closed,
        }
    }
}

impl Saturate for Producing<'_> {
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let ready = self.ready.take().ok_or_else(unprepared)?;
        let work = self.work.clone();
        let filling = async move {
            let sent = fill(&ready.producer, &ready.topic, &work, (ready.before, &bound)).await;
            Ok((sent, ready))
        };
        let (sent, ready) = self.stage.on_client(filling).await?;
        self.ready = Some(ready);
        sent
    }
}

impl Pace for Producing<'_> {
    async fn pace(&mut self) -> Result<Latencies, Failure> {
        let ready = self.ready.take().ok_or_else(unprepared)?;
        let work = self.work.clone();
        let pacing = async move {
            let latencies = deliver(&ready, &work).await;
            Ok((latencies, ready))
        };
        let (latencies, ready) = self.stage.on_client(pacing).await?;
        self.ready = Some(ready);
        latencies
    }
}

/// Sends what is due when it is due; its latency ends with its acknowledgement.
async fn deliver(ready: &Ready, work: &Work) -> Result<Latencies, Failure> {
    let (tell, deliveries) = mpsc::channel(UNDER_WAY);
    let sending = Sending { ready, work, tell };
    let delivered = Delivered { deliveries, count: 0 };
    let schedule = work.schedule();
    let due = schedule.begin(work.clock())?;
    open_loop(schedule, due, || work.clock().monotonic(), (sending, delivered)).await
}

struct Sending<'a> {
    ready: &'a Ready,
    work: &'a Work,
    tell: mpsc::Sender<Delivery>,
}

impl Begin for Sending<'_> {
    type Error = Failure;

    async fn begin(&mut self, _index: u64) -> Result<(), Failure> {
        let Ready { producer, topic, .. } = self.ready;
        if self.work.is_interrupted() {
            return Err(interrupted());
        }
        let delivery = producer.send(topic.record(self.work)).await?;
        // Whoever waits for it has failed, which it will say.
        self.tell.send(delivery).await.ok();
        Ok(())
    }
}

/// Deliveries of one partition come in the order sent.
struct Delivered {
    deliveries: mpsc::Receiver<Delivery>,
    count: u64,
}

impl Done for Delivered {
    type Error = Failure;

    async fn done(&mut self) -> Result<u64, Failure> {
        let delivery = self.deliveries.recv().await;
        delivery.ok_or_else(|| unexpected("a record was not sent"))?.await?;
        self.count += 1;
        Ok(self.count)
    }
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

    async fn clean_up(&mut self) -> Result<(), Failure> {
        self.server = None;
        Ok(())
    }
}

impl Saturate for ProducingPlainly<'_> {
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let (address, work) = (self.address()?, self.work.clone());
        self.stage.on_client(async move { fill_plainly(address, &work, &bound).await }).await
    }
}

impl Pace for ProducingPlainly<'_> {
    async fn pace(&mut self) -> Result<Latencies, Failure> {
        let (address, work) = (self.address()?, self.work.clone());
        self.stage.on_client(async move { deliver_plainly(address, &work).await }).await
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

async fn deliver_plainly(address: SocketAddr, work: &Work) -> Result<Latencies, Failure> {
    let (read, write) = connect(address, Purpose::Produce).await?.into_split();
    let schedule = work.schedule();
    let due = schedule.begin(work.clock())?;
    let sides = (Writing::new(write, work), Acknowledged(read));
    open_loop(schedule, due, || work.clock().monotonic(), sides).await
}

/// Writes batches of one record.
pub(super) struct Writing {
    write: OwnedWriteHalf,
    work: Work,
    frame: Bytes,
}

impl Writing {
    pub(super) fn new(write: OwnedWriteHalf, work: &Work) -> Self {
        Self { write, work: work.clone(), frame: frame(work.single.bytes()) }
    }
}

impl Begin for Writing {
    type Error = Failure;

    async fn begin(&mut self, _index: u64) -> Result<(), Failure> {
        if self.work.is_interrupted() {
            return Err(interrupted());
        }
        Ok(self.write.write_all(&self.frame).await?)
    }
}

/// Hears from a plain server how many frames it has.
struct Acknowledged(OwnedReadHalf);

impl Done for Acknowledged {
    type Error = Failure;

    async fn done(&mut self) -> Result<u64, Failure> {
        Ok(self.0.read_u64().await?)
    }
}

fn unprepared() -> Failure {
    unexpected("a turn began without preparation")
}
