//! Passes over a real log: where they go on, and what they leave behind.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use commit_log::{Append, AppendAt, LogConfig};
use futures::FutureExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use types::TopicName;

use super::memory::Memory;
use super::on_request::Requested;
use super::*;
use crate::led_partition::{EPOCH, LedPartition, batch, led_partition};
use crate::partitions::RoutingError;

/// Nothing here takes that long; a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);

/// Three sealed segments of one record each, and one that is not.
async fn three_sealed() -> LedPartition {
    let (led, _task) = led_partition().await;
    let key = led.partition.key();
    let config = LogConfig { segment_bytes: 1, ..LogConfig::default() };
    led.directory.configure(key, config).await.unwrap();
    for value in ["a", "b", "c", "d"] {
        let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let append =
            Append { log: key, epoch: EPOCH, batches: vec![batch(value)], at: AppendAt::End };
        led.directory.append(append, memory).await.unwrap();
    }
    led.directory.upkeep().await.unwrap();
    let sealed = async {
        while led.partition.log().sealed_segments().len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, sealed).await.unwrap();
    led
}

fn files(led: &LedPartition) -> Vec<PathBuf> {
    led.partition.log().sealed_segments().iter().map(|segment| segment.path().to_owned()).collect()
}

fn rot(file: &Path) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&[0xee], 65).unwrap();
}

fn everything() -> Asked {
    Asked { topics: BTreeSet::new(), bytes_per_second: None }
}

/// Which segments are known to be damaged.
fn damaged(scrubs: &Scrubs) -> Vec<u64> {
    scrubs.known().segments().into_iter().map(|(_, base)| base.get()).collect()
}

/// Runs the background until what it noted down fulfils `until`.
async fn keep(led: &LedPartition, scrubs: &Scrubs, until: impl Fn(&Memory) -> bool) -> Memory {
    let directory = led.background.0.path().to_owned();
    let partitions = led.partitions.clone();
    let background = Background::new(scrubs.clone(), partitions, directory.clone(), Some(HOUR));
    let leaving = CancellationToken::new();
    let task = tokio::spawn(background.keep(leaving.clone()));
    let noted = async {
        loop {
            let memory = Memory::load(&directory).unwrap();
            if until(&memory) {
                return memory;
            }
            tokio::task::yield_now().await;
        }
    };
    let memory = timeout(PATIENCE, noted).await.unwrap();
    leaving.cancel();
    task.await.unwrap();
    memory
}

#[tokio::test]
async fn a_pass_finds_what_is_damaged_and_a_start_finds_it_again() {
    let led = three_sealed().await;
    rot(&files(&led)[1]);
    let scrubs = led.scrubs();
    let memory = keep(&led, &scrubs, |memory| !memory.suspects.is_empty()).await;
    assert_eq!(damaged(&scrubs), [1]);
    assert_eq!(memory.suspects, scrubs.known().segments());
    assert!(memory.began.is_some());

    // The next pass is an hour away, and still.
    let next_life = led.scrubs();
    let memory = keep(&led, &next_life, |_| !damaged(&next_life).is_empty()).await;
    assert_eq!(damaged(&next_life), [1]);
    assert_eq!(memory.suspects, next_life.known().segments());
}

#[tokio::test]
async fn a_pass_goes_on_where_it_was() {
    let led = three_sealed().await;
    for file in [0, 2] {
        rot(&files(&led)[file]);
    }
    let directory = led.background.0.path();
    let at = Some((led.partition.key(), Offset::new(1)));
    let began = Some(led.clock.now());
    Memory { began, at, ..Memory::default() }.store(directory).unwrap();
    let scrubs = led.scrubs();
    let memory = keep(&led, &scrubs, |memory| memory.at.is_none()).await;
    assert_eq!(memory.began, began, "it is the same pass");
    assert_eq!(damaged(&scrubs), [2], "what it had read is read by the next");
    assert!(scrubs.known().of(led.partition.key()).unwrap().scrubbed.is_some());
}

