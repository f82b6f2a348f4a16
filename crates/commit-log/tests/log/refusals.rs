//! What a log does not take, and says so.

use commit_log::{Append, AppendAt, AppendError, LogConfig, LogError, NewLog};
use disk::Disk;
use types::{Coded, Durability, LeaderEpoch, LogId, Offset, Reason};

use crate::harness::{DATA, Lab, append, key, offset, one_segment, small_segments};

fn lab() -> Lab {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lab.append(5, &[&[0], &[1]]).unwrap();
    lab
}

#[track_caller]
fn check(append: Append, reason: Reason, message: &str) {
    let mut lab = lab();
    let refused = lab.step(&[append]).pop().unwrap().unwrap_err();
    assert_eq!((refused.reason(), refused.to_string().as_str()), (reason, message));
    assert_eq!(lab.words(), [0, 1]);
}

#[test]
fn an_append_meant_for_another_place_is_refused() {
    for (at, asked) in [(1, "1"), (3, "3")] {
        let misplaced = Append { at: AppendAt::Exactly(offset(at)), ..append(0, 5, &[&[9]]) };
        let message = format!("the append was meant for offset {asked}, but the log ends at 2");
        check(misplaced, Reason::OffsetOutOfRange, &message);
    }
}

#[test]
fn an_append_of_an_older_epoch_is_refused() {
    let message = "the append is of epoch 4, but the log already holds epoch 5";
    check(append(0, 4, &[&[9]]), Reason::FencedLeaderEpoch, message);
}

#[test]
fn an_append_to_a_log_that_is_not_there_is_refused() {
    let message = format!("there is no log {} in this data directory", key(3));
    check(append(3, 5, &[&[9]]), Reason::UnknownTopicOrPartition, &message);
}

#[test]
fn an_epoch_that_the_record_format_cannot_hold_is_refused() {
    let message = format!("log {} has used up what the record format can count", key(0));
    check(append(0, 1 << 31, &[&[9]]), Reason::StorageError, &message);
}

#[test]
fn offsets_end_where_the_record_format_does() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lab.directory().reset(key(0), Offset::MAX).unwrap();
    assert!(matches!(lab.append(1, &[&[0]]), Err(AppendError::Exhausted { .. })));
}

#[test]
fn an_append_of_nothing_tells_what_is_durable() {
    let answer = lab().append(5, &[]).unwrap();
    assert_eq!(
        (answer.base_offset, answer.end, answer.durable_end),
        (offset(2), offset(2), offset(2))
    );
}

#[test]
fn a_log_cannot_be_cut_before_its_start_nor_begin_behind_its_end() {
    let mut lab = lab();
    lab.directory().advance_log_start(key(0), offset(1)).unwrap();
    let cut = lab.truncate(key(0), offset(0));
    assert!(matches!(cut, Err(LogError::OutOfRange { .. })));
    let advanced = lab.directory().advance_log_start(key(0), offset(3));
    assert!(matches!(advanced, Err(LogError::OutOfRange { .. })));
    assert_eq!(lab.words(), [1]);
}

#[test]
fn a_log_is_made_once_and_only_what_is_there_is_changed() {
    let mut lab = lab();
    let (id, config) = (LogId::from_bytes([8; 16]), lab.config.clone());
    let again = lab.directory().create_log(key(0), id, config, Offset::ZERO);
    assert!(matches!(again, Err(LogError::Exists { .. })));
    let new = |partition| NewLog {
        log: key(partition),
        id: LogId::from_bytes([u8::try_from(10 + partition).unwrap(); 16]),
        config: LogConfig::default(),
        start: Offset::ZERO,
    };
    let made = lab.directory().create_logs(vec![new(0), new(5), new(5), new(6)]);
    assert!(matches!(
        made.as_slice(),
        [Err(LogError::Exists { .. }), Ok(_), Err(LogError::Exists { .. }), Ok(_)]
    ));
    assert!(matches!(lab.directory().delete_log(key(4)), Err(LogError::Unknown { .. })));
    let deleted = lab.directory().delete_logs(&[key(4), key(5), key(5), key(6)]);
    assert!(matches!(
        deleted.as_slice(),
        [Err(LogError::Unknown { .. }), Ok(()), Err(LogError::Unknown { .. }), Ok(())]
    ));
    assert!(matches!(lab.directory().roll(key(4)), Err(LogError::Unknown { .. })));
}

#[test]
fn a_full_disk_refuses_appends_and_nothing_else_and_passes() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..9 {
        lab.append(LeaderEpoch::ZERO.get(), &[&[word]]).unwrap();
    }
    lab.disk.set_capacity(Some(0));
    let refused = lab.append(0, &[&[9]]).unwrap_err();
    assert_eq!(refused.reason(), Reason::StorageFull);
    lab.directory().advance_log_start(key(0), offset(4)).unwrap();
    lab.truncate(key(0), offset(8)).unwrap();
    let now = lab.now;
    assert!(matches!(lab.directory().upkeep(now), Err(LogError::Full { .. })));
    lab.kill();
    assert_eq!(lab.words(), [4, 5, 6, 7]);
    lab.disk.set_capacity(None);
    lab.upkeep();
    assert_eq!(lab.append(0, &[&[9]]).unwrap().base_offset, offset(8));
}

#[test]
fn a_log_that_cannot_be_made_leaves_nothing_behind() {
    let mut lab = lab();
    let before = lab.disk.list(DATA.as_ref()).unwrap();
    lab.disk.set_capacity(Some(0));
    let id = LogId::from_bytes([77; 16]);
    let config = lab.config.clone();
    let refused = lab.directory().create_log(key(1), id, config, Offset::ZERO).unwrap_err();
    assert_eq!(refused.reason(), Reason::StorageFull);
    assert_eq!(lab.disk.list(DATA.as_ref()).unwrap(), before);
    lab.disk.set_capacity(None);
    lab.create(1);
}
