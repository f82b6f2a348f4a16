use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::Stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::Status;

use super::Framed;
use super::incoming::PREFIX_BYTES;
use super::rope::Rope;
use crate::transport::MAX_MESSAGE_BYTES;

/// A payload smaller than this is copied, if it needs an HTTP/2 frame of its own otherwise.
const FRAMED_FROM: usize = 32 * 1024;
/// The same if it can be a piece of a frame.
const LINKED_FROM: usize = 8 * 1024;
/// Small messages that are ready together are sent together, up to about this many bytes.
const GATHERED: usize = 64 * 1024;
/// Most bytes that are kept ready for what is small.
const LARGEST_SMALL: usize = GATHERED + FRAMED_FROM;

/// Messages on their way out: what is small in one buffer, payloads as they are.
#[derive(Debug)]
pub struct Frames {
    ready: Rope,
    small: BytesMut,
    /// Bytes from which on a payload stays where it is.
    uncopied_from: usize,
    /// Bytes of what was small when it went out last: the next will be like it.
    usual: usize,
}

impl Frames {
    fn new(uncopied_from: usize) -> Self {
        Self { ready: Rope::default(), small: BytesMut::new(), uncopied_from, usual: 0 }
    }

    /// Where everything goes that is not a payload.
    pub(super) const fn small(&mut self) -> &mut BytesMut {
        &mut self.small
    }

    /// Puts a payload behind what is there.
    pub(super) fn payload(&mut self, payload: Bytes) {
        if payload.len() < self.uncopied_from {
            self.small.extend_from_slice(&payload);
        } else {
            self.close();
            self.ready.push(payload);
        }
    }

    /// Lets what is small go out as it is.
    fn close(&mut self) {
        if !self.small.is_empty() {
            self.usual = self.small.len();
            // Whole, so that what is left of it goes with it.
            self.ready.push(mem::take(&mut self.small).freeze());
        }
    }

    fn message<T: Framed>(&mut self, message: T) -> Result<(), Status> {
        let len = message.size();
        if MAX_MESSAGE_BYTES < len {
            return Err(Status::out_of_range(format!(
                "a message has {len} bytes; at most {MAX_MESSAGE_BYTES} may be sent"
            )));
        }
        // A buffer that grows is copied each time, were it for a byte more than usual.
        let usual = self.usual.next_power_of_two().min(LARGEST_SMALL);
        let expected = if self.small.is_empty() { usual } else { 0 };
        self.small.reserve(expected.max(PREFIX_BYTES));
        self.small.put_u8(0);
        self.small.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
        message.put(self).map_err(|error| Status::internal(error.to_string()))
    }
}

/// What one side sends, framed as gRPC has it.
///
/// Polls for messages only when everything before them was taken, so that it holds one at a time,
/// or a few small ones.
#[derive(Debug)]
struct Outgoing<S> {
    messages: Pin<Box<S>>,
    frames: Frames,
    ends_with: EndsWith,
    /// What is still to come once the frames are gone.
    rest: Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndsWith {
    Status,
    Nothing,
}

#[derive(Debug)]
enum Rest {
    Messages,
    End(Status),
    Nothing,
}

impl<T, S> Outgoing<S>
where
    T: Framed,
    S: Stream<Item = Result<T, Status>>,
{
    fn new(messages: S, ends_with: EndsWith, uncopied_from: usize) -> Self {
        Self {
            messages: Box::pin(messages),
            frames: Frames::new(uncopied_from),
            ends_with,
            rest: Rest::Messages,
        }
    }

    /// Encodes messages until there is something to send, or nothing more to encode.
    fn poll_gather(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while matches!(self.rest, Rest::Messages)
            && self.frames.ready.len() == 0
            && self.frames.small.len() < GATHERED
        {
            let encoded = match self.messages.as_mut().poll_next(context) {
                Poll::Ready(Some(message)) => {
                    message.and_then(|message| self.frames.message(message))
                }
                Poll::Ready(None) => Err(Status::ok("")),
                Poll::Pending if self.frames.small.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            };
            if let Err(status) = encoded {
                self.rest = Rest::End(status);
            }
        }
        self.frames.close();
        Poll::Ready(())
    }

    /// The last frame of all, if there is one.
    fn end<D>(&mut self) -> Option<Result<Frame<D>, Status>> {
        let Rest::End(status) = mem::replace(&mut self.rest, Rest::Nothing) else {
            return None;
        };
        match self.ends_with {
            EndsWith::Status => {
                let mut trailers = HeaderMap::new();
                Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
            }
            EndsWith::Nothing if status.code() == tonic::Code::Ok => None,
            EndsWith::Nothing => Some(Err(status)),
        }
    }
}

/// The body of a request: its messages. A frame is all that is ready, in the pieces in which it
/// lies, so that whoever takes a message in finds it in one piece.
#[derive(Debug)]
pub struct Requests<S>(Outgoing<S>);

impl<T, S> Requests<S>
where
    T: Framed,
    S: Stream<Item = Result<T, Status>>,
{
    /// An error among the messages cuts the request off.
    pub fn new(messages: S) -> Self {
        Self(Outgoing::new(messages, EndsWith::Nothing, LINKED_FROM))
    }
}

impl<T, S> Body for Requests<S>
where
    T: Framed,
    S: Stream<Item = Result<T, Status>>,
{
    type Data = Rope;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Rope>, Status>>> {
        ready!(self.0.poll_gather(context));
        let ready = mem::take(&mut self.0.frames.ready);
        Poll::Ready(if ready.len() == 0 { self.0.end() } else { Some(Ok(Frame::data(ready))) })
    }
}

/// The body of a response: its messages, up to the first error, and the status behind them. Of what
/// is ready each piece is a frame, since servers have bodies of that kind only.
#[derive(Debug)]
pub struct Answers<S>(Outgoing<S>);

impl<T, S> Answers<S>
where
    T: Framed,
    S: Stream<Item = Result<T, Status>>,
{
    /// The first error is the status.
    pub fn new(messages: S) -> Self {
        Self(Outgoing::new(messages, EndsWith::Status, FRAMED_FROM))
    }
}

impl<T, S> Body for Answers<S>
where
    T: Framed,
    S: Stream<Item = Result<T, Status>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        ready!(self.0.poll_gather(context));
        let next = match self.0.frames.ready.pop() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None => self.0.end(),
        };
        Poll::Ready(next)
    }
}
