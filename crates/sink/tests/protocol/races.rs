//! Several runs at once, paused where it hurts.

use std::sync::Arc;
use std::time::Duration;

use lake::LakePath;
use lake::plan::Limits;
use sink::store::Operation;
use sink::{Report, RunError, Settings};
use tokio::task::JoinHandle;

use crate::faulty::{Fault, FaultyStore, Gate};
use crate::world::{World, assert_landed_exactly, assert_sound, old_run_id, run_id, settings};

fn at_commit(operation: Operation, path: &LakePath) -> bool {
    operation == Operation::Rename && path.name().starts_with("commit-")
}

fn at_publish(operation: Operation, path: &LakePath) -> bool {
    operation == Operation::MakeDirectories && path.as_str().starts_with("events/")
}

fn at_commit_and_publish(operation: Operation, path: &LakePath) -> bool {
    at_commit(operation, path) || at_publish(operation, path)
}

fn at_second_file(operation: Operation, path: &LakePath) -> bool {
    operation == Operation::Rename && path.name() == "0-000002.avro"
}

fn at_collection(operation: Operation, path: &LakePath) -> bool {
    let parent = path.parent();
    operation == Operation::Rename && parent.is_some_and(|it| it.as_str() == "_staging/events")
}

fn at_staging(operation: Operation, path: &LakePath) -> bool {
    operation == Operation::MakeDirectories && path.as_str().starts_with("_staging/")
}

/// A run in a process of its own, that stops where the gate says.
struct Paused {
    gate: Arc<Gate>,
    store: FaultyStore,
    run: JoinHandle<Result<Report, RunError>>,
}

impl Paused {
    async fn at(
        world: &World,
        store: &FaultyStore,
        run: lake::RunId,
        settings: Settings,
        stop_at: fn(Operation, &LakePath) -> bool,
    ) -> Self {
        let (world, store) = (world.clone(), store.another_process());
        let gate = store.gate(stop_at);
        let of_task = store.clone();
        let run = tokio::spawn(async move { world.run_with(&of_task, &run, settings).await });
        gate.reached().await;
        Self { gate, store, run }
    }

    async fn go_on(self) -> Result<Report, RunError> {
        self.gate.open();
        self.run.await.unwrap()
    }
}

/// Looks after the lake, and finds nothing to land.
fn idle() -> Settings {
    Settings { limits: Limits { max_records_per_partition: Some(0) }, ..settings() }
}

fn twenty() -> (World, FaultyStore) {
    let world = World::new(2);
    world.append_events(0, 20);
    (world, FaultyStore::new())
}

#[tokio::test]
async fn of_two_runs_at_once_one_wins_and_the_other_is_fenced() {
    let (world, store) = twenty();
    let one = Paused::at(&world, &store, run_id(1), settings(), at_commit).await;
    let other = Paused::at(&world, &store, run_id(2), settings(), at_commit).await;
    let (one, other) = tokio::join!(other.go_on(), one.go_on());
    let (won, lost) = if one.is_ok() { (one, other) } else { (other, one) };
    assert!(won.unwrap().committed.is_some());
    let lost = lost.unwrap_err();
    assert!(lost.is_fenced(), "{lost}");
    assert_landed_exactly(&store, 20, "after the race");
    assert_sound(&store, "after the race").await;
    assert_eq!(store.files("_staging"), []);
}

#[tokio::test]
async fn a_zombie_that_wakes_before_its_commit_is_fenced() {
    let (world, store) = twenty();
    let zombie = Paused::at(&world, &store, run_id(1), settings(), at_commit).await;
    world.run(&store, &run_id(2)).await.unwrap();
    world.append_events(20, 30);
    world.run(&store, &run_id(3)).await.unwrap();
    assert!(zombie.go_on().await.unwrap_err().is_fenced());
    assert_landed_exactly(&store, 30, "after the zombie");
    assert_sound(&store, "after the zombie").await;
}

#[tokio::test]
async fn a_zombie_and_its_successor_may_both_publish() {
    for stop_at in [at_publish, at_second_file] {
        let (world, store) = twenty();
        let zombie = Paused::at(&world, &store, run_id(1), settings(), stop_at).await;
        world.append_events(20, 30);
        let successor = world.run(&store.another_process(), &run_id(2)).await.unwrap();
        assert_eq!(successor.recovered.published, [0]);
        assert_landed_exactly(&store, 30, "before the zombie wakes");
        zombie.go_on().await.unwrap();
        assert_landed_exactly(&store, 30, "after the zombie");
        assert_sound(&store, "after the zombie").await;
    }
}

