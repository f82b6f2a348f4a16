//! What `verify` finds, and that it finds nothing else.

use lake::LakePath;
use lake::avro::ContainerScan;
use sink::progress::Silent;
use sink::{Depth, Problem, verify};

use crate::faulty::{Fault, FaultyStore};
use crate::world::{World, run_id, settings, topic};

/// A lake whose one file has many blocks.
async fn one_file() -> (FaultyStore, LakePath) {
    let (world, store) = (World::new(1), FaultyStore::new());
    for n in 0..3 {
        world.append(0, Some(crate::world::event(1, n)));
    }
    let mut settings = settings();
    settings.files.block_bytes = 1;
    world.run_with(&store, &run_id(1), settings).await.unwrap();
    let files = store.files("events");
    assert_eq!(files.len(), 1);
    (store, files.into_iter().next().unwrap())
}

async fn problems(store: &FaultyStore, depth: Depth) -> Vec<Problem> {
    verify(store, &topic(), depth, &Silent).await.unwrap().problems
}

fn rows(bytes: &[u8]) -> Option<u64> {
    let mut scan = ContainerScan::new();
    scan.feed(bytes).ok()?;
    scan.finish().ok()
}

#[tokio::test]
async fn a_file_cut_at_a_block_boundary_is_found_though_every_reader_takes_it() {
    let (store, path) = one_file().await;
    assert!(problems(&store, Depth::Contents).await.is_empty());
    store.edit(&path, |bytes| {
        let boundary = (0..bytes.len()).rev().find(|length| rows(&bytes[..*length]).is_some());
        bytes.truncate(boundary.unwrap());
        assert_eq!(rows(bytes), Some(2), "the cut file is no valid container");
    });
    for depth in [Depth::Lengths, Depth::Contents] {
        assert!(matches!(problems(&store, depth).await[..], [Problem::Length { .. }]));
    }
}

#[tokio::test]
async fn a_changed_byte_is_found() {
    let (store, path) = one_file().await;
    store.edit(&path, |bytes| bytes[60] ^= 1);
    assert!(problems(&store, Depth::Lengths).await.is_empty());
    assert!(matches!(problems(&store, Depth::Contents).await[..], [Problem::Content { .. }]));
    store.edit(&path, |bytes| *bytes.last_mut().unwrap() ^= 1);
    assert!(matches!(problems(&store, Depth::Contents).await[..], [Problem::Rows { .. }]));
}

#[tokio::test]
async fn missing_and_extra_files_are_found_and_other_tools_markers_are_not() {
    use sink::store::{FileStore, FileWriter};
    let (store, path) = one_file().await;
    let directory = path.parent().unwrap();
    store.rename(&path, &directory.join("stranger.avro").unwrap()).await.unwrap();
    let marker = directory.join("_SUCCESS").unwrap();
    store.create(&marker).await.unwrap().close().await.unwrap();
    let found = problems(&store, Depth::Lengths).await;
    assert!(matches!(found[..], [Problem::Missing { .. }, Problem::Extra { .. }]), "{found:?}");
}

#[tokio::test]
async fn a_commit_that_is_not_published_yet_is_named() {
    let world = World::new(1);
    world.append_events(0, 5);
    let mut step = 0;
    // Killed at the first step that leaves a record in the log.
    let store = loop {
        let store = FaultyStore::new();
        store.fault(step, Fault::KillAfter);
        world.run(&store, &run_id(1)).await.unwrap_err();
        if !store.files("_state").is_empty() {
            break store.another_process();
        }
        step += 1;
    };
    assert!(matches!(
        problems(&store, Depth::Lengths).await[..],
        [Problem::Unpublished { seq: 0 }]
    ));
}

#[tokio::test]
async fn a_damaged_commit_record_is_found_and_stops_runs() {
    let (store, _) = one_file().await;
    let record = LakePath::new("_state/events/log/00000000000000000000.json").unwrap();
    store.edit(&record, |bytes| bytes.truncate(bytes.len() / 2));
    let found = problems(&store, Depth::Lengths).await;
    assert!(matches!(found[..], [Problem::DamagedRecord { seq: 0, .. }, Problem::Extra { .. }]));
    let world = World::new(1);
    assert!(matches!(world.run(&store, &run_id(2)).await, Err(sink::RunError::Record { .. })));
}
