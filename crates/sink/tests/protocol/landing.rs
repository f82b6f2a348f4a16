//! What lands where, and what does not.

use std::collections::BTreeMap;
use std::time::Duration;

use apache_avro::Reader;
use apache_avro::types::Value;
use bytes::Bytes;
use lake::plan::{GapPolicy, PlanError};
use sink::{QuarantineReason, RunError, Settings, TombstonePolicy, Totals};
use types::{Offset, PartitionId};

use crate::faulty::FaultyStore;
use crate::world::{
    V1, V2, World, assert_landed_exactly, assert_sound, event, field, framed, landed, run_id,
    settings,
};

#[tokio::test]
async fn each_run_lands_what_is_new_and_one_with_nothing_new_writes_nothing() {
    let (world, store) = (World::new(3), FaultyStore::new());
    let empty = world.run(&store, &run_id(1)).await.unwrap();
    assert!(empty.committed.is_none() && store.files("_state").is_empty());
    for (number, end) in [(2, 7), (3, 8), (4, 40)] {
        world.append_events(i64::try_from(landed(&store).len()).unwrap(), end);
        let report = world.run(&store, &run_id(number)).await.unwrap();
        assert_eq!(report.committed.unwrap().seq, u64::from(number) - 2);
        assert_landed_exactly(&store, end, "after each run");
    }
    let before = store.files("_state");
    let idle = world.run(&store, &run_id(5)).await.unwrap();
    assert!(idle.committed.is_none());
    assert_eq!(store.files("_state"), before);
    assert_sound(&store, "at the end").await;
}

#[tokio::test]
async fn every_row_lies_in_the_directory_of_its_hour() {
    let (world, store) = (World::new(2), FaultyStore::new());
    world.append_events(0, 100);
    let report = world.run(&store, &run_id(1)).await.unwrap().committed.unwrap();
    assert_eq!(report.directories, 25);
    for path in store.files("events") {
        let hour = path.parent().unwrap();
        store.edit(&path, |bytes| {
            for row in Reader::new(bytes.as_slice()).unwrap() {
                let n = field(&row.unwrap(), "n");
                let (day, hour_of_day) = (3 + n / 96, n / 4 % 24);
                let expected = format!("events/hourly/2013/11/{day:02}/{hour_of_day:02}");
                assert_eq!(hour.as_str(), expected);
            }
        });
    }
}

#[tokio::test]
async fn interleaved_schemas_fill_files_side_by_side_and_keep_their_text_byte_for_byte() {
    let (world, store) = (World::new(1), FaultyStore::new());
    for n in 0..40 {
        // All in one hour, the schemas taking turns at every record.
        let schema = u32::try_from(n % 2).unwrap() + 1;
        world.append(0, Some(event(schema, n % 4)));
    }
    let report = world.run(&store, &run_id(1)).await.unwrap().committed.unwrap();
    assert_eq!(report.data_files, 2);
    let mut rows = 0;
    for path in store.files("events") {
        let text = if path.as_str().contains(".s1.") { V1 } else { V2 };
        store.edit(&path, |bytes| {
            let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
            assert!(at.is_some(), "{path} does not hold its schema's text");
            rows += Reader::new(bytes.as_slice()).unwrap().count();
        });
    }
    assert_eq!(rows, 40);
    assert_sound(&store, "interleaved").await;
}

/// A row of a quarantine file: offset, reason, schema id, key and payload.
#[derive(Debug, PartialEq)]
struct Quarantined {
    offset: i64,
    reason: String,
    schema: Option<i64>,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
}

fn quarantined(store: &FaultyStore) -> Vec<Quarantined> {
    let mut rows = Vec::new();
    for path in store.files("_quarantine") {
        store.edit(&path, |bytes| {
            rows.extend(
                Reader::new(bytes.as_slice()).unwrap().map(|row| quarantine_row(row.unwrap())),
            );
        });
    }
    rows
}

