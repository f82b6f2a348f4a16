//! When a segment ends, and what the listing of segments tells.

use commit_log::{Append, AppendAt, EpochStart, LogConfig};
use disk::Disk;
use types::{Durability, LeaderEpoch};

use crate::harness::{
    Lab, append, batch, folder, key, millis, offset, one_segment, small_segments,
};

fn epochs(lab: &mut Lab) -> Vec<(u32, u64)> {
    let known = lab.reader().epochs();
    known.into_iter().map(|EpochStart { epoch, start }| (epoch.get(), start.get())).collect()
}

#[test]
fn a_segment_ends_where_the_next_append_would_make_it_too_large() {
    let len = batch(&[0]).bytes().len() as u64;
    let config = LogConfig { segment_bytes: 3 * len, ..one_segment(Durability::Fsync) };
    let mut lab = Lab::new(1, config);
    for word in 0..4 {
        lab.append(1, &[&[word]]).unwrap();
    }
    // Larger than a segment: it gets one of its own.
    lab.append(1, &[&[4], &[5], &[6], &[7]]).unwrap();
    lab.append(1, &[&[8]]).unwrap();
    let expected = [0, 3, 4, 8].map(|base| format!("{base:020}-1.log"));
    assert_eq!(lab.segments(), expected);
}

#[test]
fn a_segment_ends_when_it_is_old_enough_at_an_append_or_at_upkeep() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lab.append(1, &[&[0]]).unwrap();
    lab.now = millis(999);
    lab.append(1, &[&[1]]).unwrap();
    assert_eq!(lab.segments().len(), 1);
    lab.now = millis(1000);
    lab.append(1, &[&[2]]).unwrap();
    assert_eq!(lab.segments().len(), 2);
    lab.now = millis(2000);
    lab.upkeep();
    assert_eq!(lab.files(".index").len(), 2, "both are sealed");
    assert_eq!(lab.segments().len(), 2, "an empty one is not made ahead");
}

#[test]
fn the_listing_is_the_epoch_cache() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lab.append(3, &[&[0], &[1]]).unwrap();
    lab.append(3, &[&[2]]).unwrap();
    lab.append(7, &[&[3]]).unwrap();
    lab.append(9, &[&[4]]).unwrap();
    assert_eq!(
        lab.segments(),
        ["00000000000000000000-3.log", "00000000000000000003-7.log", "00000000000000000004-9.log"]
    );
    lab.lose_power();
    assert_eq!(epochs(&mut lab), [(3, 0), (7, 3), (9, 4)]);
    let reader = lab.reader();
    let end = |epoch| reader.end_of_epoch(LeaderEpoch::new(epoch)).map(types::Offset::get);
    assert_eq!(
        [2, 3, 6, 7, 8, 9, 10].map(end),
        [None, Some(3), Some(3), Some(4), Some(4), Some(5), Some(5)]
    );
}

#[test]
fn the_epoch_of_what_was_removed_is_remembered() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lab.append(3, &[&[0]]).unwrap();
    lab.append(7, &[&[1]]).unwrap();
    lab.directory().advance_log_start(key(0), offset(2)).unwrap();
    assert!(lab.segments().is_empty());
    // Or the loss of power could bring a segment back.
    lab.upkeep();
    lab.lose_power();
    assert_eq!(lab.reader().last_epoch(), Some(LeaderEpoch::new(7)));
    assert_eq!(epochs(&mut lab), [(7, 2)]);
    assert_eq!(lab.append(7, &[&[2]]).unwrap().base_offset, offset(2));
}