#[tokio::test]
async fn whoever_asks_is_told_of_every_segment_and_of_what_is_damaged() {
    let led = three_sealed().await;
    rot(&files(&led)[2]);
    let scrubs = led.scrubs();
    let asked =
        || Asked { topics: [led.partition.name().topic.clone()].into(), bytes_per_second: None };
    let requested = scrubs.request(asked(), &led.partitions).unwrap();
    let second = scrubs.request(asked(), &led.partitions);
    assert!(matches!(second, Err(ScrubError::Busy)), "one at a time");

    let (tell, mut told) = tokio::sync::mpsc::channel(64);
    timeout(PATIENCE, requested.run(&tell)).await.unwrap().unwrap();
    drop(tell);
    let mut news = Vec::new();
    while let Some(told) = told.recv().await {
        news.push(told.unwrap());
    }
    let Told { progress, scrubbed, .. } = news.last().unwrap();
    assert_eq!(*scrubbed, Scrubbed::Wholly);
    assert_eq!((progress.segments_done, progress.segments), (3, 3));
    assert_eq!(progress.bytes_done, progress.bytes);
    let found: Vec<_> = news.into_iter().filter_map(|told| told.found).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].findings[0].offsets, Offset::new(2)..Offset::new(3));

    // That one is over, and nobody listens to the next: it ends by itself.
    let requested = scrubs.request(asked(), &led.partitions).unwrap();
    let (tell, told) = tokio::sync::mpsc::channel(1);
    drop(told);
    timeout(PATIENCE, requested.run(&tell)).await.unwrap().unwrap();
    scrubs.request(asked(), &led.partitions).unwrap();
}

#[tokio::test]
async fn whoever_waits_hears_that_it_goes_on() {
    let led = three_sealed().await;
    let scrubs = led.scrubs();
    let turn = scrubs.turn.acquire().await.unwrap();
    let requested = scrubs.request(everything(), &led.partitions).unwrap();
    let (tell, mut told) = tokio::sync::mpsc::channel::<Result<Told, ScrubError>>(4);
    let listen = async {
        for _ in 0..3 {
            let Told { progress, scrubbed, .. } = told.recv().await.unwrap().unwrap();
            assert_eq!((progress.segments_done, progress.segments), (0, 3));
            assert_eq!(scrubbed, Scrubbed::Partly);
        }
        drop(told);
    };
    let (ended, ()) =
        timeout(PATIENCE, async { tokio::join!(requested.run(&tell), listen) }).await.unwrap();
    ended.expect("nobody listens any more, that is all");
    drop(turn);
}

#[tokio::test]
async fn what_is_not_led_yet_is_not_said_to_be_sound() {
    let led = three_sealed().await;
    rot(&files(&led)[0]);
    let scrubs = led.scrubs();
    let run = async |requested: Requested| {
        let (tell, _told) = tokio::sync::mpsc::channel(64);
        timeout(PATIENCE, requested.run(&tell)).await.unwrap()
    };
    run(scrubs.request(everything(), &led.partitions).unwrap()).await.unwrap();
    assert_eq!(damaged(&scrubs), [0]);

    let requested = scrubs.request(everything(), &led.partitions).unwrap();
    led.leads_nothing();
    let ended = run(requested).await;
    assert!(matches!(ended, Err(ScrubError::Routing(RoutingError::NotLeading { .. }))));
    let refused = scrubs.request(everything(), &led.partitions);
    assert!(matches!(refused, Err(ScrubError::Routing(RoutingError::NotLeading { .. }))));
    assert_eq!(damaged(&scrubs), [0], "nor is it forgotten");
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_not_read() {
    let led = three_sealed().await;
    let topics = [TopicName::new("u").unwrap()].into();
    let refused = led.scrubs().request(Asked { topics, bytes_per_second: None }, &led.partitions);
    assert!(
        matches!(refused, Err(ScrubError::Routing(RoutingError::UnknownTopic { .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn appends_come_first_but_not_for_ever() {
    let led = three_sealed().await;
    let scrubs = led.scrubs();
    // A place in the queue that is taken is an append to come.
    let append = led.directory.slot().await.unwrap();
    assert_eq!(scrubs.give_way().now_or_never(), None);
    timeout(PATIENCE, scrubs.give_way()).await.expect("a load that never ends");
    drop(append);
    assert_eq!(scrubs.give_way().now_or_never(), Some(()));
}
