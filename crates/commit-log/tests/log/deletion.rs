//! What deletion may take, and what it must leave.

use std::io;

use commit_log::{LogError, UpkeepScope};
use disk::{Disk, Operation, PlannedFault};
use types::{Durability, Offset};

use crate::harness::{
    Lab, batch, folder, key, millis, offset, one_segment, records, small_segments,
};

const SEEDS: u64 = 150;

/// When each segment of log 0 was written.
fn written(lab: &mut Lab) -> Vec<i64> {
    let segments = lab.reader().segments();
    segments.into_iter().map(|segment| segment.written.as_millis()).collect()
}

#[test]
fn j12_nothing_is_deleted_unless_the_files_above_are_durable_first() {
    for durability in [Durability::PageCache, Durability::Fsync] {
        let mut lab = Lab::new(1, small_segments(Durability::PageCache));
        for word in 0..7 {
            lab.append(1, &[&[word]]).unwrap();
        }
        let before = lab.segments();
        let config = small_segments(durability);
        lab.directory().set_config(key(0), config).unwrap();
        lab.disk.fail(PlannedFault {
            operation: Operation::SyncData,
            path_contains: ".log".to_owned(),
            after: 0,
            error: io::ErrorKind::Other,
        });
        let refused = lab.directory().advance_log_start(key(0), offset(6)).unwrap_err();
        assert!(matches!(refused, LogError::Fenced(_)), "{refused}");
        assert_eq!(lab.reader().log_start(), Offset::ZERO);
        assert_eq!(lab.segments(), before);
    }
}

#[test]
fn j12_the_start_and_the_recovery_point_move_together_at_any_crash() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, small_segments(Durability::PageCache));
        for word in 0..9 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.disk.cut_power_after((seed % 16) as u32);
        let advanced = lab.directory().advance_log_start(key(0), offset(7));
        lab.lose_power();
        let start = lab.reader().log_start();
        // Once the log begins there, its end is what it was: nothing below was given up before all
        // above was safe.
        if start == offset(7) {
            assert_eq!(lab.words(), [7, 8], "seed {seed}");
        } else {
            advanced.unwrap_err();
            assert_eq!(start, Offset::ZERO, "seed {seed}");
        }
    }
}

#[test]
fn j12_what_only_the_journal_holds_is_synced_to_its_files_before_anything_is_deleted() {
    let mut lab = Lab::journalled(1, one_segment(Durability::Fsync));
    lab.append(1, &[&[0], &[1], &[2]]).unwrap();
    lab.disk.fail(PlannedFault {
        operation: Operation::SyncData,
        path_contains: ".log".to_owned(),
        after: 0,
        error: io::ErrorKind::Other,
    });
    // Durable by the journal alone: no file was synced for it.
    assert_eq!(lab.reader().durable_end(), offset(3));
    lab.directory().advance_log_start(key(0), offset(2)).unwrap_err();
    assert_eq!(lab.reader().log_start(), Offset::ZERO);
}

#[test]
fn j7_deleted_records_do_not_come_back_from_the_journal_and_the_others_do() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, small_segments(Durability::Fsync));
        for word in 0..6 {
            lab.append(1, &[&[word]]).unwrap();
        }
        let start = 1 + seed % 6;
        if seed % 2 == 0 {
            lab.directory().advance_log_start(key(0), offset(start)).unwrap();
            // Held by the journal alone, behind what was deleted.
            lab.append(1, &[&[6], &[7]]).unwrap();
            lab.lose_power();
            assert_eq!(lab.words(), (start..8).collect::<Vec<_>>(), "seed {seed}");
        } else {
            lab.disk.cut_power_after((seed % 11) as u32);
            let deleted = lab.directory().advance_log_start(key(0), offset(start));
            lab.lose_power();
            let begins = lab.reader().log_start().get();
            assert!(begins == start || (begins == 0 && deleted.is_err()), "seed {seed}");
            assert_eq!(lab.words(), (begins..6).collect::<Vec<_>>(), "seed {seed}");
        }
        // A second replay finds the same journal again.
        let words = lab.words();
        lab.lose_power();
        assert_eq!(lab.words(), words, "seed {seed}");
    }
}

