//! The rules that keep acknowledged records, each by the schedule that loses one without it.

use std::io;

use commit_log::{AppendError, DirectoryError, LogConfig, LogError, UpkeepScope};
use disk::{Operation, PlannedFault};
use types::{DirectoryId, Durability, LogId};

use crate::harness::{Lab, append, fault, key, offset, one_segment, small_segments};

const SEEDS: u64 = 150;

fn fsync() -> LogConfig {
    small_segments(Durability::Fsync)
}

fn page_cache() -> LogConfig {
    small_segments(Durability::PageCache)
}

#[test]
fn what_was_answered_is_there_after_a_loss_of_power() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        for word in 0..9 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5, 6, 7, 8], "seed {seed}");
    }
}

#[test]
fn j2_a_deleted_log_stays_deleted_and_its_next_life_has_none_of_it() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        let first_life = lab.directory().log_id(key(0));
        lab.append(1, &[&[1], &[2]]).unwrap();
        lab.directory().delete_log(key(0)).unwrap();
        lab.lose_power();
        assert!(lab.directory().reader(key(0)).is_none(), "seed {seed}");
        lab.create(0);
        assert_ne!(lab.directory().log_id(key(0)), first_life);
        lab.lose_power();
        assert_eq!(lab.words(), [0; 0], "seed {seed}");
    }
}

#[test]
fn j2_a_log_is_made_and_deleted_whole_or_not_at_all() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        lab.append(1, &[&[1], &[2]]).unwrap();
        lab.disk.cut_power_after((seed % 12) as u32);
        let deleted = lab.directory().delete_log(key(0));
        lab.lose_power();
        if lab.directory().reader(key(0)).is_some() {
            deleted.unwrap_err();
            assert_eq!(lab.words(), [1, 2], "seed {seed}");
        } else {
            let config = fsync();
            let id = LogId::from_bytes([77; 16]);
            lab.disk.cut_power_after((seed % 7) as u32);
            let made = lab.directory().create_log(key(0), id, config, offset(5)).is_ok();
            lab.lose_power();
            let start = lab.directory().reader(key(0)).map(|reader| reader.log_start());
            assert!(start == Some(offset(5)) || (start.is_none() && !made), "seed {seed}");
        }
    }
}

#[test]
fn j10_a_sync_that_fails_in_a_start_is_marked_whatever_else_fails_there() {
    for log in 0..2 {
        let mut lab = Lab::empty(1, fsync());
        for log in 0..2 {
            lab.create(log);
            lab.step(&[append(log, 1, &[&[1]])]).pop().unwrap().unwrap();
        }
        lab.disk.fail(PlannedFault {
            path_contains: key(log).to_string(),
            ..fault(Operation::SyncData)
        });
        let other = key(1 - log).to_string();
        lab.disk.fail(PlannedFault { path_contains: other, ..fault(Operation::OpenDir) });
        let refused = lab.open().unwrap_err();
        assert!(matches!(refused, DirectoryError::Fenced { .. }), "{refused}");
        let again = lab.open().unwrap_err();
        assert!(matches!(again, DirectoryError::Fenced { .. }), "{again}");
    }
}

#[test]
fn j3_an_ack_syncs_every_file_above_the_recovery_point() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        let old_and_new = [append(0, 1, &[&[1]]), append(0, 2, &[&[2]])];
        for answer in lab.step(&old_and_new) {
            answer.unwrap();
        }
        assert_eq!(lab.segments().len(), 2);
        lab.lose_power();
        assert_eq!(lab.words(), [1, 2], "seed {seed}");
    }
}

#[test]
fn j5_a_refused_append_never_comes_back() {
    for seed in 0..SEEDS {
        let durability = if seed % 3 == 0 { Durability::PageCache } else { Durability::Fsync };
        let mut lab = Lab::new(seed, one_segment(durability));
        lab.append(1, &[&[1]]).unwrap();
        lab.upkeep();
        lab.disk
            .fail(PlannedFault { error: io::ErrorKind::StorageFull, ..fault(Operation::Write) });
        let refused = lab.append(1, &[&[2], &[3], &[4]]).unwrap_err();
        assert!(matches!(refused, AppendError::Full { .. }));
        assert_eq!(lab.words(), [1]);
        if seed % 2 == 0 {
            // The same offsets for other records, fewer of them.
            assert_eq!(lab.append(1, &[&[5]]).unwrap().base_offset, offset(1));
            lab.upkeep();
        }
        lab.lose_power();
        let expected: &[u64] = if seed % 2 == 0 { &[1, 5] } else { &[1] };
        assert_eq!(lab.words(), expected, "seed {seed}");
    }
}

