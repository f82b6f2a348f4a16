use bytes::Bytes;
use record::Compression;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use wire::v1::broker::{
    Acks, FetchStreamRequest, FetchStreamResponse, FetchedPartition, ProduceStreamRequest,
    StreamedPartition,
};

use crate::cluster::{Broker, Cluster, PATIENCE, batch, partition_at, reason, records};

fn pipelined(correlation_id: u64, topic: &str, batches: Bytes) -> ProduceStreamRequest {
    ProduceStreamRequest {
        correlation_id,
        topic: topic.to_owned(),
        acks: Acks::All.into(),
        batches,
        ..ProduceStreamRequest::default()
    }
}

#[tokio::test]
async fn pipelined_produces_are_appended_in_the_order_sent() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let sent = (0..200)
        .map(|id| pipelined(id, "t", batch(Compression::None, &[&id.to_string()])))
        .collect::<Vec<_>>();
    let answers = broker.data.produce_stream(tokio_stream::iter(sent)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut count = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!((answer.error, answer.base_offset), (None, Some(answer.correlation_id)));
        count += 1;
    }
    assert_eq!(count, 200, "everyone is answered before the stream ends");
    broker.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_refused_produce_does_not_end_its_stream() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let good = || batch(Compression::None, &["a"]);
    let mut bad = good().to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let sent = [
        pipelined(1, "t", bad.into()),
        pipelined(2, "nobody", good()),
        pipelined(3, "no/topic", good()),
        pipelined(4, "t", good()),
    ];
    let answers = broker.data.produce_stream(tokio_stream::iter(sent)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut told = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        let outcome = answer.error.map_or("appended".to_owned(), |error| error.reason);
        told.push((answer.correlation_id, outcome));
    }
    told.sort_unstable();
    let expected = [
        (1, "CORRUPT_MESSAGE"),
        (2, "UNKNOWN_TOPIC_OR_PARTITION"),
        (3, "INVALID_TOPIC_EXCEPTION"),
        (4, "appended"),
    ];
    assert_eq!(told, expected.map(|(id, outcome)| (id, outcome.to_owned())));
}

/// A fetch stream and the client's side of it.
struct Reader {
    orders: mpsc::Sender<FetchStreamRequest>,
    answers: Streaming<FetchStreamResponse>,
}

impl Reader {
    async fn open(broker: &mut Broker) -> Self {
        let (orders, sent) = mpsc::channel(4);
        let answers = broker.data.fetch_stream(ReceiverStream::new(sent)).await.unwrap();
        Self { orders, answers: answers.into_inner() }
    }

    async fn read_from(&self, topic: &str, offset: u64, credit_bytes: u64) {
        let assign = vec![partition_at(topic, offset)];
        self.order(FetchStreamRequest { assign, credit_bytes, ..FetchStreamRequest::default() })
            .await;
    }

    async fn grant(&self, credit_bytes: u64) {
        self.order(FetchStreamRequest { credit_bytes, ..FetchStreamRequest::default() }).await;
    }

    async fn order(&self, request: FetchStreamRequest) {
        self.orders.send(request).await.unwrap();
    }

    async fn next(&mut self) -> FetchedPartition {
        let answer = timeout(PATIENCE, self.answers.message()).await.unwrap().unwrap();
        answer.unwrap().partition.unwrap()
    }
}

#[tokio::test]
async fn a_stream_delivers_what_is_there_and_then_what_comes() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a", "b"]).await;
    let mut reader = Reader::open(&mut broker).await;
    reader.read_from("t", 0, 1_000_000).await;
    assert_eq!(records(&reader.next().await.batches), [(0, "a".into()), (1, "b".into())]);
    for (offset, value) in [(2, "c"), (3, "d")] {
        broker.produce("t", Acks::All, &[value]).await;
        assert_eq!(records(&reader.next().await.batches), [(offset, value.to_owned())]);
    }
    drop(reader);
    broker.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_stream_sends_no_more_than_was_granted_but_always_a_whole_batch() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    for value in ["a", "b", "c"] {
        broker.produce("t", Acks::All, &[value]).await;
    }
    let one = broker.fetch("t", 2, std::time::Duration::ZERO).await.batches.len();
    let mut reader = Reader::open(&mut broker).await;
    // Less than one batch: it comes alone.
    reader.read_from("t", 0, 1).await;
    assert_eq!(records(&reader.next().await.batches), [(0, "a".to_owned())]);
    // Exactly one more, though two are there.
    reader.grant(one as u64).await;
    assert_eq!(records(&reader.next().await.batches), [(1, "b".to_owned())]);
    reader.grant(1).await;
    assert_eq!(records(&reader.next().await.batches), [(2, "c".to_owned())]);
}

#[tokio::test]
async fn a_stream_seeks_and_stops_reading_as_it_is_told() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a"]).await;
    broker.produce("u", Acks::All, &["x"]).await;
    let mut reader = Reader::open(&mut broker).await;
    reader.read_from("t", 0, 1_000_000).await;
    assert_eq!(records(&reader.next().await.batches), [(0, "a".to_owned())]);
    reader.read_from("t", 0, 0).await;
    assert_eq!(records(&reader.next().await.batches), [(0, "a".to_owned())]);

    let unassign = vec![StreamedPartition { topic: "t".to_owned(), partition: 0 }];
    let order = FetchStreamRequest {
        unassign,
        assign: vec![partition_at("u", 0)],
        ..FetchStreamRequest::default()
    };
    reader.order(order).await;
    assert_eq!(reader.next().await.topic, "u");
    broker.produce("t", Acks::All, &["unseen"]).await;
    broker.produce("u", Acks::All, &["y"]).await;
    assert_eq!(records(&reader.next().await.batches), [(1, "y".to_owned())]);
}

#[tokio::test]
async fn one_partition_that_fails_does_not_end_the_stream() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a"]).await;
    let mut reader = Reader::open(&mut broker).await;
    reader.read_from("t", 9, 1_000_000).await;
    assert_eq!(reason(reader.next().await.error.as_ref()), "OFFSET_OUT_OF_RANGE");
    reader.read_from("t", 0, 0).await;
    assert_eq!(records(&reader.next().await.batches), [(0, "a".to_owned())]);
}

#[tokio::test]
async fn a_stopping_broker_ends_its_streams_with_the_reason() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a"]).await;
    let mut reader = Reader::open(&mut broker).await;
    reader.read_from("t", 0, 1_000_000).await;
    reader.next().await;
    broker.stop().await;
    let status = timeout(PATIENCE, reader.answers.message()).await.unwrap().unwrap_err();
    assert_eq!(wire::from_status(&status).reason, types::Reason::ShuttingDown, "{status}");
}
