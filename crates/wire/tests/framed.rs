//! Bodies of the data path against what stock gRPC sends and expects, byte by byte.

#![expect(clippy::unwrap_used, reason = "a test that fails may stop")]

use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, BufMut, Bytes, BytesMut};
use futures::executor::block_on;
use futures::stream::{self, Stream, StreamExt};
use http::{HeaderMap, HeaderValue};
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use proptest::prelude::*;
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};
use wire::framed::{Answers, Framed, Incoming, ProduceBatches, Requests};
use wire::transport::MAX_MESSAGE_BYTES;
use wire::v1::broker as v1;

fn payload(len: usize) -> Bytes {
    (0..len).map(|place| u8::try_from(place % 251).unwrap()).collect()
}

fn produce(id: u64, batches: Bytes) -> v1::ProduceStreamRequest {
    v1::ProduceStreamRequest {
        correlation_id: id,
        topic: "orders".to_owned(),
        partition: 7,
        acks: v1::Acks::All.into(),
        timeout_ms: 0,
        batches,
    }
}

fn fetched(batches: Bytes) -> v1::FetchedPartition {
    v1::FetchedPartition {
        topic: "orders".to_owned(),
        partition: 7,
        high_watermark: 500,
        batches,
        ..v1::FetchedPartition::default()
    }
}

/// A message as every gRPC implementation sends it.
fn stock<T: Message>(message: &T) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

/// What is at hand of a body's data, frame by frame.
fn data_of<B: http_body::Body<Error = Status>>(body: B) -> Vec<B::Data> {
    let mut body = pin!(body);
    let mut context = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        frames.extend(frame.unwrap().into_data().ok());
    }
    frames
}

fn ready<T>(messages: impl IntoIterator<Item = T>) -> impl Stream<Item = Result<T, Status>> {
    let messages: Vec<_> = messages.into_iter().map(Ok).collect();
    stream::iter(messages)
}

/// The frames of a response.
fn answers<T: Framed>(messages: impl IntoIterator<Item = T>) -> Vec<Bytes> {
    data_of(Answers::new(ready(messages)))
}

/// The frames of a request, each put together.
fn requests<T: Framed>(messages: impl IntoIterator<Item = T>) -> Vec<Bytes> {
    let frames = data_of(Requests::new(ready(messages)));
    frames.into_iter().map(|mut frame| frame.copy_to_bytes(frame.remaining())).collect()
}

/// The bytes in which both sides would send this, if they do.
fn bytes<T: Framed + Clone>(message: &T) -> Vec<u8> {
    let (sent, answered) = (requests([message.clone()]), answers([message.clone()]));
    assert_eq!(sent.concat(), answered.concat());
    assert!(sent.len() <= 1, "a request is in one frame");
    sent.concat()
}

fn body<E>(frames: impl Stream<Item = Result<Frame<Bytes>, E>> + Send + 'static) -> Body
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    Body::new(StreamBody::new(frames))
}

fn data(pieces: impl IntoIterator<Item = Bytes>) -> Vec<Result<Frame<Bytes>, Infallible>> {
    pieces.into_iter().map(|piece| Ok(Frame::data(piece))).collect()
}

fn request<T: Message + Default>(pieces: impl IntoIterator<Item = Bytes>) -> Incoming<T> {
    Incoming::of_request(&HeaderMap::new(), body(stream::iter(data(pieces)))).unwrap()
}

fn response<T: Message + Default>(
    pieces: impl IntoIterator<Item = Bytes>,
    trailers: Option<HeaderMap>,
) -> Incoming<T> {
    let mut frames = data(pieces);
    frames.extend(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
    Incoming::of_response(http::Response::new(body(stream::iter(frames)))).unwrap()
}

fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(code))])
}

/// All messages, and how they end.
fn read<T: Message + Default>(mut incoming: Incoming<T>) -> (Vec<T>, Option<Status>) {
    let mut messages = Vec::new();
    loop {
        match block_on(incoming.message()) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(status) => {
                assert!(block_on(incoming.next()).is_none(), "nothing follows an error");
                return (messages, Some(status));
            }
        }
    }
}

