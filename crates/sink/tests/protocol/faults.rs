//! Whatever one run meets at whichever of its steps, the next one leaves every record in the lake
//! exactly once.

use lake::LakePath;
use lake::commit::CommitRecord;
use proptest::prelude::*;
use sink::RunError;
use sink::store::{FileStore, FileWriter};

use crate::faulty::{Fault, FaultyStore};
use crate::world::{World, assert_landed_exactly, assert_sound, old_run_id, run_id, settings};

const EVENTS: i64 = 30;

const KILLS: [Fault; 2] = [Fault::KillBefore, Fault::KillAfter];
const LOSSES: [Fault; 2] = [Fault::LoseReply, Fault::LoseRequest];

/// A lake that an earlier run has landed ten events in, and a world that has more.
async fn half_way() -> (World, FaultyStore) {
    let (world, store) = (World::new(2), FaultyStore::new());
    world.append_events(0, 10);
    world.run(&store, &old_run_id(1)).await.unwrap();
    world.append_events(10, EVENTS);
    (world, store.another_process())
}

/// How many operations the second run takes when nothing goes wrong.
async fn steps() -> u64 {
    let (world, store) = half_way().await;
    world.run(&store, &old_run_id(2)).await.unwrap();
    store.operations()
}

/// Another run, in a process of its own, that meets no fault.
async fn finish(world: &World, store: &FaultyStore, context: &str) {
    let store = store.another_process();
    world.run(&store, &run_id(9)).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_landed_exactly(&store, EVENTS, context);
    assert_sound(&store, context).await;
    // The run that was cut off began long ago: nothing of it stays.
    assert_eq!(store.files("_staging"), [], "{context}");
    assert_eq!(store.files("_trash"), [], "{context}");
    let again = world.run(&store.another_process(), &run_id(10)).await.unwrap();
    assert!(again.committed.is_none(), "{context}: landed twice");
}

#[tokio::test]
async fn a_run_that_is_killed_before_or_after_any_step_is_finished_by_the_next() {
    for kill in KILLS {
        for step in 0..steps().await {
            let (world, store) = half_way().await;
            store.fault(step, kill);
            let killed = world.run(&store, &old_run_id(2)).await;
            assert!(killed.is_err(), "{kill:?} at step {step} went unnoticed");
            finish(&world, &store, &format!("{kill:?} at step {step}")).await;
        }
    }
}

#[tokio::test]
async fn a_power_loss_at_any_step_is_finished_by_the_next_run() {
    for kept in [0, 1, 3, usize::MAX] {
        for step in 0..steps().await {
            let (world, store) = half_way().await;
            store.fault(step, Fault::KillAfter);
            world.run(&store, &old_run_id(2)).await.unwrap_err();
            store.power_loss(kept);
            finish(&world, &store, &format!("power loss at step {step}, {kept} kept")).await;
        }
    }
}

#[tokio::test]
async fn a_power_loss_after_a_run_takes_nothing_it_reported() {
    let (world, store) = half_way().await;
    world.run(&store, &run_id(2)).await.unwrap();
    store.power_loss(0);
    assert_landed_exactly(&store, EVENTS, "after the power loss");
    finish(&world, &store, "after the power loss").await;
}

#[tokio::test]
async fn a_reply_or_request_lost_at_any_step_is_survived_by_the_run_itself() {
    for loss in LOSSES {
        for step in 0..steps().await {
            let (world, store) = half_way().await;
            store.fault(step, loss);
            let context = format!("{loss:?} at step {step}");
            let result = world.run(&store, &old_run_id(2)).await;
            assert!(result.is_ok(), "{context}: {result:?}");
            assert_landed_exactly(&store, EVENTS, &context);
            finish(&world, &store, &context).await;
        }
    }
}

