//! What is taken on a disk that has little room left.

use commit_log::{Append, AppendAt, AppendError, LogConfig, LogError, LogOwner, Room};
use types::{Coded, Durability, LeaderEpoch, Reason};

use crate::harness::{Lab, batch, key, offset, small_segments};

const LOW: Room = Room::Low { free: 10, needed: 100 };
const CRITICAL: Room = Room::Critical { free: 1, needed: 100 };

fn lab() -> Lab {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    lab.append(1, &[&[0]]).unwrap();
    lab
}

fn taken(lab: &mut Lab, at: AppendAt) -> Result<(), AppendError> {
    let (log, epoch) = (key(0), LeaderEpoch::new(1));
    let append = Append { log, epoch, batches: vec![batch(&[1])], at };
    lab.step(&[append]).pop().unwrap().map(drop)
}

#[track_caller]
fn check_refused(taken: Result<(), AppendError>) {
    let refused = taken.unwrap_err();
    assert!(matches!(refused, AppendError::LowSpace { needed: 100, .. }), "{refused}");
    assert_eq!(refused.reason(), Reason::StorageFull);
}

#[test]
fn with_little_room_clients_are_refused_and_copies_taken() {
    let mut lab = lab();
    lab.directory().set_room(LOW);
    check_refused(taken(&mut lab, AppendAt::End));
    taken(&mut lab, AppendAt::Exactly(offset(1))).unwrap();
    lab.create(1);
    lab.directory().set_room(Room::Ample);
    taken(&mut lab, AppendAt::End).unwrap();
}

#[test]
fn with_little_room_the_platforms_own_logs_go_on() {
    let mut lab = lab();
    let config = LogConfig { owner: LogOwner::Platform, ..lab.config.clone() };
    lab.directory().set_config(key(0), config).unwrap();
    lab.directory().set_room(LOW);
    taken(&mut lab, AppendAt::End).unwrap();
    lab.directory().set_room(CRITICAL);
    check_refused(taken(&mut lab, AppendAt::End));
}

#[test]
fn with_hardly_any_room_only_what_frees_some_is_taken() {
    let mut lab = lab();
    lab.directory().set_room(CRITICAL);
    check_refused(taken(&mut lab, AppendAt::End));
    check_refused(taken(&mut lab, AppendAt::Exactly(offset(1))));
    assert!(matches!(lab.try_create(key(1)), Err(LogError::LowSpace { .. })));
    assert_eq!(lab.words(), [0], "readers go on");
    lab.directory().advance_log_start(key(0), offset(1)).unwrap();
    lab.upkeep();
    lab.directory().delete_log(key(0)).unwrap();
}