fn refusal<T: Message + Default>(incoming: Incoming<T>) -> Code {
    let (messages, end) = read(incoming);
    assert!(messages.is_empty());
    end.unwrap().code()
}

const SIZES: [usize; 8] = [0, 1, 1_000, 8 * 1024 - 1, 8 * 1024, 32 * 1024 - 1, 32 * 1024, 1 << 20];

#[test]
fn what_goes_out_is_what_stock_code_sends() {
    for size in SIZES {
        let batches = || payload(size);
        let request = produce(u64::MAX, batches());
        assert_eq!(bytes(&request), stock(&request));

        let head = produce(u64::MAX, Bytes::new());
        let cut = |at: usize| batches().split_off(at.min(size));
        let pieces = vec![batches().slice(..size.min(9_000)), Bytes::new(), cut(9_000)];
        assert_eq!(bytes(&ProduceBatches { head, batches: pieces }), stock(&request));

        let pushed = v1::FetchStreamResponse { partition: Some(fetched(batches())) };
        assert_eq!(bytes(&pushed), stock(&pushed));

        let partitions = vec![fetched(batches()), fetched(Bytes::new()), fetched(batches())];
        let answer = v1::FetchResponse { partitions };
        assert_eq!(bytes(&answer), stock(&answer));
    }
    let nothing = v1::FetchStreamResponse { partition: None };
    assert_eq!(bytes(&nothing), stock(&nothing));
    let credit = v1::FetchStreamRequest { credit_bytes: 5, ..Default::default() };
    assert_eq!(bytes(&credit), stock(&credit));
    let answer = v1::ProduceStreamResponse { base_offset: Some(0), ..Default::default() };
    assert_eq!(bytes(&answer), stock(&answer));
    let answer = v1::ProduceResponse { base_offset: Some(0), ..Default::default() };
    assert_eq!(bytes(&answer), stock(&answer));
}

#[test]
fn a_large_payload_is_copied_neither_out_nor_in() {
    let batches = payload(1 << 20);
    let sent = answers([produce(1, batches.clone())]);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].as_ptr(), batches.as_ptr());
    let (messages, end) = read::<v1::ProduceStreamRequest>(request(sent));
    assert!(end.is_none());
    assert_eq!(messages[0].batches.as_ptr(), batches.as_ptr());
}

#[test]
fn the_pieces_of_a_request_are_not_copied_and_arrive_as_one() {
    let pieces = [payload(8 * 1024), payload(100_000)];
    let head = produce(1, Bytes::new());
    let message = ProduceBatches { head, batches: pieces.to_vec() };
    let mut sent = data_of(Requests::new(ready([message])));
    assert_eq!(sent.len(), 1);
    let mut slices = [IoSlice::new(&[]); 8];
    assert_eq!(sent[0].chunks_vectored(&mut slices), 3);
    assert_eq!(slices[1].as_ptr(), pieces[0].as_ptr());
    assert_eq!(slices[2].as_ptr(), pieces[1].as_ptr());

    let remaining = sent[0].remaining();
    let (messages, _) =
        read::<v1::ProduceStreamRequest>(request([sent[0].copy_to_bytes(remaining)]));
    assert_eq!(messages, [produce(1, Bytes::from(pieces.concat()))]);
}

#[test]
fn small_messages_that_are_ready_together_are_sent_together_up_to_a_bound() {
    let messages = || (0..100).map(|id| produce(id, payload(4_000)));
    for sent in [answers(messages()), requests(messages())] {
        assert!(sent.len() < 10, "{}", sent.len());
        assert!(sent.iter().all(|frame| frame.len() < 70_000));
        assert_eq!(read::<v1::ProduceStreamRequest>(request(sent)).0.len(), 100);
    }
}

#[test]
fn what_is_ready_does_not_wait_for_what_is_not() {
    let messages = stream::iter([Ok(produce(1, payload(10)))]).chain(stream::pending());
    let mut body = pin!(Answers::new(messages));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) else {
        panic!("the first message is held back");
    };
    assert_eq!(frame.into_data().unwrap(), stock(&produce(1, payload(10))));
    assert!(body.as_mut().poll_frame(&mut context).is_pending());
}