#[test]
fn j5_a_refused_append_in_a_new_file_takes_the_file_with_it() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        lab.append(1, &[&[1]]).unwrap();
        lab.disk
            .fail(PlannedFault { error: io::ErrorKind::StorageFull, ..fault(Operation::Write) });
        lab.append(2, &[&[2]]).unwrap_err();
        lab.lose_power();
        assert_eq!(lab.words(), [1], "seed {seed}");
        assert_eq!(lab.reader().last_epoch().unwrap().get(), 1);
    }
}

#[test]
fn j5_one_log_that_fails_leaves_the_others_of_its_tick_alone() {
    let mut lab = Lab::new(1, fsync());
    lab.create(1);
    let full = PlannedFault { error: io::ErrorKind::StorageFull, ..fault(Operation::Write) };
    lab.disk.fail(PlannedFault { path_contains: key(0).to_string(), ..full });
    let answers = lab.step(&[append(0, 1, &[&[1]]), append(1, 1, &[&[2]]), append(0, 1, &[&[3]])]);
    assert!(matches!(answers[0], Err(AppendError::Full { .. })));
    assert_eq!(answers[1].as_ref().unwrap().base_offset, offset(0));
    assert_eq!(answers[2].as_ref().unwrap().base_offset, offset(0));
    lab.lose_power();
    assert_eq!(lab.words(), [3]);
}

#[test]
fn j6_a_log_switched_to_fsync_is_durable_whole_at_its_next_answer() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, page_cache());
        for word in 0..5 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.directory().set_config(key(0), fsync()).unwrap();
        let answer = lab.append(1, &[&[5]]).unwrap();
        assert_eq!(answer.durable_end, offset(6));
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5], "seed {seed}");
    }
}

#[test]
fn j7_offsets_go_on_after_everything_was_removed() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        for word in 0..9 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.disk.cut_power_after((seed % 14) as u32);
        let advanced = lab.directory().advance_log_start(key(0), offset(9));
        lab.lose_power();
        let reader = lab.reader();
        assert_eq!(reader.end(), offset(9), "seed {seed}");
        if advanced.is_ok() || reader.log_start() == offset(9) {
            assert_eq!(reader.log_start(), offset(9), "seed {seed}");
        } else {
            assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5, 6, 7, 8], "seed {seed}");
        }
        assert_eq!(lab.append(1, &[&[9]]).unwrap().base_offset, offset(9));
    }
}

#[test]
fn j7_what_is_removed_before_it_is_durable_is_made_durable_first() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, page_cache());
        for word in 0..5 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.directory().advance_log_start(key(0), offset(4)).unwrap();
        lab.lose_power();
        assert_eq!(lab.words(), [4], "seed {seed}");
    }
}

#[test]
fn j9_recovery_makes_durable_what_it_advertises() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, page_cache());
        for word in 0..5 {
            lab.append(1, &[&[word]]).unwrap();
        }
        // The process dies, the machine does not: everything is still in the cache.
        lab.kill();
        assert_eq!(lab.reader().durable_end(), offset(5));
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1, 2, 3, 4], "seed {seed}");
    }
}