#[tokio::test]
async fn an_operation_refused_at_any_step_ends_the_run_and_nothing_else() {
    for step in 0..steps().await {
        let (world, store) = half_way().await;
        store.fault(step, Fault::Fail);
        let failed = world.run(&store, &old_run_id(2)).await;
        assert!(failed.is_err(), "a failure at step {step} went unnoticed");
        finish(&world, &store, &format!("failure at step {step}")).await;
    }
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop::sample::select(vec![
        Fault::KillBefore,
        Fault::KillAfter,
        Fault::LoseReply,
        Fault::LoseRequest,
        Fault::Fail,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn several_runs_in_a_row_that_all_meet_faults_still_land_everything_once(
        faults in prop::collection::vec((0_u64..90, any_fault(), prop::option::of(0_usize..6)), 1..5),
        memory in prop::sample::select(vec![1_usize, 200, 1 << 20]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (world, store) = half_way().await;
            let context = format!("{faults:?}, memory {memory}");
            for ((step, fault, power), number) in faults.into_iter().zip(2..) {
                let store = store.another_process();
                store.fault(step, fault);
                let mut settings = settings();
                settings.files.memory_bytes = memory;
                settings.files.open_files = 1;
                // Its verdict may be anything; the lake is what counts.
                drop(world.run_with(&store, &old_run_id(number), settings).await);
                if let Some(kept) = power {
                    store.power_loss(kept);
                }
            }
            finish(&world, &store, &context).await;
        });
    }
}

/// A lake whose one commit is in the log, and none of whose files is published; the staged file and
/// its place.
async fn committed_only() -> (World, FaultyStore, LakePath, LakePath) {
    let world = World::new(1);
    world.append_events(0, 3);
    let mut step = 0;
    let store = loop {
        let store = FaultyStore::new();
        store.fault(step, Fault::KillAfter);
        world.run(&store, &run_id(1)).await.unwrap_err();
        if !store.files("_state").is_empty() {
            break store.another_process();
        }
        step += 1;
    };
    let record = store.edit(&store.files("_state")[0], |bytes| CommitRecord::decode(bytes));
    let record = record.unwrap();
    let file = record.files.first().unwrap();
    let staged = LakePath::new(&format!("_staging/events/{}/{}", record.run_id, file.stage));
    (world, store, staged.unwrap(), file.path.clone())
}

async fn put(store: &FaultyStore, path: &LakePath, bytes: Vec<u8>) {
    store.make_directories(&path.parent().unwrap()).await.unwrap();
    let mut writer = store.create(path).await.unwrap();
    writer.write(bytes.into()).await.unwrap();
    writer.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_a_power_loss_left_under_both_its_names_is_published_once() {
    let (world, store, staged, place) = committed_only().await;
    let bytes = store.edit(&staged, |bytes| bytes.clone());
    put(&store, &place, bytes).await;
    world.run(&store, &run_id(2)).await.unwrap();
    assert_landed_exactly(&store, 3, "after recovery");
    assert_sound(&store, "after recovery").await;
    assert_eq!(store.files("_staging"), []);
}

#[tokio::test]
async fn a_strangers_file_is_never_overwritten_and_never_taken_for_ours() {
    let (world, store, staged, place) = committed_only().await;
    let length = store.edit(&staged, |bytes| bytes.len());
    put(&store, &place, vec![7; length]).await;
    let stopped = world.run(&store, &run_id(2)).await.unwrap_err();
    assert!(matches!(stopped, RunError::Occupied { seq: 0, .. }), "{stopped}");
    assert_eq!(store.edit(&place, |bytes| bytes.clone()), vec![7; length]);
    store.delete(&place).await.unwrap();
    world.run(&store, &run_id(3)).await.unwrap();
    assert_landed_exactly(&store, 3, "once it is gone");
}

#[tokio::test]
async fn a_staged_file_that_somebody_deleted_is_told_and_not_forgotten() {
    let (world, store, staged, _) = committed_only().await;
    store.delete(&staged).await.unwrap();
    for number in [2, 3] {
        let stopped = world.run(&store, &run_id(number)).await.unwrap_err();
        assert!(matches!(stopped, RunError::Missing { seq: 0, .. }), "{stopped}");
    }
}

#[tokio::test]
async fn a_commit_found_in_the_log_is_made_to_last_before_anything_is_built_on_it() {
    for step in 0.. {
        let (world, store, ..) = committed_only().await;
        let second = store.another_process();
        second.fault(step, Fault::KillAfter);
        if world.run(&second, &run_id(2)).await.is_ok() {
            assert!(0 < step);
            break;
        }
        second.power_loss(0);
        let context = format!("power loss at step {step} of the recovery");
        world.run(&store.another_process(), &run_id(3)).await.unwrap();
        assert_landed_exactly(&store, 3, &context);
        assert_sound(&store, &context).await;
    }
}
