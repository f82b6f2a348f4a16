//! The names of logs: made and removed together, and not answered before they are durable.

use commit_log::{AppendError, LogConfig, LogError};
use disk::{Operation, PlannedFault};
use types::Durability;

use crate::harness::{Lab, append, fault, key, offset, read_all, small_segments};

const SEEDS: u64 = 150;

fn fsync() -> LogConfig {
    small_segments(Durability::Fsync)
}

#[test]
fn j2_logs_that_are_deleted_together_are_each_whole_or_gone_and_gone_once_it_is_answered() {
    const LOGS: u32 = 4;
    let (mut kept, mut gone) = (0, 0);
    for seed in 0..SEEDS {
        let mut lab = Lab::empty(seed, fsync());
        for log in 0..LOGS {
            lab.create(log);
            lab.step(&[append(log, 1, &[&[u64::from(log)]])]).pop().unwrap().unwrap();
        }
        let keys: Vec<_> = (0..LOGS).map(key).collect();
        lab.disk.cut_power_after((seed % 24) as u32);
        let deleted = lab.directory().delete_logs(&keys);
        lab.lose_power();
        for (log, deleted) in (0..LOGS).zip(deleted) {
            if let Some(reader) = lab.directory().reader(key(log)) {
                deleted.unwrap_err();
                assert_eq!(read_all(&reader, 1000), [(0, 1, u64::from(log))], "seed {seed}");
                kept += 1;
            } else {
                gone += 1;
            }
        }
    }
    assert!(kept != 0 && gone != 0, "{kept} kept, {gone} gone");
}

#[test]
fn however_many_are_deleted_together_their_names_are_synced_once() {
    let mut lab = Lab::empty(1, fsync());
    let keys: Vec<_> = (0..30).map(key).collect();
    (0..30).for_each(|log| drop(lab.create(log)));
    lab.disk.fail(PlannedFault { after: 1, ..fault(Operation::SyncDir) });
    for deleted in lab.directory().delete_logs(&keys) {
        deleted.unwrap();
    }
    assert_eq!(lab.directory().logs().count(), 0);
}

#[test]
fn j2_a_deletion_that_could_not_sync_its_names_is_not_answered_and_can_be_finished() {
    for seed in 0..SEEDS {
        let mut lab = Lab::empty(seed, fsync());
        for log in 0..3 {
            lab.create(log);
            lab.step(&[append(log, 1, &[&[u64::from(log)]])]).pop().unwrap().unwrap();
        }
        lab.disk.fail(fault(Operation::OpenDir));
        let deleted = lab.directory().delete_logs(&[key(0), key(1)]);
        assert!(
            matches!(deleted.as_slice(), [Err(LogError::Failed { .. }), Ok(())]),
            "{deleted:?}"
        );
        if seed % 3 == 0 {
            lab.lose_power();
            assert!(lab.directory().reader(key(1)).is_none(), "seed {seed}");
            continue;
        }
        // Whatever it might still take would go with it.
        let appended = lab.append(1, &[&[7]]);
        assert!(matches!(appended, Err(AppendError::UnknownLog { .. })), "{appended:?}");
        let advanced = lab.directory().advance_log_start(key(0), offset(1));
        assert!(matches!(advanced, Err(LogError::Unknown { .. })), "{advanced:?}");
        lab.upkeep();
        lab.directory().delete_log(key(0)).unwrap();
        lab.lose_power();
        assert_eq!(lab.directory().logs().collect::<Vec<_>>(), [key(2)], "seed {seed}");
        lab.create(0);
        assert_eq!(lab.words(), [0; 0], "seed {seed}");
    }
}

#[test]
fn j2_a_log_whose_name_could_not_be_synced_is_not_made_and_can_be_made_again() {
    let mut refused = 0;
    for seed in 0..SEEDS {
        let mut lab = Lab::empty(seed, fsync());
        lab.disk.fail(PlannedFault { after: (seed % 4) as u32, ..fault(Operation::OpenDir) });
        if lab.try_create(key(0)).is_err() {
            refused += 1;
            if seed % 3 == 0 {
                lab.lose_power();
            }
            if lab.directory().reader(key(0)).is_none() {
                lab.create(0);
            }
        }
        lab.disk.forget_faults();
        lab.append(1, &[&[1]]).unwrap();
        lab.lose_power();
        assert_eq!(lab.words(), [1], "seed {seed}");
    }
    assert!(SEEDS / 4 < refused, "the name of the log's folder is synced last");
}

#[test]
fn a_sync_that_fails_answers_none_of_those_that_are_deleted_together() {
    let mut lab = Lab::empty(1, fsync());
    (0..3).for_each(|log| drop(lab.create(log)));
    lab.disk.fail(fault(Operation::SyncDir));
    for deleted in lab.directory().delete_logs(&[key(0), key(5), key(1), key(2)]) {
        let refused = deleted.unwrap_err();
        let is_unknown = matches!(&refused, LogError::Unknown { log } if *log == key(5));
        assert!(is_unknown || matches!(refused, LogError::Fenced(_)), "{refused}");
    }
}