#[test]
fn the_epoch_of_what_recovery_removed_is_remembered_through_another_crash() {
    for seed in 0..150 {
        let mut lab = Lab::new(seed, one_segment(Durability::PageCache));
        lab.append(3, &[&[0]]).unwrap();
        lab.append(7, &[&[1], &[2]]).unwrap();
        // The segment of epoch 7 stays, since it goes on behind the start...
        lab.truncate(key(0), offset(3)).unwrap();
        lab.upkeep();
        lab.directory().advance_log_start(key(0), offset(2)).unwrap();
        lab.truncate(key(0), offset(2)).unwrap();
        // ... until recovery finds one that begins there.
        lab.append(9, &[&[9]]).unwrap();
        lab.upkeep();
        lab.disk.lose_power();
        lab.disk.cut_power_after((seed % 9) as u32);
        let _interrupted = lab.open().is_err();
        lab.lose_power();
        assert_eq!(lab.contents(), [(2, 9, 9)]);
        let end = lab.reader().end_of_epoch(LeaderEpoch::new(7));
        assert_eq!(end, Some(offset(2)), "seed {seed}");
        assert!(epochs(&mut lab).contains(&(7, 2)) || lab.segments().len() == 2, "seed {seed}");
    }
}

#[test]
fn segments_wholly_before_the_start_are_removed_with_their_indexes() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..9 {
        lab.append(1, &[&[word]]).unwrap();
    }
    lab.upkeep();
    lab.directory().advance_log_start(key(0), offset(5)).unwrap();
    assert_eq!(lab.segments(), ["00000000000000000003-1.log", "00000000000000000006-1.log"]);
    assert_eq!(lab.files(".index"), ["00000000000000000003-1.index"]);
    lab.lose_power();
    assert_eq!(lab.words(), [5, 6, 7, 8]);
}

#[test]
fn a_cut_segment_takes_appends_again_in_its_epoch() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..9 {
        lab.append(1, &[&[word]]).unwrap();
    }
    lab.upkeep();
    lab.truncate(key(0), offset(4)).unwrap();
    lab.append(1, &[&[44]]).unwrap();
    assert_eq!(lab.segments(), ["00000000000000000000-1.log", "00000000000000000003-1.log"]);
    assert_eq!(lab.files(".index"), ["00000000000000000000-1.index"]);
    lab.lose_power();
    assert_eq!(lab.words(), [0, 1, 2, 3, 44]);
}

#[test]
fn a_truncation_within_a_batch_drops_the_whole_batch() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lab.append(1, &[&[0, 1], &[2, 3, 4]]).unwrap();
    assert_eq!(lab.truncate(key(0), offset(4)).unwrap(), offset(2));
    assert_eq!(lab.words(), [0, 1]);
}

#[test]
fn a_log_of_raft_entries_is_cut_at_a_conflict_and_begins_anew_behind_a_snapshot() {
    let mut lab = Lab::empty(1, one_segment(Durability::Fsync));
    let (id, config) = (types::LogId::from_bytes([5; 16]), lab.config.clone());
    lab.directory().create_log(key(0), id, config, offset(1)).unwrap();
    let entry = |index, term, word| Append {
        at: AppendAt::Exactly(offset(index)),
        ..append(0, term, &[&[word]])
    };
    for answer in lab.step(&[entry(1, 1, 11), entry(2, 1, 12), entry(3, 2, 13)]) {
        answer.unwrap();
    }
    lab.truncate(key(0), offset(2)).unwrap();
    lab.step(&[entry(2, 4, 22)]).pop().unwrap().unwrap();
    lab.lose_power();
    assert_eq!(lab.contents(), [(1, 1, 11), (2, 4, 22)]);
    lab.directory().reset(key(0), offset(101)).unwrap();
    lab.step(&[entry(101, 5, 1)]).pop().unwrap().unwrap();
    lab.lose_power();
    assert_eq!(lab.contents(), [(101, 5, 1)]);
    assert_eq!(lab.segments(), ["00000000000000000101-5.log"]);
}

#[test]
fn leftovers_of_a_crash_are_cleared_away() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    lab.append(1, &[&[0]]).unwrap();
    for file in ["00000000000000000007-1.index", "x.tmp", "00000000000000000001-2.log"] {
        lab.disk.create_new(&folder(0).join(file)).unwrap();
    }
    let new = std::path::Path::new("/data/new-0000");
    lab.disk.create_dir(new).unwrap();
    lab.disk.create_new(&new.join("partition.meta")).unwrap();
    lab.kill();
    assert_eq!(lab.disk.list(&folder(0)).unwrap().len(), 2);
    assert!(lab.disk.list(new).is_err());
}