#[tokio::test]
async fn files_that_were_compacted_since_do_not_trouble_a_zombie() {
    let (world, store) = twenty();
    let zombie = Paused::at(&world, &store, run_id(1), settings(), at_publish).await;
    world.run(&store.another_process(), &run_id(2)).await.unwrap();
    for path in store.files("events") {
        sink::store::FileStore::delete(&store, &path).await.unwrap();
    }
    zombie.go_on().await.unwrap();
    assert_eq!(store.files("events"), []);
}

#[tokio::test]
async fn c6_a_run_whose_staging_was_collected_cannot_commit() {
    let (world, store) = twenty();
    // It passed its own age check and was then paused for two days.
    let zombie = Paused::at(&world, &store, old_run_id(1), settings(), at_commit).await;
    let collector = world.run_with(&store.another_process(), &run_id(2), idle()).await.unwrap();
    assert_eq!(collector.recovered.collected.len(), 1);
    let fenced = zombie.go_on().await.unwrap_err();
    assert!(matches!(fenced, RunError::Collected { .. }), "{fenced}");
    assert!(store.files("_state").is_empty(), "offsets without data");
    world.run(&store, &run_id(3)).await.unwrap();
    assert_landed_exactly(&store, 20, "after the collection");
}

#[tokio::test]
async fn c6_a_run_that_commits_while_it_is_being_collected_keeps_its_files() {
    let (world, store) = twenty();
    let run = old_run_id(1);
    let zombie = Paused::at(&world, &store, run, settings(), at_commit_and_publish).await;
    let collector = Paused::at(&world, &store, run_id(2), idle(), at_collection).await;
    // The collector has looked at the log; now the commit is made.
    zombie.gate.pass();
    zombie.gate.reached().await;
    collector.go_on().await.unwrap();
    zombie.go_on().await.unwrap();
    assert_landed_exactly(&store, 20, "after both");
    assert_sound(&store, "after both").await;
}

#[tokio::test]
async fn c6_a_collector_that_dies_half_way_costs_a_committed_run_nothing() {
    for zombie_wakes in [true, false] {
        let (world, store) = twenty();
        let run = old_run_id(1);
        let zombie = Paused::at(&world, &store, run, settings(), at_commit_and_publish).await;
        let collector = Paused::at(&world, &store, run_id(2), idle(), at_collection).await;
        zombie.gate.pass();
        zombie.gate.reached().await;
        collector.store.fault(collector.store.operations(), Fault::KillAfter);
        collector.go_on().await.unwrap_err();
        assert!(!store.files("_trash").is_empty());
        if zombie_wakes {
            zombie.go_on().await.unwrap();
        } else {
            zombie.run.abort();
            world.run(&store.another_process(), &run_id(3)).await.unwrap();
        }
        assert_landed_exactly(&store, 20, "after both");
        assert_sound(&store, "after both").await;
    }
}

#[tokio::test]
async fn a_run_that_took_too_long_refuses_to_commit() {
    let (world, store) = twenty();
    let settings = Settings { max_run_time: Duration::ZERO, ..settings() };
    let error = world.run_with(&store, &run_id(1), settings).await.unwrap_err();
    assert!(matches!(error, RunError::TooOld { .. }), "{error}");
    assert!(store.files("_state").is_empty() && store.files("_staging").is_empty());
}

#[tokio::test]
async fn what_was_read_of_a_topic_that_was_made_anew_meanwhile_is_not_committed() {
    let (world, store) = twenty();
    let paused = Paused::at(&world, &store, run_id(1), settings(), at_staging).await;
    world.recreate();
    let refused = paused.go_on().await.unwrap_err();
    assert!(matches!(refused, RunError::RecreatedMeanwhile { .. }), "{refused:?}");
    assert_landed_exactly(&store, 0, "under the old topic's id");
    world.run(&store, &run_id(2)).await.unwrap();
    assert_landed_exactly(&store, 20, "under the new one's");
}
