//! One `JetStream` stream in files: filled by a client that publishes ahead of its acknowledgements,
//! and read by one that need not acknowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Semaphore;

use super::connection::{Connection, Incoming, NatsError, publication};
use super::protocol::Said;

const NAME: &str = "BENCH";
const SUBJECT: &str = "bench";
/// Where acknowledgements of what is published go.
const ACKS: &str = "_INBOX.acks";
/// Where a consumer gets its messages.
const DELIVERIES: &str = "_INBOX.deliveries";
/// Messages under way to the server.
const WINDOW: u32 = 8192;
/// Messages that are written at once.
const AT_ONCE: u32 = 64;

/// A stream on a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    address: SocketAddr,
}

impl Stream {
    /// Makes an empty one.
    ///
    /// # Errors
    ///
    /// There is one already, or the server does not answer.
    pub(crate) async fn create(address: SocketAddr) -> Result<Self, NatsError> {
        let mut connection = Connection::open(address).await?;
        let config = json!({
            "name": NAME, "subjects": [SUBJECT], "storage": "file", "retention": "limits",
            "discard": "old", "max_msgs": -1, "max_bytes": -1, "max_age": 0, "num_replicas": 1,
        });
        let request = format!("$JS.API.STREAM.CREATE.{NAME}");
        connection.request(&request, &config.to_string()).await?;
        Ok(Self { address })
    }

    /// Publishes as long as `goes_on` says so of what was sent; returns how many messages were
    /// acknowledged.
    ///
    /// # Errors
    ///
    /// One was refused, or the connection broke.
    pub(crate) async fn publish(
        self,
        payload: &[u8],
        goes_on: impl Fn(u64) -> bool,
    ) -> Result<u64, NatsError> {
        let mut connection = Connection::open(self.address).await?;
        connection.subscribe(ACKS).await?;
        let Connection { from, to } = connection;
        let message = publication(SUBJECT, Some(ACKS), payload);
        let chunk = Bytes::from(message.repeat(AT_ONCE as usize));
        let window = Semaphore::new(WINDOW as usize);
        let sending = send(to, &chunk, &window, goes_on);
        tokio::select! {
            sent = sending => sent,
            failed = acknowledge(from, &window) => Err(failed),
        }
    }

    /// How many messages it holds.
    ///
    /// # Errors
    ///
    /// The server does not say.
    pub(crate) async fn messages(self) -> Result<u64, NatsError> {
        let mut connection = Connection::open(self.address).await?;
        let request = format!("$JS.API.STREAM.INFO.{NAME}");
        let info = connection.request(&request, "").await?;
        let messages = info.pointer("/state/messages").and_then(Value::as_u64);
        messages.ok_or_else(|| NatsError::Request { request, answer: info.to_string() })
    }

    /// Reads from the first message on as long as `goes_on` says so of what was read; returns how
    /// many messages that were.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub(crate) async fn consume(self, goes_on: impl Fn(u64) -> bool) -> Result<u64, NatsError> {
        let mut connection = Connection::open(self.address).await?;
        let config = json!({
            "stream_name": NAME,
            "config": {
                "deliver_subject": DELIVERIES, "deliver_policy": "all", "ack_policy": "none",
                "replay_policy": "instant", "flow_control": true, "idle_heartbeat": 5_000_000_000_u64,
            },
        });
        let request = format!("$JS.API.CONSUMER.CREATE.{NAME}");
        // It begins to deliver once somebody has subscribed.
        connection.request(&request, &config.to_string()).await?;
        connection.subscribe(DELIVERIES).await?;
        let Connection { mut from, mut to } = connection;
        let mut read = 0;
        while goes_on(read) {
            let message = from.message(&mut to).await?;
            match message.reply {
                // Heartbeats and requests to say how far we are have a status in place of a payload.
                Some(reply) if !message.headers.is_empty() => answer(&mut to, &reply).await?,
                None if !message.headers.is_empty() => {}
                Some(_) | None => read += 1,
            }
        }
        Ok(read)
    }

    /// Removes it.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(crate) async fn delete(self) -> Result<(), NatsError> {
        let mut connection = Connection::open(self.address).await?;
        connection.request(&format!("$JS.API.STREAM.DELETE.{NAME}"), "").await?;
        Ok(())
    }
}

/// Sends message after message, and waits until all have their acknowledgement.
async fn send(
    mut to: OwnedWriteHalf,
    chunk: &Bytes,
    window: &Semaphore,
    goes_on: impl Fn(u64) -> bool,
) -> Result<u64, NatsError> {
    let mut sent = 0;
    while goes_on(sent) {
        let room = window.acquire_many(AT_ONCE).await;
        room.map_err(|_closed| NatsError::HalfGone)?.forget();
        to.write_all(chunk).await?;
        sent += u64::from(AT_ONCE);
    }
    let all = window.acquire_many(WINDOW).await;
    all.map_err(|_closed| NatsError::HalfGone)?.forget();
    Ok(sent)
}

/// Makes room for every acknowledgement that comes, until that fails. Pings, which come once in two
/// minutes, are left alone: a turn is shorter than the patience of the server.
async fn acknowledge(mut from: Incoming, window: &Semaphore) -> NatsError {
    loop {
        match from.next().await {
            Ok(Said::Message(message)) if message.payload.starts_with(b"{\"stream\"") => {
                window.add_permits(1);
            }
            Ok(Said::Message(message)) => {
                let answer = String::from_utf8_lossy(&message.payload).into_owned();
                return NatsError::Request { request: SUBJECT.to_owned(), answer };
            }
            Ok(Said::Refused(why)) => return NatsError::Refused(why),
            Ok(Said::Ping | Said::Pong | Said::Info) => {}
            Err(error) => return error,
        }
    }
}

/// Says that everything before a request of flow control was read.
async fn answer(to: &mut OwnedWriteHalf, reply: &Bytes) -> Result<(), NatsError> {
    let subject = String::from_utf8_lossy(reply);
    Ok(to.write_all(&publication(&subject, None, b"")).await?)
}
