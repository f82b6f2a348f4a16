//! Room kept for when there is none left.

use std::io;

use commit_log::{AppendError, LogError, Released, Room};
use disk::{Operation, PlannedFault};
use types::Durability;

use crate::harness::{Lab, key, offset, small_segments};

const BALLAST: u64 = 10_000;

/// A directory with a ballast and some segments.
fn lab() -> Lab {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    lab.ballast_bytes = BALLAST;
    lab.kill();
    for word in 0..9 {
        lab.append(0, &[&[word]]).unwrap();
    }
    lab.directory().ballast().restore().unwrap();
    lab
}

/// A write that finds no room.
fn full(path: &str) -> PlannedFault {
    PlannedFault {
        operation: Operation::Write,
        path_contains: path.to_owned(),
        after: 0,
        error: io::ErrorKind::StorageFull,
    }
}

fn missing(lab: &mut Lab) -> u64 {
    lab.directory().ballast().missing().unwrap()
}

#[test]
fn a_start_on_a_full_disk_has_the_ballasts_room() {
    let mut lab = lab();
    lab.disk.set_capacity(Some(lab.disk.used()));
    let now = lab.now;
    assert!(matches!(lab.directory().upkeep(now), Err(LogError::Full { .. })));
    lab.kill();
    assert_eq!(missing(&mut lab), BALLAST);
    lab.upkeep();
    assert_eq!(lab.words(), (0..9).collect::<Vec<_>>());
}

#[test]
fn a_start_on_a_disk_with_room_leaves_it() {
    let mut lab = lab();
    lab.disk.set_capacity(Some(lab.disk.used() + BALLAST));
    lab.kill();
    assert_eq!(missing(&mut lab), 0);
}

#[test]
fn a_deletion_that_needs_room_takes_the_ballasts() {
    let mut lab = lab();
    lab.disk.fail(full("partition.meta"));
    lab.directory().advance_log_start(key(0), offset(4)).unwrap();
    assert_eq!(lab.reader().log_start(), offset(4));
    assert_eq!(missing(&mut lab), BALLAST);

    lab.disk.fail(full("partition.meta"));
    let refused = lab.directory().advance_log_start(key(0), offset(5));
    assert!(matches!(refused, Err(LogError::Full { .. })), "there is no second one");
    lab.directory().advance_log_start(key(0), offset(5)).unwrap();
}

#[test]
fn nothing_but_deletions_gets_of_a_ballast_that_was_given_up_for_one() {
    let mut lab = lab();
    lab.disk.fail(full("partition.meta"));
    lab.directory().advance_log_start(key(0), offset(4)).unwrap();
    assert!(matches!(lab.directory().room(), Room::Critical { .. }));
    let refused = lab.append(0, &[&[9]]).unwrap_err();
    assert!(matches!(refused, AppendError::LowSpace { .. }), "{refused}");
    lab.directory().advance_log_start(key(0), offset(5)).unwrap();
    lab.directory().set_room(Room::Ample);
    lab.append(0, &[&[9]]).unwrap();
}

#[test]
fn a_deleted_log_is_deleted_though_its_files_cannot_be_removed_yet() {
    let mut lab = lab();
    let used = lab.disk.used();
    lab.disk.fail(PlannedFault { operation: Operation::Remove, ..full(".log") });
    lab.directory().ballast().release().unwrap();
    lab.directory().delete_log(key(0)).unwrap();
    assert!(matches!(lab.directory().delete_log(key(0)), Err(LogError::Unknown { .. })));
    lab.create(0);
    lab.upkeep();
    assert!(lab.disk.used() < used - BALLAST, "they are gone");
    lab.lose_power();
    assert!(lab.words().is_empty(), "another log");
}

#[test]
fn a_deletion_that_is_refused_is_refused_alike_when_it_is_tried_again() {
    let mut lab = lab();
    lab.directory().ballast().release().unwrap();
    for _ in 0..2 {
        lab.disk.fail(PlannedFault { operation: Operation::Rename, ..full("") });
        let refused = lab.directory().delete_log(key(0));
        assert!(matches!(refused, Err(LogError::Full { .. })), "{refused:?}");
    }
    lab.append(0, &[&[9]]).unwrap();
    lab.upkeep();
    lab.disk.fail(PlannedFault { operation: Operation::SyncDir, ..full("") });
    for _ in 0..2 {
        let refused = lab.directory().delete_log(key(0));
        assert!(matches!(refused, Err(LogError::Fenced(_))), "{refused:?}");
    }
}

#[test]
fn of_those_that_are_deleted_together_one_that_finds_no_room_is_refused_alone() {
    let mut lab = lab();
    (1..3).for_each(|log| drop(lab.create(log)));
    lab.directory().ballast().release().unwrap();
    let of_log = format!("/{}", key(1));
    lab.disk.fail(PlannedFault { operation: Operation::Rename, ..full(&of_log) });
    let deleted = lab.directory().delete_logs(&[key(0), key(1), key(2)]);
    assert!(
        matches!(deleted.as_slice(), [Ok(()), Err(LogError::Full { .. }), Ok(())]),
        "{deleted:?}"
    );
    assert_eq!(lab.directory().logs().collect::<Vec<_>>(), [key(1)]);

    // With the ballast's room it is not.
    lab.directory().ballast().restore().unwrap();
    lab.disk.fail(PlannedFault { operation: Operation::Rename, ..full(&of_log) });
    lab.directory().delete_log(key(1)).unwrap();
    assert_eq!(missing(&mut lab), BALLAST);
    lab.lose_power();
    assert_eq!(lab.directory().logs().count(), 0);
}

#[test]
fn what_upkeep_could_store_leaves_the_ballasts_room_to_what_deletes() {
    let mut lab = lab();
    // Nobody has told that there is none: the start finds it out.
    lab.disk.set_capacity(Some(lab.disk.used()));
    lab.kill();
    assert!(matches!(lab.directory().room(), Room::Critical { .. }));
    lab.upkeep();
    assert!(lab.files(".producers").is_empty());
    lab.disk.set_capacity(None);
    lab.directory().set_room(Room::Ample);
    lab.upkeep();
    assert!(!lab.files(".producers").is_empty());
}

#[test]
fn a_log_whose_deletion_was_refused_is_kept_as_before() {
    for seed in 0..50 {
        let mut lab = Lab::new(seed, small_segments(Durability::PageCache));
        lab.append(0, &[&[0]]).unwrap();
        lab.disk.fail(PlannedFault { operation: Operation::Rename, ..full("") });
        assert!(matches!(lab.directory().delete_log(key(0)), Err(LogError::Full { .. })));
        lab.append(0, &[&[1]]).unwrap();
        lab.upkeep();
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1], "seed {seed}");
    }
}

#[test]
fn it_is_made_whole_or_not_at_all() {
    let mut lab = lab();
    let ballast = lab.directory().ballast();
    let used = lab.disk.used();
    assert_eq!(ballast.release().unwrap(), Released::Yes);
    assert_eq!(ballast.release().unwrap(), Released::Nothing);
    assert_eq!(lab.disk.used(), used - BALLAST, "it was really there");
    lab.disk.set_capacity(Some(used - 1));
    assert!(ballast.restore().unwrap_err().is_out_of_space());
    assert_eq!((ballast.missing().unwrap(), lab.disk.used()), (BALLAST, used - BALLAST));
    lab.disk.set_capacity(Some(used));
    ballast.restore().unwrap();
    ballast.restore().unwrap();
    assert_eq!((ballast.missing().unwrap(), lab.disk.used()), (0, used));
}