#[test]
fn an_answer_ends_with_its_status_behind_what_was_answered_before() {
    let answer = v1::ProduceStreamResponse { correlation_id: 5, ..Default::default() };
    let after = |end: Option<Status>| {
        let messages = [Ok(answer.clone())].into_iter().chain(end.map(Err));
        let messages: Vec<Result<_, Status>> = messages.collect();
        let response = http::Response::new(Body::new(Answers::new(stream::iter(messages))));
        read(Incoming::<v1::ProduceStreamResponse>::of_response(response).unwrap())
    };
    let (messages, end) = after(None);
    assert_eq!((messages, end.is_none()), (vec![answer.clone()], true));
    let (messages, end) = after(Some(Status::aborted("why")));
    let end = end.unwrap();
    assert_eq!((messages, end.code(), end.message()), (vec![answer.clone()], Code::Aborted, "why"));
}

#[test]
fn a_message_too_large_is_not_sent() {
    let message = produce(1, Bytes::from(vec![0; MAX_MESSAGE_BYTES]));
    let mut body = pin!(Requests::new(ready([message])));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Err(status))) = body.as_mut().poll_frame(&mut context) else {
        panic!("it is sent");
    };
    assert_eq!(status.code(), Code::OutOfRange);
}

proptest! {
    #[test]
    fn messages_arrive_however_their_bytes_are_cut(
        sizes in prop::collection::vec(prop_oneof![0..50_usize, 30_000..40_000_usize], 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let sent: Vec<_> = (0..).zip(sizes).map(|(id, size)| produce(id, payload(size))).collect();
        let mut rest = Bytes::from(requests(sent.clone()).concat());
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(rest.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        for cut in cuts.into_iter().rev() {
            pieces.push(rest.split_off(cut.min(rest.len())));
        }
        pieces.push(rest);
        pieces.reverse();
        let (arrived, end) = read::<v1::ProduceStreamRequest>(request(pieces));
        prop_assert!(end.is_none());
        prop_assert_eq!(arrived, sent);
    }

    #[test]
    fn bytes_that_are_no_messages_are_refused_and_nothing_else(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
    ) {
        let (_, end) = read::<v1::ProduceStreamRequest>(request(pieces.into_iter().map(Bytes::from)));
        if let Some(end) = end {
            prop_assert!(matches!(end.code(), Code::Internal | Code::OutOfRange));
        }
    }
}

/// A field of a message with a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(value.len(), &mut bytes).unwrap();
    bytes.extend(value);
    bytes
}

fn message(fields: &[Vec<u8>]) -> Bytes {
    let message = fields.concat();
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap());
    bytes.extend(message);
    bytes.freeze()
}

#[test]
fn fields_may_come_in_any_order_repeated_and_unknown() {
    let sent = message(&[
        field(15, &payload(40_000)),
        // Number 14 is nobody's yet; a varint, 64 bits and a group of the same are skipped too.
        field(14, b"unknown"),
        vec![14 << 3, 0x80, 1],
        [&[14 << 3 | 1][..], &[9; 8]].concat(),
        vec![14 << 3 | 3, 1 << 3, 5, 14 << 3 | 4],
        field(2, b"first"),
        field(15, b"the last one wins"),
        vec![1 << 3, 9],
        field(2, b"orders"),
    ]);
    let (arrived, end) = read::<v1::ProduceStreamRequest>(request([sent]));
    assert!(end.is_none());
    let expected = v1::ProduceStreamRequest {
        correlation_id: 9,
        topic: "orders".to_owned(),
        batches: Bytes::from_static(b"the last one wins"),
        ..Default::default()
    };
    assert_eq!(arrived, [expected]);
}

#[test]
fn a_partition_that_is_sent_in_parts_is_put_together() {
    let first = v1::FetchedPartition { topic: "orders".into(), ..Default::default() };
    let second = v1::FetchedPartition { batches: payload(99), ..Default::default() };
    let parts = [field(15, &first.encode_to_vec()), field(15, &second.encode_to_vec())];
    let (arrived, _) =
        read::<v1::FetchStreamResponse>(response([message(&parts)], Some(status("0"))));
    let whole = v1::FetchedPartition { topic: "orders".into(), ..second };
    assert_eq!(arrived, [v1::FetchStreamResponse { partition: Some(whole) }]);
}

