use std::time::Duration;

use e2e::Cluster;
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::history::check;
use crate::random::Random;
use crate::writers::{PATIENCE, connect, create, ends, read_along, write};

const WRITERS: u64 = 4;
const KILLS: u64 = 40;

/// Whom a round kills.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Broker,
    Coordinator,
    Both,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_there_once_in_order_and_in_place_however_often_they_are_killed() {
    let (seed, mut random) = Random::seeded();
    say(&format!("to repeat: DOHLE_SEED={seed}"));
    let mut cluster = block_in_place(Cluster::start);
    let client = connect(cluster.broker_address()).await;
    // Small segments, so that kills fall between them too.
    let synced = create(&client, "synced", 8, &[("segment.bytes", "65536")]).await;
    let cached = [("segment.bytes", "65536"), ("durability", "page-cache")];
    let cached = create(&client, "cached", 8, &cached).await;
    let partitions = [synced, cached].concat();

    let (acked, mut acks) = watch::channel(0);
    let (tell_ends, known_ends) = watch::channel(None);
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let client = connect(cluster.broker_address()).await;
        let (acked, stop) = (acked.clone(), stop.clone());
        writers.spawn(write(client, writer, partitions.clone(), acked, stop));
    }
    let reader = connect(cluster.broker_address()).await;
    let reader = tokio::spawn(read_along(reader, partitions.clone(), known_ends));

    for round in 0..KILLS {
        let victim = match round % 5 {
            0..3 => Victim::Broker,
            3 => Victim::Coordinator,
            _ => Victim::Both,
        };
        // Now and then, right after the start.
        let more = if random.below(6) == 0 { 0 } else { 100 + random.below(10_000) };
        let target = *acks.borrow() + more;
        let came = timeout(PATIENCE, acks.wait_for(|count| target <= *count)).await;
        came.unwrap_or_else(|_| panic!("round {round}, {victim:?}: no acknowledgements")).unwrap();
        // The moment after an acknowledgement is no random one.
        sleep(Duration::from_micros(random.below(20_000))).await;
        block_in_place(|| kill(&mut cluster, victim));
        if !matches!(victim, Victim::Coordinator) {
            // Some starts do not come to their end either: those replay, cut and begin a journal.
            for _ in 0..random.below(3) {
                let after = Duration::from_micros(random.below(80_000));
                block_in_place(|| cluster.kill_broker_while_it_starts(after));
            }
        }
        block_in_place(|| cluster.restart());
    }
    let target = *acks.borrow() + 1000;
    timeout(PATIENCE, acks.wait_for(|count| target <= *count)).await.unwrap().unwrap();
    stop.cancel();
    let written = timeout(PATIENCE, writers.join_all()).await.unwrap().concat();

    let ends = ends(&client, &partitions).await;
    tell_ends.send_replace(Some(ends));
    let along = timeout(PATIENCE, reader).await.unwrap().unwrap();
    let read = read_along(client, partitions, tell_ends.subscribe());
    let read = timeout(PATIENCE, read).await.unwrap();
    say(&format!("{} records", written.len()));
    check(&written, &read);
    assert!(along == read, "whoever read along saw what is not there, or not all of it");
}

fn kill(cluster: &mut Cluster, victim: Victim) {
    match victim {
        Victim::Broker => cluster.kill_broker(),
        Victim::Coordinator => cluster.kill_coordinator(),
        Victim::Both => {
            cluster.kill_coordinator();
            cluster.kill_broker();
        }
    }
}

#[expect(clippy::print_stdout, reason = "a failing run has to say how to repeat it")]
fn say(what: &str) {
    println!("{what}");
}