#[test]
fn j9_a_loss_of_power_during_recovery_costs_nothing_that_was_answered() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        for word in 0..4 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.directory().set_config(key(0), page_cache()).unwrap();
        for word in 4..8 {
            lab.append(2, &[&[word]]).unwrap();
        }
        for cut in 0..4 {
            lab.disk.lose_power();
            lab.disk.cut_power_after(cut);
            let _interrupted = lab.open().is_err();
        }
        lab.lose_power();
        let words = lab.words();
        assert!(words.len() >= 4, "seed {seed}: {words:?}");
        assert_eq!(words, (0..words.len() as u64).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn j10_a_failed_sync_fences_the_directory_for_good() {
    for operation in [Operation::SyncData, Operation::SyncDir] {
        let mut lab = Lab::new(3, fsync());
        lab.append(1, &[&[1]]).unwrap();
        lab.disk.fail(fault(operation));
        // In a new epoch, so that a new file is made and the folder needs a sync too.
        let failed = lab.append(2, &[&[2]]).unwrap_err();
        assert!(matches!(failed, AppendError::Fenced(_)), "{failed}");
        // The next sync would succeed, and mean nothing.
        assert!(matches!(lab.append(2, &[&[3]]), Err(AppendError::Fenced(_))));
        assert!(matches!(lab.truncate(key(0), offset(0)), Err(LogError::Fenced(_))));
        // Nor does a restart, though the cache reads well.
        assert!(matches!(lab.open(), Err(DirectoryError::Fenced { .. })));
        lab.disk.lose_power();
        let Err(fenced) = lab.open() else { panic!("the fence was forgotten") };
        assert!(fenced.to_string().contains("cannot sync"), "{fenced}");
    }
}

#[test]
fn j10_a_fence_is_lifted_only_from_the_directory_that_an_operator_names() {
    let mut lab = Lab::new(3, fsync());
    lab.append(1, &[&[1]]).unwrap();
    lab.disk.fail(fault(Operation::SyncData));
    lab.append(1, &[&[2]]).unwrap_err();
    lab.trusted = Some(DirectoryId::from_bytes([99; 16]));
    let Err(DirectoryError::Fenced { id, .. }) = lab.open() else { panic!("it is another") };
    assert_ne!(id, lab.trusted);
    lab.trusted = id;
    lab.kill();
    lab.append(1, &[&[3]]).unwrap();
    lab.trusted = None;
    lab.lose_power();
    assert_eq!(lab.words().first(), Some(&1), "what was synced before is there");
}

#[test]
fn j10_a_directory_whose_fence_is_lifted_is_what_its_disk_holds() {
    for seed in 0..100 {
        let mut lab = Lab::new(seed, fsync());
        lab.append(1, &[&[1]]).unwrap();
        lab.disk.fail(fault(Operation::SyncData));
        lab.append(1, &[&[2, 3, 4]]).unwrap_err();
        let Err(DirectoryError::Fenced { id, .. }) = lab.open() else { panic!("no fence") };
        lab.trusted = id;
        lab.kill();
        // What a reader sees now, or a producer is told that sends it again, is there to stay.
        let words = lab.words();
        assert!(words == [1] || words == [1, 2, 3, 4], "{words:?}");
        lab.trusted = None;
        lab.lose_power();
        assert_eq!(lab.words(), words, "seed {seed}");
    }
}

#[test]
fn j10_nothing_of_a_step_is_durable_if_one_of_its_syncs_failed() {
    for log in 0..2 {
        let mut lab = Lab::new(3, fsync());
        lab.create(1);
        let path = key(log).to_string();
        lab.disk.fail(PlannedFault { path_contains: path, ..fault(Operation::SyncData) });
        let answers = lab.step(&[append(0, 1, &[&[1]]), append(1, 1, &[&[1]])]);
        for answer in answers {
            assert!(matches!(answer, Err(AppendError::Fenced(_))), "{answer:?}");
        }
    }
}

#[test]
fn j10_a_sync_that_failed_in_the_background_is_known_before_it_is_reported() {
    let mut lab = Lab::new(3, fsync());
    lab.create(1);
    let config = LogConfig { durability: Durability::PageCache, ..fsync() };
    lab.directory().set_config(key(1), config).unwrap();
    lab.step(&[append(1, 1, &[&[1]])]).pop().unwrap().unwrap();
    let now = lab.now;
    let upkeep = lab.directory().begin_upkeep(now, UpkeepScope::Everything).unwrap().unwrap();
    lab.disk.fail(fault(Operation::SyncData));
    let done = upkeep.run();
    assert!(lab.directory().fenced().is_some());
    let refused = lab.append(1, &[&[2]]).unwrap_err();
    assert!(matches!(refused, AppendError::Fenced(_)), "{refused}");
    assert!(matches!(lab.directory().finish_upkeep(done), Err(LogError::Fenced(_))));
    assert!(matches!(lab.open(), Err(DirectoryError::Fenced { .. })), "it is marked");
}

#[test]
fn j10_a_full_disk_has_the_ballasts_room_for_the_mark() {
    let mut lab = Lab::new(3, fsync());
    lab.ballast_bytes = 5000;
    lab.kill();
    lab.directory().ballast().restore().unwrap();
    lab.append(1, &[&[1]]).unwrap();
    lab.disk.fail(fault(Operation::SyncData));
    let full = PlannedFault { error: io::ErrorKind::StorageFull, ..fault(Operation::Create) };
    lab.disk.fail(PlannedFault { path_contains: "fenced".to_owned(), ..full });
    lab.append(1, &[&[2]]).unwrap_err();
    assert!(matches!(lab.open(), Err(DirectoryError::Fenced { .. })));
}

#[test]
fn j10_a_sync_that_fails_in_recovery_fences_too() {
    let mut lab = Lab::new(3, fsync());
    lab.append(1, &[&[1]]).unwrap();
    lab.disk.fail(fault(Operation::SyncData));
    assert!(matches!(lab.open(), Err(DirectoryError::Fenced { .. })));
    assert!(matches!(lab.open(), Err(DirectoryError::Fenced { .. })));
}

#[test]
fn a_write_that_the_disk_refuses_fences_unless_the_disk_is_only_full() {
    let mut lab = Lab::new(5, fsync());
    lab.append(1, &[&[1]]).unwrap();
    lab.disk.fail(fault(Operation::Write));
    assert!(matches!(lab.append(1, &[&[2]]), Err(AppendError::Fenced(_))));
    assert_eq!(lab.words(), [1]);
}

#[test]
fn c2_a_truncation_is_durable_in_every_file_it_touches() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        lab.append(1, &[&[0], &[1]]).unwrap();
        lab.append(2, &[&[2], &[3]]).unwrap();
        lab.append(3, &[&[4]]).unwrap();
        assert_eq!(lab.truncate(key(0), offset(1)).unwrap(), offset(1));
        if seed % 2 == 0 {
            lab.append(4, &[&[9]]).unwrap();
        }
        lab.lose_power();
        let expected: &[(u64, u32, u64)] =
            if seed % 2 == 0 { &[(0, 1, 0), (1, 4, 9)] } else { &[(0, 1, 0)] };
        assert_eq!(lab.contents(), expected, "seed {seed}");
    }
}

