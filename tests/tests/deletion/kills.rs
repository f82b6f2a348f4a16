//! `kill -9` right behind the answer.

use client::OnOutOfRange;
use tokio::task::block_in_place;

use crate::numbered::{Numbered, next};

#[tokio::test(flavor = "multi_thread")]
async fn j7_what_was_answered_as_deleted_stays_deleted_and_nothing_else_goes() {
    for settings in ["", " -c durability=page-cache"] {
        let mut numbered = Numbered::start(settings).await;
        let mut begins = 0;
        for round in 0..8 {
            numbered.produce(300).await;
            // Within a segment, at its end, and all there is.
            let before = match round % 3 {
                0 => begins + 171,
                1 => numbered.acknowledged - 1,
                _ => numbered.acknowledged,
            };
            assert_eq!(numbered.delete(before).await, before);
            numbered.cluster.kill_broker();
            block_in_place(|| numbered.restart_broker());
            begins = before;
            assert_eq!(numbered.earliest().await, begins, "round {round}");

            // What is left is there, and offsets go on: `produce` checks each.
            numbered.produce(1).await;
            let mut consumer = numbered.consumer(0, OnOutOfRange::Earliest).await;
            let mut seen = Vec::new();
            while seen.last() != Some(&(numbered.acknowledged - 1)) {
                seen.extend(next(&mut consumer).await);
            }
            assert!(seen.into_iter().eq(begins..numbered.acknowledged), "round {round}");
        }
    }
}