fn quarantine_row(row: Value) -> Quarantined {
    let Value::Record(fields) = row else { panic!("{row:?} is no record") };
    let mut fields: BTreeMap<String, Value> = fields.into_iter().collect();
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::Union(_, inner)) => *inner,
        Some(value) => value,
        None => panic!("no field {name}"),
    };
    let long = |value| if let Value::Long(number) = value { Some(number) } else { None };
    let bytes = |value| if let Value::Bytes(bytes) = value { Some(bytes) } else { None };
    let text = |value| if let Value::String(text) = value { text } else { String::new() };
    assert!(!text(take("detail")).is_empty());
    Quarantined {
        offset: long(take("offset")).unwrap(),
        reason: text(take("reason")),
        schema: long(take("schema_id")),
        key: bytes(take("key")),
        payload: bytes(take("value")),
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_is_kept_with_its_reason_and_stops_nothing() {
    let (world, store) = (World::new(1), FaultyStore::new());
    let good = event(1, 0);
    let mut soon = vec![2, 8];
    soon.extend_from_slice(b"soon");
    let bad: [(Bytes, &str, Option<i64>); 10] = [
        (good.slice(..good.len() - 1), "bad-datum", Some(1)),
        ([&good[..], &[0]].concat().into(), "bad-datum", Some(1)),
        (Bytes::from_static(br#"{"n":1}"#), "bad-framing", None),
        (Bytes::new(), "bad-framing", None),
        (framed(77, b"x"), "unknown-schema", Some(77)),
        (framed(1, &soon), "undated", Some(1)),
        (framed(0, b"x"), "unknown-schema", Some(0)),
        (framed(u32::MAX, b"x"), "unknown-schema", Some(i64::from(u32::MAX))),
        (framed(3, b"x"), "unreadable-schema", Some(3)),
        (framed(4, b"x"), "unreadable-schema", Some(4)),
    ];
    for (payload, ..) in &bad {
        world.append(0, Some(payload.clone()));
    }
    world.append(0, Some(good));
    let report = world.run(&store, &run_id(1)).await.unwrap().committed.unwrap();
    assert_eq!(
        report.totals(),
        Totals { offsets: 11, rows: 1, quarantined: 10, ..Totals::default() }
    );
    assert_eq!(report.quarantined[&QuarantineReason::BadDatum], 2);
    assert_eq!((report.data_files, report.quarantine_files), (1, 1));
    assert_eq!(landed(&store), [0]);
    let expected = (0..).zip(&bad).map(|(offset, (payload, reason, schema))| Quarantined {
        offset,
        reason: (*reason).to_owned(),
        schema: *schema,
        key: Some(b"key".to_vec()),
        payload: Some(payload.to_vec()),
    });
    assert_eq!(quarantined(&store), expected.collect::<Vec<_>>());
    assert_sound(&store, "with quarantine").await;
}

#[tokio::test]
async fn tombstones_are_left_out_or_kept_by_policy_and_counted_either_way() {
    for (policy, expected) in [
        (TombstonePolicy::Skip, Totals { offsets: 2, rows: 1, tombstones: 1, ..Totals::default() }),
        (
            TombstonePolicy::Quarantine,
            Totals { offsets: 2, rows: 1, quarantined: 1, ..Totals::default() },
        ),
    ] {
        let (world, store) = (World::new(1), FaultyStore::new());
        world.append(0, Some(event(1, 0)));
        world.append(0, None);
        let settings = Settings { tombstones: policy, ..settings() };
        let report = world.run_with(&store, &run_id(1), settings).await.unwrap();
        assert_eq!(report.committed.unwrap().totals(), expected);
        assert_eq!(quarantined(&store).len() as u64, expected.quarantined);
    }
}

#[tokio::test]
async fn offsets_that_compaction_emptied_are_counted_as_holes() {
    let (world, store) = (World::new(1), FaultyStore::new());
    world.append_events(0, 10);
    for offset in [0, 4, 9] {
        world.compact_away(0, offset);
    }
    let report = world.run(&store, &run_id(1)).await.unwrap().committed.unwrap();
    assert_eq!(report.totals(), Totals { offsets: 10, rows: 7, holes: 3, ..Totals::default() });
    assert!(world.run(&store, &run_id(2)).await.unwrap().committed.is_none());
}

#[tokio::test]
async fn what_retention_took_first_stops_the_run_or_goes_on_record() {
    let (world, store) = (World::new(1), FaultyStore::new());
    world.append_events(0, 4);
    world.run(&store, &run_id(1)).await.unwrap();
    world.append_events(4, 10);
    world.retain_from(0, 7);
    let stopped = world.run(&store, &run_id(2)).await.unwrap_err();
    assert!(matches!(stopped, RunError::Plan(PlanError::Gap { .. })), "{stopped}");
    let settings = Settings { gaps: GapPolicy::Skip, ..settings() };
    let report = world.run_with(&store, &run_id(3), settings).await.unwrap();
    let totals = report.committed.unwrap().totals();
    assert_eq!((totals.rows, totals.lost), (3, 3));
    assert_eq!(landed(&store), [0, 1, 2, 3, 7, 8, 9]);
    assert_sound(&store, "after the gap").await;
}

#[tokio::test]
async fn a_topic_made_anew_is_not_taken_for_the_old_one() {
    let (world, store) = (World::new(1), FaultyStore::new());
    world.append_events(0, 4);
    world.run(&store, &run_id(1)).await.unwrap();
    world.recreate();
    let stopped = world.run(&store, &run_id(2)).await.unwrap_err();
    assert!(matches!(stopped, RunError::Plan(PlanError::TopicRecreated { .. })), "{stopped}");
}

#[tokio::test]
async fn a_registry_that_is_down_stops_the_run_and_sends_nothing_to_quarantine() {
    let (world, store) = (World::new(2), FaultyStore::new());
    world.append_events(0, 10);
    *world.registry_down.lock().unwrap() = true;
    let stopped = world.run(&store, &run_id(1)).await.unwrap_err();
    assert!(matches!(stopped, RunError::Schema(_)), "{stopped}");
    assert!(stopped.to_string().ends_with("is it up?"), "{stopped}");
    assert!(store.files("_state").is_empty() && store.files("_staging").is_empty());
    *world.registry_down.lock().unwrap() = false;
    world.run(&store, &run_id(2)).await.unwrap();
    assert_landed_exactly(&store, 10, "once it is up");
}

#[tokio::test]
async fn little_memory_and_few_open_files_cost_larger_numbers_of_files_and_no_rows() {
    for (memory, open, block) in [(1, 0, 1), (500, 0, 100), (500, 3, 100), (2_000, 100, 64)] {
        let (world, store) = (World::new(2), FaultyStore::new());
        world.append_events(0, 400);
        let mut settings = settings();
        settings.files.memory_bytes = memory;
        settings.files.open_files = open;
        settings.files.block_bytes = block;
        world.run_with(&store, &run_id(1), settings).await.unwrap();
        let context = format!("{memory} bytes, {open} open files, blocks of {block}");
        assert_landed_exactly(&store, 400, &context);
        assert_sound(&store, &context).await;
    }
}

#[tokio::test]
async fn a_file_that_is_full_is_followed_by_another() {
    let (world, store) = (World::new(1), FaultyStore::new());
    for _ in 0..200 {
        world.append(0, Some(event(1, 0)));
    }
    let mut settings = settings();
    settings.files.codec = lake::avro::Codec::Null;
    (settings.files.block_bytes, settings.files.file_bytes) = (200, 1_500);
    let report = world.run_with(&store, &run_id(1), settings).await.unwrap();
    let committed = report.committed.unwrap();
    assert!(3 < committed.data_files, "{}", committed.data_files);
    assert_eq!((committed.directories, landed(&store).len()), (1, 200));
    assert_sound(&store, "rolled").await;
}

#[tokio::test]
async fn a_run_without_time_to_read_commits_nothing_and_one_with_little_goes_on_later() {
    let (world, store) = (World::new(1), FaultyStore::new());
    world.append_events(0, 10);
    let mut hurried = settings();
    hurried.max_read_time = Duration::ZERO;
    let error = world.run_with(&store, &run_id(1), hurried).await.unwrap_err();
    assert!(matches!(error, RunError::NothingRead { .. }), "{error}");
    assert!(store.files("_state").is_empty() && store.files("_staging").is_empty());
    let mut limited = settings();
    limited.limits.max_records_per_partition = Some(4);
    for number in [2, 3, 4] {
        world.run_with(&store, &run_id(number), limited.clone()).await.unwrap();
    }
    assert_landed_exactly(&store, 10, "after three short runs");
    assert_sound(&store, "after three short runs").await;
}

#[tokio::test]
async fn a_dry_run_tells_the_plan_and_changes_nothing() {
    let (world, store) = (World::new(2), FaultyStore::new());
    world.append_events(0, 10);
    let plan = world.sink(&store, settings()).dry_run(&crate::world::topic()).await.unwrap().plan;
    let ranges: Vec<_> =
        plan.partitions().iter().map(|it| (it.partition, it.from, it.to)).collect();
    let range = |partition| (PartitionId::new(partition), Offset::new(0), Offset::new(5));
    assert_eq!(ranges, [range(0), range(1)]);
    assert!(store.files("_state").is_empty() && store.files("_staging").is_empty());
}

#[tokio::test]
async fn a_source_that_stalls_ends_the_reading_and_what_it_brought_is_landed() {
    let (world, store) = (World::new(1), FaultyStore::new());
    world.append_events(0, 12);
    *world.stalled.lock().unwrap() = true;
    let patient = Settings { max_read_time: Duration::from_millis(200), ..settings() };
    let first = run_id(1);
    let run = world.run_with(&store, &first, patient);
    let report = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap().unwrap();
    assert!(report.committed.unwrap().cut_short);
    assert_landed_exactly(&store, 5, "the one batch that came");
    *world.stalled.lock().unwrap() = false;
    world.run(&store, &run_id(2)).await.unwrap();
    assert_landed_exactly(&store, 12, "after the next run");
}