#[test]
fn a_loss_of_power_while_truncating_leaves_a_prefix_and_no_damage() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        for word in 0..12_u32 {
            lab.append(1 + word / 4, &[&[u64::from(word)]]).unwrap();
        }
        // Sealed, and below the recovery point: what is missing there would be damage.
        lab.upkeep();
        lab.disk.cut_power_after((seed % 16) as u32);
        let _interrupted = lab.truncate(key(0), offset(2)).is_err();
        lab.lose_power();
        let words = lab.words();
        assert!(words.len() >= 2, "seed {seed}");
        assert_eq!(words, (0..words.len() as u64).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn a_loss_of_power_while_resetting_leaves_all_or_nothing() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, fsync());
        for word in 0..8 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.upkeep();
        // Backward, to within the first segment: half a reset would leave old records behind it.
        lab.directory().advance_log_start(key(0), offset(1)).unwrap();
        lab.disk.cut_power_after((seed % 16) as u32);
        let reset = lab.directory().reset(key(0), offset(2));
        lab.lose_power();
        let reader = lab.reader();
        if reader.log_start() == offset(2) {
            assert_eq!(reader.end(), offset(2), "seed {seed}");
        } else {
            reset.unwrap_err();
            assert_eq!(lab.words(), [1, 2, 3, 4, 5, 6, 7], "seed {seed}");
        }
    }
}

#[test]
fn a_second_loss_of_power_while_a_reset_is_finished_leaves_all_or_nothing() {
    for seed in 0..8 * SEEDS {
        let mut lab = Lab::new(seed, one_segment(Durability::Fsync));
        for word in 0..8 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.disk.cut_power_after((seed % 7) as u32);
        let reset = lab.directory().reset(key(0), offset(2));
        lab.disk.lose_power();
        lab.disk.cut_power_after((seed / 7 % 40) as u32);
        drop(lab.open());
        lab.lose_power();
        if lab.reader().log_start() == offset(2) {
            assert_eq!(lab.reader().end(), offset(2), "seed {seed}");
        } else {
            reset.unwrap_err();
            assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5, 6, 7], "seed {seed}");
        }
    }
}

#[test]
fn an_answer_in_page_cache_mode_waits_for_no_sync() {
    let mut lab = Lab::new(1, page_cache());
    lab.disk.fail(fault(Operation::SyncData));
    for word in 0..7 {
        let answer = lab.append(1, &[&[word]]).unwrap();
        assert_eq!(answer.durable_end, offset(0));
    }
    assert_eq!(lab.disk.faults_to_come(), 1);
    assert!(lab.files(".index").is_empty(), "an index vouches for a durable segment");
}

#[test]
fn upkeep_makes_durable_what_page_cache_mode_did_not() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, page_cache());
        for word in 0..7 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.upkeep();
        assert_eq!(lab.reader().durable_end(), offset(7));
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5, 6], "seed {seed}");
    }
}

#[test]
fn a_disk_that_is_full_for_one_log_keeps_no_other_from_its_upkeep() {
    let mut lab = Lab::new(1, page_cache());
    lab.create(1);
    for word in 0..4 {
        for appended in lab.step(&[append(0, 1, &[&[word]]), append(1, 1, &[&[word]])]) {
            appended.unwrap();
        }
    }
    lab.disk.fail(PlannedFault {
        // The index of its closed segment.
        path_contains: format!("{}/00000000000000000000-1.index", key(0)),
        error: io::ErrorKind::StorageFull,
        ..fault(Operation::Write)
    });
    let now = lab.now;
    assert!(matches!(lab.directory().upkeep(now), Err(LogError::Full { .. })));
    assert_eq!(lab.directory().reader(key(1)).unwrap().durable_end(), offset(4));
    lab.upkeep();
    assert_eq!(lab.files(".index").len(), 1);
}