#[test]
fn compressed_messages_are_refused() {
    let of = |encoding: &'static str| {
        let encoding = HeaderValue::from_static(encoding);
        let headers = HeaderMap::from_iter([("grpc-encoding".parse().unwrap(), encoding)]);
        Incoming::<v1::ProduceStreamRequest>::of_request(&headers, Body::empty())
    };
    let refused = of("gzip").unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(refused.metadata().get("grpc-accept-encoding").unwrap(), "identity");
    assert!(of("identity").is_ok());
    for flag in [1, 2, 255] {
        let mut marked = stock(&produce(1, payload(5))).to_vec();
        marked[0] = flag;
        let marked = [Bytes::from(marked)];
        assert_eq!(refusal::<v1::ProduceStreamRequest>(request(marked)), Code::Internal);
    }
}

#[test]
fn half_a_message_is_an_error_in_either_direction() {
    let whole = stock(&produce(1, payload(100)));
    for len in [1, 4, 5, 6, whole.len() - 1] {
        let half = || [whole.slice(..len)];
        assert_eq!(refusal::<v1::ProduceStreamRequest>(request(half())), Code::Internal, "{len}");
        let answered = response::<v1::ProduceStreamRequest>(half(), Some(status("0")));
        assert_eq!(refusal(answered), Code::Internal, "{len}");
    }
}

#[test]
fn a_message_too_large_is_refused_when_it_is_announced() {
    let mut announced = BytesMut::new();
    announced.put_u8(0);
    announced.put_u32(u32::try_from(MAX_MESSAGE_BYTES + 1).unwrap());
    let frames = stream::iter(data([announced.freeze()])).chain(stream::pending());
    let requests = Incoming::of_request(&HeaderMap::new(), body(frames)).unwrap();
    assert_eq!(refusal::<v1::ProduceStreamRequest>(requests), Code::OutOfRange);
}

#[test]
fn a_client_that_hangs_up_has_sent_all_it_ever_will() {
    let sent: Vec<Result<_, Status>> = vec![
        Ok(Frame::data(stock(&produce(1, payload(5))))),
        Ok(Frame::data(Bytes::from_static(&[0, 0]))),
        Err(Status::cancelled("")),
    ];
    let requests = Incoming::of_request(&HeaderMap::new(), body(stream::iter(sent))).unwrap();
    let (arrived, end) = read(requests);
    assert_eq!((arrived, end.is_none()), (vec![produce(1, payload(5))], true));
}

#[test]
fn an_answer_without_a_status_was_cut_off() {
    let whole = || [stock(&produce(1, payload(5)))];
    let (arrived, end) = read(response::<v1::ProduceStreamRequest>(whole(), None));
    assert_eq!((arrived.len(), end.unwrap().code()), (1, Code::Unknown));
    let (_, end) = read(response::<v1::ProduceStreamRequest>(whole(), Some(HeaderMap::new())));
    assert_eq!(end.unwrap().code(), Code::Unknown);
    let (_, end) = read(response::<v1::ProduceStreamRequest>(whole(), Some(status("14"))));
    assert_eq!(end.unwrap().code(), Code::Unavailable);
}

#[test]
fn an_answer_that_is_refused_at_once_says_so_in_its_first_headers() {
    let of = |headers: HeaderMap, code: u16| {
        let mut response = http::Response::new(Body::empty());
        *response.headers_mut() = headers;
        *response.status_mut() = code.try_into().unwrap();
        Incoming::<v1::ProduceStreamResponse>::of_response(response)
    };
    assert_eq!(of(status("12"), 200).unwrap_err().code(), Code::Unimplemented);
    let (messages, end) = read(of(status("0"), 200).unwrap());
    assert!(messages.is_empty() && end.is_none());
    assert_eq!(refusal(of(HeaderMap::new(), 503).unwrap()), Code::Unavailable);
}
