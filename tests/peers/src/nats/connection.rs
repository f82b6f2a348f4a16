//! A connection to a NATS server.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::protocol::{Message, NotNats, Said, take};

/// What is read off the socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Says that messages may have headers and that nothing but errors is acknowledged.
const HELLO: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
      \"lang\":\"rust\",\"version\":\"0\",\"protocol\":1}\r\n";
/// Where answers to requests go.
const INBOX: &str = "_INBOX.answers";

/// What may go wrong with NATS.
#[derive(Debug, Error)]
pub(crate) enum NatsError {
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server says something unknown.
    #[error(transparent)]
    NotNats(#[from] NotNats),
    /// The server is not content.
    #[error("it refuses: {0}")]
    Refused(String),
    /// The answer to a request says so.
    #[error("{request} fails: {answer}")]
    Request {
        /// What was asked.
        request: String,
        /// All of the answer.
        answer: String,
    },
    /// It ended before it was ready.
    #[error("the server ended before it was ready: {log}")]
    NotReady {
        /// What it has said.
        log: String,
    },
    /// The window of messages under way is no more.
    #[error("the other half of the connection failed")]
    HalfGone,
}

/// A connection, whose halves may be used apart.
pub(crate) struct Connection {
    pub(crate) from: Incoming,
    pub(crate) to: OwnedWriteHalf,
}

/// What the server says.
pub(crate) struct Incoming {
    read: OwnedReadHalf,
    arrived: BytesMut,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, NatsError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (read, mut to) = stream.into_split();
        let mut from = Incoming { read, arrived: BytesMut::with_capacity(READ_BYTES) };
        to.write_all(HELLO).await?;
        to.write_all(b"PING\r\n").await?;
        while from.next().await? != Said::Pong {}
        Ok(Self { from, to })
    }

    pub(crate) async fn subscribe(&mut self, subject: &str) -> Result<(), NatsError> {
        Ok(self.to.write_all(format!("SUB {subject} 1\r\n").as_bytes()).await?)
    }

    /// Asks `JetStream` for something, and reads its answer. Nothing else may be subscribed to.
    ///
    /// # Errors
    ///
    /// The answer is an error, or nobody answers.
    pub(crate) async fn request(&mut self, subject: &str, body: &str) -> Result<Value, NatsError> {
        self.to.write_all(format!("SUB {INBOX} 2\r\nUNSUB 2 1\r\n").as_bytes()).await?;
        self.to.write_all(&publication(subject, Some(INBOX), body.as_bytes())).await?;
        let Message { payload, headers, .. } = self.from.message(&mut self.to).await?;
        let failed = || NatsError::Request {
            request: subject.to_owned(),
            answer: String::from_utf8_lossy(if payload.is_empty() { &headers } else { &payload })
                .into_owned(),
        };
        let answer: Value = serde_json::from_slice(&payload).map_err(|_error| failed())?;
        if answer.get("error").is_some() { Err(failed()) } else { Ok(answer) }
    }
}

impl Incoming {
    /// The next message; pings on the way are answered.
    pub(crate) async fn message(&mut self, to: &mut OwnedWriteHalf) -> Result<Message, NatsError> {
        loop {
            match self.next().await? {
                Said::Message(message) => return Ok(message),
                Said::Ping => to.write_all(b"PONG\r\n").await?,
                Said::Pong | Said::Info => {}
                Said::Refused(why) => return Err(NatsError::Refused(why)),
            }
        }
    }

    /// The next thing said.
    pub(crate) async fn next(&mut self) -> Result<Said, NatsError> {
        loop {
            if let Some(said) = take(&mut self.arrived)? {
                return Ok(said);
            }
            self.arrived.reserve(READ_BYTES);
            if self.read.read_buf(&mut self.arrived).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

/// A message to be written at once.
pub(crate) fn publication(subject: &str, reply: Option<&str>, payload: &[u8]) -> Bytes {
    let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
    let mut bytes = format!("PUB {subject}{reply} {}\r\n", payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    Bytes::from(bytes)
}