#[test]
fn what_upkeep_holds_when_records_are_deleted_leaves_nothing_behind() {
    for round in 0..2 {
        let mut lab = Lab::journalled(7, small_segments(Durability::Fsync));
        for word in 0..9 {
            lab.append(1, &[&[word]]).unwrap();
        }
        let now = lab.now;
        let upkeep = lab.directory().begin_upkeep(now, UpkeepScope::Everything).unwrap().unwrap();
        let done = if round == 0 {
            let done = upkeep.run();
            lab.directory().advance_log_start(key(0), offset(7)).unwrap();
            done
        } else {
            lab.directory().advance_log_start(key(0), offset(7)).unwrap();
            upkeep.run()
        };
        lab.directory().finish_upkeep(done).unwrap();
        assert_eq!(lab.segments(), ["00000000000000000006-1.log"]);
        assert!(lab.files(".index").is_empty(), "an index outlived its segment");
        lab.lose_power();
        assert_eq!(lab.words(), [7, 8]);
    }
}

#[test]
fn a_reader_finishes_in_segments_whose_files_and_indexes_are_gone() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..9 {
        lab.append(1, &[&[word]]).unwrap();
    }
    // Sealed: the indexes lie in files, which nobody has read yet.
    lab.upkeep();
    let reader = lab.reader();
    lab.directory().delete_log(key(0)).unwrap();
    assert!(lab.disk.list(&folder(0)).is_err());
    for word in (0..9).rev() {
        let bytes = reader.read(offset(word), 1, Offset::MAX).unwrap();
        assert_eq!(records(bytes), [(word, 1, word)]);
    }
}

#[test]
fn a_segment_tells_when_it_was_written_through_restarts() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..4 {
        lab.now = millis(100 + i64::try_from(word).unwrap());
        lab.append(1, &[&[word]]).unwrap();
    }
    assert_eq!(written(&mut lab), [102, 103]);
    lab.now = millis(500);
    lab.upkeep();
    lab.lose_power();
    // Sealed, and recovered: for the second the start is the latest it can have been.
    assert_eq!(written(&mut lab), [102, 500]);
}

#[test]
fn records_that_do_not_tell_their_age_do_not_grow_younger_at_each_start() {
    for claim in [1 << 40, u64::MAX >> 1] {
        let mut lab = Lab::new(1, one_segment(Durability::Fsync));
        lab.now = millis(1_000);
        lab.append(1, &[&[claim]]).unwrap();
        lab.now = millis(2_000);
        lab.lose_power();
        lab.upkeep();
        for later in [3_000, 4_000] {
            lab.now = millis(later);
            lab.lose_power();
            assert_eq!(written(&mut lab), [2_000]);
        }
        assert_eq!(lab.append(1, &[&[5]]).unwrap().base_offset, offset(1));
    }
}

#[test]
fn a_clock_that_ran_ahead_once_is_not_believed_later() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    lab.now = millis(1 << 40);
    for word in 0..4 {
        lab.append(1, &[&[word]]).unwrap();
    }
    lab.upkeep();
    lab.now = millis(700);
    lab.lose_power();
    assert_eq!(written(&mut lab), [700, 700]);
}

#[test]
fn a_start_within_a_segment_keeps_the_segment_and_hides_what_is_before() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..5 {
        lab.append(1, &[&[word]]).unwrap();
    }
    lab.directory().advance_log_start(key(0), offset(4)).unwrap();
    assert_eq!(lab.segments(), ["00000000000000000003-1.log"]);
    lab.lose_power();
    assert_eq!(lab.words(), [4]);
    let len = batch(&[0]).bytes().len() as u64;
    assert_eq!(lab.reader().segments().first().map(|segment| segment.bytes), Some(2 * len));
}
