use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use futures::Stream;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};

use super::rope::Rope;
use crate::transport::MAX_MESSAGE_BYTES;

/// What is before each message: whether it is compressed, and its length.
pub(super) const PREFIX_BYTES: usize = 5;

const ENCODING: &str = "grpc-encoding";
const ACCEPTED: &str = "grpc-accept-encoding";
const IDENTITY: &str = "identity";

/// The messages of one direction of a call, each decoded from the memory into which the network
/// brought it: `bytes` fields are copied only where they lie in several HTTP/2 frames.
///
/// Holds no more than one message of [`MAX_MESSAGE_BYTES`] and the frame that brought its end; of a
/// message that is announced and does not come, it holds what came. Ends after an error.
#[derive(Debug)]
pub struct Incoming<T> {
    body: Body,
    received: Rope,
    /// Length of the message that is under way.
    announced: Option<usize>,
    direction: Direction,
    state: State,
    messages: PhantomData<fn() -> T>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Request,
    /// Must end with a status.
    Response(StatusCode),
    /// The status came in the first headers.
    EndedResponse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
}

impl<T: Message + Default> Incoming<T> {
    /// What a client sends.
    ///
    /// # Errors
    ///
    /// `UNIMPLEMENTED` if the messages are compressed.
    pub fn of_request(headers: &HeaderMap, body: Body) -> Result<Self, Status> {
        refuse_compression(headers)?;
        Ok(Self::new(body, Direction::Request))
    }

    /// What a server answers.
    ///
    /// # Errors
    ///
    /// The status, if it is an error and came at once; `UNIMPLEMENTED` if the messages are
    /// compressed.
    pub fn of_response(response: http::Response<Body>) -> Result<Self, Status> {
        refuse_compression(response.headers())?;
        let direction = match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => return Err(status),
            Some(_ok) => Direction::EndedResponse,
            None => Direction::Response(response.status()),
        };
        Ok(Self::new(response.into_body(), direction))
    }

    fn new(body: Body, direction: Direction) -> Self {
        Self {
            body,
            received: Rope::default(),
            announced: None,
            direction,
            state: State::Open,
            messages: PhantomData,
        }
    }

    /// The next message; `None` when there are no more.
    ///
    /// # Errors
    ///
    /// The status with which the other side ended the call, or what is wrong with what it sent.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        std::future::poll_fn(|context| self.poll_message(context)).await.transpose()
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        if self.state == State::Ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_open(context)).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Ended;
        }
        Poll::Ready(next)
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<T>, Status>> {
        loop {
            if let Some(message) = self.take_whole()? {
                return Poll::Ready(Ok(Some(message)));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.received.push(data),
                    Err(other) => {
                        let trailers = other.into_trailers().ok();
                        return Poll::Ready(self.end(trailers.as_ref()).map(|()| None));
                    }
                },
                // A client that hangs up has sent all that it ever will.
                Some(Err(status))
                    if self.direction == Direction::Request && status.code() == Code::Cancelled =>
                {
                    return Poll::Ready(Ok(None));
                }
                Some(Err(status)) => return Poll::Ready(Err(status)),
                None => return Poll::Ready(self.end(None).map(|()| None)),
            }
        }
    }

    /// Decodes the first message, if all of it is there.
    fn take_whole(&mut self) -> Result<Option<T>, Status> {
        let announced = match self.announced {
            Some(announced) => announced,
            None if self.received.len() < PREFIX_BYTES => return Ok(None),
            None => *self.announced.insert(announced(&mut self.received)?),
        };
        if self.received.len() < announced {
            return Ok(None);
        }
        self.announced = None;
        let message = T::decode((&mut self.received).take(announced));
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }

    /// The other side will send no more.
    fn end(&self, trailers: Option<&HeaderMap>) -> Result<(), Status> {
        if let Direction::Response(code) = self.direction {
            match trailers.and_then(Status::from_header_map) {
                Some(status) if status.code() != Code::Ok => return Err(status),
                Some(_ok) => {}
                None => return Err(without_status(code)),
            }
        }
        if self.announced.is_some() || self.received.len() != 0 {
            return Err(Status::internal("the last message was not sent to its end"));
        }
        Ok(())
    }
}

impl<T: Message + Default> Stream for Incoming<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(context)
    }
}

/// Takes the prefix of a message off.
fn announced(received: &mut Rope) -> Result<usize, Status> {
    match received.get_u8() {
        0 => {}
        // As the protocol wants it, since no encoding was announced that could be meant.
        1 => return Err(Status::internal("a message is compressed, and its encoding not named")),
        flag => return Err(Status::internal(format!("a message has the unknown flag {flag}"))),
    }
    let announced = usize::try_from(received.get_u32()).unwrap_or(usize::MAX);
    if MAX_MESSAGE_BYTES < announced {
        return Err(Status::out_of_range(format!(
            "a message of {announced} bytes is announced; at most {MAX_MESSAGE_BYTES} are taken"
        )));
    }
    Ok(announced)
}

fn refuse_compression(headers: &HeaderMap) -> Result<(), Status> {
    let Some(encoding) = headers.get(ENCODING).filter(|encoding| *encoding != IDENTITY) else {
        return Ok(());
    };
    let mut status = Status::unimplemented(format!(
        "messages compressed by {} are not read; compress the batches, not the messages",
        String::from_utf8_lossy(encoding.as_bytes())
    ));
    let accepted = tonic::metadata::MetadataValue::from_static(IDENTITY);
    status.metadata_mut().insert(ACCEPTED, accepted);
    Err(status)
}

/// What gRPC makes of an answer that has no status of its own.
fn without_status(code: StatusCode) -> Status {
    let grpc = match code.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(grpc, format!("the answer ended without a status; its HTTP status is {code}"))
}
