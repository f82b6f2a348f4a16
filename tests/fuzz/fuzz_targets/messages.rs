//! One message of a peer, or what a coordinator stored, behind a byte that says which.

#![no_main]

use bytes::Bytes;
use cluster::MetadataImage;
use fuzz::{metadata, within};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tonic::{Code, Status};
use types::{Revision, TopicName};
use wire::convert::{
    broker_from_proto, broker_to_proto, config_entries, delta_from_proto, delta_to_proto,
    endpoint_from_proto, error_to_proto, error_to_remote, image_from_proto, image_to_proto,
    new_topic_from_proto, registration_from_proto, sixteen_bytes, topic_from_proto,
    topic_partition, topic_to_proto,
};
use wire::v1::{broker, coordinator, types as v1};
use wire::{from_status, to_status};

/// A message takes some times its bytes, never what it claims.
const MEMORY: usize = 8 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, message)) = bytes.split_first() else { return };
    let message = Bytes::copy_from_slice(message);
    within(MEMORY, || ask(*kind, message));
});

fn ask(kind: u8, message: Bytes) {
    match kind % 16 {
        0 => metadata::restore(&message),
        1 => decoded(message, watched),
        2 => decoded(message, topic),
        3 => decoded(message, |it: v1::Broker| {
            if let Ok(broker) = broker_from_proto(it) {
                assert_eq!(broker_from_proto(broker_to_proto(&broker)), Ok(broker));
            }
        }),
        4 => decoded(message, |it: coordinator::RegisterBrokerRequest| {
            registration_from_proto(it).ok();
        }),
        5 => decoded(message, |it: coordinator::CreateTopicsRequest| {
            it.topics.into_iter().for_each(|topic| drop(new_topic_from_proto(topic)));
        }),
        6 => decoded(message, |it: coordinator::AlterConfigsRequest| {
            TopicName::new(&it.topic).ok();
            config_entries(it.set);
        }),
        7 => decoded(message, produced),
        8 => decoded(message, |it: broker::FetchRequest| {
            for asked in it.partitions {
                named(&asked.topic, asked.partition);
            }
        }),
        9 => decoded(message, |it: broker::FetchStreamRequest| {
            for asked in it.assign {
                named(&asked.topic, asked.partition);
            }
        }),
        10 => decoded(message, |it: broker::ListOffsetsRequest| {
            for asked in it.partitions {
                named(&asked.topic, asked.partition);
            }
        }),
        11 => decoded(message, |it: broker::DescribeTopicsResponse| {
            it.topics.into_iter().filter_map(|found| found.topic).for_each(topic);
        }),
        12 => decoded(message, |it: broker::FetchResponse| {
            for fetched in it.partitions {
                failed(fetched.error);
                fuzz::batches::ask(&fetched.batches);
            }
        }),
        13 => decoded(message, |it: v1::BrokerEndpoint| drop(endpoint_from_proto(it))),
        14 => decoded(message, |it: v1::Error| failed(Some(it))),
        _ => status(message),
    }
}

fn decoded<M: Message + Default>(bytes: Bytes, act: impl FnOnce(M)) {
    if let Ok(message) = M::decode(bytes) {
        act(message);
    }
}

fn watched(message: coordinator::WatchMetadataResponse) {
    use coordinator::watch_metadata_response::Content;
    let revision = Revision::new(message.revision);
    match message.content {
        Some(Content::Snapshot(snapshot)) => {
            if let Ok(image) = image_from_proto(revision, snapshot) {
                assert_eq!(image_from_proto(revision, image_to_proto(&image)), Ok(image));
            }
        }
        Some(Content::Delta(delta)) => {
            if let Ok(delta) = delta_from_proto(delta) {
                assert_eq!(delta_from_proto(delta_to_proto(&delta)).as_ref(), Ok(&delta));
                MetadataImage::new().apply(revision, &delta).ok();
            }
        }
        None => {}
    }
}

fn topic(message: v1::Topic) {
    if let Ok(topic) = topic_from_proto(message) {
        assert_eq!(topic_from_proto(topic_to_proto(&topic)), Ok(topic));
    }
}

fn produced(message: broker::ProduceStreamRequest) {
    named(&message.topic, message.partition);
    record::Batch::split(message.batches, 1 << 20).ok();
}

fn named(topic: &str, partition: u32) {
    if let Ok(named) = topic_partition(topic, partition) {
        // A name that is taken is one that files and clients can bear.
        assert!(!named.topic.as_str().is_empty() && named.topic.as_str().len() <= 249);
        assert_eq!(TopicName::new(named.topic.as_str()), Ok(named.topic));
    }
    sixteen_bytes(topic.as_bytes(), "topic_id").ok();
}

fn failed(error: Option<v1::Error>) {
    if let Some(error) = error {
        let told = error_to_remote(error);
        assert_eq!(error_to_remote(error_to_proto(&told, told.leader.clone())), told);
    }
}

/// A status as a peer might send it, its details being any bytes.
fn status(details: Bytes) {
    let told = from_status(&Status::with_details(Code::Unavailable, "told", details));
    let again = from_status(&to_status(&told));
    assert_eq!(again.reason, told.reason);
}
