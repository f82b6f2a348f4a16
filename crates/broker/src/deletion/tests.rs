//! What may be deleted, over a real log.

use commit_log::{Append, AppendAt};
use replication::Acks;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::lease::Lease;
use crate::led_partition::{EPOCH, LedPartition, batch, led_partition};

fn deletion(led: &LedPartition) -> Deletion {
    Deletion::new(led.partitions.clone(), led.directory.downgrade())
}

/// Appends behind the leader's back: nothing of it is committed.
async fn append_uncommitted(led: &LedPartition) {
    let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let batches = vec![batch("a"), batch("b")];
    let append = Append { log: led.partition.key(), epoch: EPOCH, batches, at: AppendAt::End };
    led.directory.append(append, memory).await.unwrap();
}

#[tokio::test]
async fn j12_what_is_not_committed_cannot_be_deleted() {
    let (led, _task) = led_partition().await;
    append_uncommitted(&led).await;
    let name = led.partition.name();
    assert_eq!((led.partition.log().end().get(), led.partition.high_watermark().get()), (2, 0));

    let one = deletion(&led).delete(name, Before::Offset(Offset::new(1))).await.unwrap_err();
    assert_eq!(one.reason(), Reason::OffsetOutOfRange);
    let all = deletion(&led).delete(name, Before::HighWatermark).await.unwrap();
    assert_eq!(all, Offset::ZERO);
    assert_eq!(led.partition.log().log_start(), Offset::ZERO);
}

#[tokio::test]
async fn what_is_committed_is_deleted_and_no_request_brings_it_back() {
    let (led, task) = led_partition().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    for value in ["a", "b", "c"] {
        let answer = led.partition.submit(led.produce(value, Acks::All)).await.unwrap();
        answer.await.unwrap();
    }
    let (deletion, name) = (deletion(&led), led.partition.name());
    let mut starts = Vec::new();
    for before in [Before::Offset(Offset::new(2)), Before::Offset(Offset::new(1))] {
        starts.push(deletion.delete(name, before).await.unwrap().get());
    }
    starts.push(deletion.delete(name, Before::HighWatermark).await.unwrap().get());
    assert_eq!(starts, [2, 2, 3]);
    let read = led.partition.log().read(Offset::new(2), 1, Offset::MAX).unwrap_err();
    assert_eq!(read.reason(), Reason::OffsetOutOfRange);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn without_a_lease_nothing_is_deleted() {
    let (led, _task) = led_partition().await;
    led.lease.send_modify(Lease::revoke);
    let refused = deletion(&led).delete(led.partition.name(), Before::HighWatermark).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::NotLeaderOrFollower);
}
