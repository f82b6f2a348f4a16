//! What readers get.

use commit_log::{ReadError, WithinRead};
use types::{Durability, Offset, Timestamp};

use crate::harness::{
    Lab, batch, folder, key, millis, offset, one_segment, records, small_segments,
};

/// Batches at 0..2, 2..5, 5..6 and 6..10, all in one segment.
fn lab() -> Lab {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lab.append(1, &[&[0, 10], &[20, 30, 40], &[50], &[60, 70, 80, 90]]).unwrap();
    lab
}

#[track_caller]
fn check(from: u64, max_bytes: usize, up_to: u64, expected: std::ops::Range<u64>) {
    let bytes = lab().reader().read(offset(from), max_bytes, offset(up_to)).unwrap();
    let found: Vec<u64> = records(bytes).into_iter().map(|(at, ..)| at).collect();
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn a_read_in_the_middle_of_a_batch_gets_the_whole_batch() {
    check(3, 10_000, 99, 2..10);
}

#[test]
fn a_read_gets_no_more_bytes_than_asked_but_one_batch_at_least() {
    let two = batch(&[0, 10]).bytes().len() + batch(&[20, 30, 40]).bytes().len();
    check(0, two, 99, 0..5);
    check(0, two - 1, 99, 0..2);
    check(0, 0, 99, 0..2);
    check(7, 1, 99, 6..10);
}

#[test]
fn a_read_within_a_bound_tells_the_size_of_a_batch_that_is_larger() {
    let sizes = [&[0, 10][..], &[20, 30, 40]].map(|times| batch(times).bytes().len());
    let reader = lab().reader();
    // Also where the index leads to a batch before the one asked for.
    for (from, size) in [(0, sizes[0]), (1, sizes[0]), (2, sizes[1]), (4, sizes[1])] {
        let read = |max_bytes| reader.read_within(offset(from), max_bytes, Offset::MAX).unwrap();
        for max_bytes in [0, 1, size - 1] {
            let expected = WithinRead::TooLarge { needed: size };
            assert_eq!(read(max_bytes), expected, "{max_bytes} bytes from {from}");
        }
        let WithinRead::Batches(batches) = read(size) else { panic!("{size} bytes from {from}") };
        assert_eq!(batches.len(), size);
    }
}

#[test]
fn a_read_gets_no_batch_that_ends_beyond_the_bound() {
    check(0, 10_000, 5, 0..5);
    check(0, 10_000, 4, 0..2);
    check(3, 10_000, 4, 0..0);
    check(3, 10_000, 3, 0..0);
    check(3, 10_000, 2, 0..0);
}

#[test]
fn a_read_at_the_end_gets_nothing_and_behind_it_an_error() {
    check(10, 10_000, 99, 0..0);
    let error = lab().reader().read(offset(11), 1, Offset::MAX).unwrap_err();
    assert!(
        matches!(error, ReadError::OutOfRange { start: Offset::ZERO, end, .. } if end == offset(10))
    );
}

#[test]
fn a_read_before_the_start_is_refused_even_where_the_batch_is_still_there() {
    let mut lab = lab();
    lab.directory().advance_log_start(key(0), offset(3)).unwrap();
    let reader = lab.reader();
    assert!(matches!(reader.read(offset(2), 1, Offset::MAX), Err(ReadError::OutOfRange { .. })));
    assert_eq!(records(reader.read(offset(3), 1, Offset::MAX).unwrap())[0].0, 2);
}

#[test]
fn a_removed_segment_stays_readable_for_those_who_are_reading_it() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..9 {
        lab.append(1, &[&[word]]).unwrap();
    }
    let reader = lab.reader();
    let before = lab.segments().len();
    lab.directory().delete_log(key(0)).unwrap();
    assert!(before > 2);
    assert_eq!(crate::harness::read_all(&reader, 100).len(), 9);
}

#[test]
fn a_batch_that_rotted_away_is_an_error_and_those_before_it_are_not() {
    let mut lab = lab();
    let second = batch(&[0, 10]).bytes().len() as u64;
    lab.disk.rot(&folder(0).join("00000000000000000000-1.log"), second + 16).unwrap();
    let reader = lab.reader();
    assert_eq!(records(reader.read(offset(0), 10_000, Offset::MAX).unwrap()).len(), 2);
    let error = reader.read(offset(2), 10_000, Offset::MAX).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { flaw, .. } if flaw.position == second));
}

#[test]
fn the_first_record_not_older_is_found_across_segments() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..9_u64 {
        lab.append(1, &[&[100 * word, 100 * word + 50]]).unwrap();
    }
    lab.upkeep();
    let reader = lab.reader();
    let find = |time: i64, up_to| {
        let found = reader.offset_for_timestamp(millis(time), offset(up_to)).unwrap();
        found.map(|(at, time)| (at.get(), time.as_millis()))
    };
    assert_eq!(find(-5, 99), Some((0, 0)));
    assert_eq!(find(151, 99), Some((4, 200)));
    assert_eq!(find(850, 99), Some((17, 850)));
    assert_eq!(find(851, 99), None);
    assert_eq!(find(151, 4), None);
    lab.directory().advance_log_start(key(0), offset(9)).unwrap();
    assert_eq!(
        lab.reader().offset_for_timestamp(Timestamp::default(), offset(99)).unwrap().unwrap().0,
        offset(9)
    );
}

#[test]
fn times_that_run_backwards_are_found_by_the_first_that_fits() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lab.append(1, &[&[50], &[10], &[70], &[20], &[90]]).unwrap();
    let reader = lab.reader();
    let find = |time| reader.offset_for_timestamp(millis(time), Offset::MAX).unwrap().unwrap().0;
    assert_eq!([15, 50, 60, 75].map(find), [0, 0, 2, 4].map(offset));
}
