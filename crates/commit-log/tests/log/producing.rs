//! Idempotent producers: a batch that is sent again is in the log once, whatever happened between.

use commit_log::{Append, AppendAt, AppendError, Appended, LogConfig, ProducerRefusal, Recovered};
use disk::{Disk, DiskFile, Operation, PlannedFault};
use record::{Batch, BatchBuilder, BatchProducer, Compression};
use types::{Durability, LeaderEpoch, ProducerEpoch, ProducerId, Sequence};

use crate::harness::{
    Lab, SMALL_BUFFERS, append, folder, key, millis, offset, one_segment, small_segments,
};

const SEEDS: u64 = 100;

/// One record of producer 7: its sequence is what it says.
fn numbered(sequence: u32) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.produced_by(BatchProducer {
        id: ProducerId::new(7),
        epoch: ProducerEpoch::new(0).unwrap(),
        base_sequence: Sequence::new(sequence),
    });
    let word = u64::from(sequence).to_be_bytes();
    builder.push(millis(0), None, Some(&word), &[]).unwrap();
    builder.build().unwrap()
}

fn sent(epoch: u32, sequence: u32) -> Append {
    let epoch = LeaderEpoch::new(epoch);
    Append { log: key(0), epoch, batches: vec![numbered(sequence)], at: AppendAt::End }
}

fn send(lab: &mut Lab, epoch: u32, sequence: u32) -> Result<Appended, AppendError> {
    lab.step(&[sent(epoch, sequence)]).pop().unwrap()
}

/// Sends, and looks where it lies: each sequence is its offset.
#[track_caller]
fn lies_in_place(lab: &mut Lab, epoch: u32, sequence: u32) {
    let answer = send(lab, epoch, sequence).unwrap();
    let place = u64::from(sequence);
    assert_eq!((answer.base_offset, answer.end), (offset(place), offset(place + 1)));
}

#[test]
fn a_batch_sent_again_is_answered_with_where_it_lies() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    for sequence in 0..6 {
        lies_in_place(&mut lab, 1, sequence);
    }
    for sequence in 1..6 {
        lies_in_place(&mut lab, 1, sequence);
    }
    assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5]);
    let refused = send(&mut lab, 1, 7).unwrap_err();
    assert!(
        matches!(refused, AppendError::Producer(ProducerRefusal::OutOfOrder { .. })),
        "{refused}"
    );
    assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn j11_a_duplicate_is_answered_no_sooner_than_its_original() {
    for journalled in [false, true] {
        let config = one_segment(Durability::Fsync);
        let mut lab = if journalled { Lab::journalled(1, config) } else { Lab::new(1, config) };
        lab.disk.fail(PlannedFault {
            operation: Operation::SyncData,
            path_contains: String::new(),
            after: 0,
            error: std::io::ErrorKind::Other,
        });
        // Both in the step whose sync fails.
        for answer in lab.step(&[sent(1, 0), sent(1, 0)]) {
            assert!(matches!(answer, Err(AppendError::Fenced(_))), "{answer:?}");
        }
    }
}

#[test]
fn j11_a_duplicate_of_what_is_not_durable_yet_makes_it_so() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, one_segment(Durability::PageCache));
        assert_eq!(send(&mut lab, 1, 0).unwrap().durable_end, offset(0));
        lab.directory().set_config(key(0), one_segment(Durability::Fsync)).unwrap();
        assert_eq!(send(&mut lab, 1, 0).unwrap().durable_end, offset(1));
        lab.lose_power();
        assert_eq!(lab.words(), [0], "seed {seed}");
    }
}

#[test]
fn j11_what_a_loss_of_power_took_is_no_duplicate() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, small_segments(Durability::PageCache));
        for sequence in 0..9 {
            lies_in_place(&mut lab, 1, sequence);
            if u64::from(sequence) == seed % 9 {
                lab.upkeep();
            }
        }
        lab.lose_power();
        let kept = u32::try_from(lab.words().len()).unwrap();
        for sequence in kept.saturating_sub(3)..kept + 3 {
            lies_in_place(&mut lab, 2, sequence);
        }
        let expected: Vec<u64> = (0..u64::from(kept) + 3).collect();
        assert_eq!(lab.words(), expected, "seed {seed}");
    }
}

#[test]
fn j11_what_was_cut_is_no_duplicate_and_what_stays_is_one() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, small_segments(Durability::Fsync));
        for sequence in 0..12 {
            lies_in_place(&mut lab, 1, sequence);
            if seed % 3 == 0 && sequence == 7 {
                lab.upkeep();
            }
        }
        let end = u32::try_from(seed % 12).unwrap();
        lab.truncate(key(0), offset(u64::from(end))).unwrap();
        if seed % 2 == 0 {
            lab.lose_power();
        }
        for sequence in end.saturating_sub(5)..end + 2 {
            lies_in_place(&mut lab, 2, sequence);
        }
        assert_eq!(lab.words(), (0..u64::from(end) + 2).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn a_producer_is_known_after_its_records_were_removed() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, small_segments(Durability::Fsync));
        for sequence in 0..9 {
            lies_in_place(&mut lab, 1, sequence);
        }
        lab.upkeep();
        let start = [4, 8, 9][usize::try_from(seed % 3).unwrap()];
        lab.directory().advance_log_start(key(0), offset(start)).unwrap();
        if seed % 2 == 0 {
            lab.lose_power();
        }
        lies_in_place(&mut lab, 1, 8);
        lies_in_place(&mut lab, 1, 9);
        assert_eq!(lab.reader().end(), offset(10), "seed {seed}");
    }
}

#[test]
fn a_producer_is_known_after_its_segment_was_removed_and_others_go_on() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, one_segment(Durability::Fsync));
        lies_in_place(&mut lab, 1, 0);
        // Its epoch gives it a segment of its own, before which no upkeep has stored anything.
        lab.step(&[append(0, 2, &[&[5]])]).pop().unwrap().unwrap();
        lab.directory().advance_log_start(key(0), offset(1)).unwrap();
        lab.lose_power();
        lies_in_place(&mut lab, 3, 0);
        assert_eq!(lab.words(), [5], "seed {seed}");
    }
}

#[test]
fn a_producer_is_known_where_a_crash_left_nothing_but_an_empty_segment_behind_the_start() {
    for seed in 0..SEEDS {
        let mut lab = Lab::buffered(seed, one_segment(Durability::Fsync), SMALL_BUFFERS);
        lies_in_place(&mut lab, 1, 0);
        // The log holds nothing then; who wrote what was in it is stored.
        lab.directory().advance_log_start(key(0), offset(1)).unwrap();
        // In the journal and in memory: its segment has been made and is empty.
        lab.append(1, &[&[5]]).unwrap();
        if seed % 2 == 0 {
            lab.kill();
        } else {
            lab.lose_power();
        }
        lies_in_place(&mut lab, 1, 0);
        assert_eq!(lab.words(), [5], "seed {seed}");
    }
}

#[test]
fn a_producer_is_known_where_a_crash_left_an_empty_segment_beside_one_that_stays() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lies_in_place(&mut lab, 1, 0);
    lab.directory().advance_log_start(key(0), offset(1)).unwrap();
    lab.append(3, &[&[5]]).unwrap();
    lab.upkeep();
    // As it is left by an append of an epoch before that did not come to anything.
    lab.disk.create_new(&folder(0).join("00000000000000000001-2.log")).unwrap();
    lab.kill();
    lies_in_place(&mut lab, 3, 0);
    assert_eq!(lab.words(), [5]);
}

#[test]
fn a_producer_is_known_after_a_crash_before_its_segment_had_a_snapshot_behind_it() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, one_segment(Durability::Fsync));
        lies_in_place(&mut lab, 1, 0);
        // Two segments more, and no upkeep.
        for (epoch, word) in [(2, 5), (3, 6)] {
            lab.step(&[append(0, epoch, &[&[word]])]).pop().unwrap().unwrap();
        }
        lab.kill();
        let start = 1 + seed % 2;
        lab.directory().advance_log_start(key(0), offset(start)).unwrap();
        lab.lose_power();
        lies_in_place(&mut lab, 4, 0);
        assert_eq!(lab.reader().end(), offset(3), "seed {seed}");
    }
}

#[test]
fn a_snapshot_that_a_crash_prevented_is_stored_by_the_next_upkeep() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lies_in_place(&mut lab, 1, 0);
    lab.step(&[append(0, 2, &[&[5]])]).pop().unwrap().unwrap();
    lab.kill();
    assert!(lab.files(".producers").is_empty());
    lab.upkeep();
    assert_eq!(lab.files(".producers"), ["00000000000000000001.producers"]);
}

#[test]
fn j11_a_log_that_is_cut_to_its_start_knows_who_wrote_before_it_and_nobody_else() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, small_segments(Durability::Fsync));
        for sequence in 0..9 {
            lies_in_place(&mut lab, 1, sequence);
        }
        if seed % 3 == 0 {
            lab.upkeep();
        }
        // At the begin of a segment, and within one.
        let start = 3 + u32::try_from(seed % 4).unwrap();
        lab.directory().advance_log_start(key(0), offset(u64::from(start))).unwrap();
        lab.truncate(key(0), offset(u64::from(start))).unwrap();
        if seed % 2 == 0 {
            lab.lose_power();
        }
        for sequence in start - 1..start + 3 {
            lies_in_place(&mut lab, 2, sequence);
        }
        assert_eq!(lab.reader().end(), offset(u64::from(start) + 3), "seed {seed}");
    }
}

#[test]
fn a_producer_is_known_where_a_crash_brought_back_what_had_been_deleted() {
    let mut back = 0;
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, one_segment(Durability::Fsync));
        lies_in_place(&mut lab, 1, 0);
        // A segment of its own, and no upkeep.
        lab.step(&[append(0, 2, &[&[5]])]).pop().unwrap().unwrap();
        lab.directory().advance_log_start(key(0), offset(2)).unwrap();
        lab.disk.lose_power();
        back += lab.segments().len();
        lab.kill();
        lies_in_place(&mut lab, 3, 0);
        assert_eq!(lab.reader().end(), offset(2), "seed {seed}");
    }
    assert_ne!(back, 0);
}

#[test]
fn a_producer_is_known_though_a_deletion_that_went_further_was_broken_off() {
    let mut broken_off = 0;
    for operations in 0..12 {
        let mut lab = Lab::new(1, one_segment(Durability::Fsync));
        // Three segments.
        lies_in_place(&mut lab, 1, 0);
        lab.append(2, &[&[5]]).unwrap();
        lab.append(3, &[&[6]]).unwrap();
        lab.disk.cut_power_after(operations);
        let deleted = lab.directory().advance_log_start(key(0), offset(2)).is_ok();
        lab.lose_power();
        if lab.reader().log_start() == offset(0) {
            broken_off += u32::from(!deleted);
            lab.directory().advance_log_start(key(0), offset(1)).unwrap();
            // With it goes what the first deletion had stored.
            lab.truncate(key(0), offset(2)).unwrap();
            lies_in_place(&mut lab, 4, 0);
            lab.kill();
        }
        lies_in_place(&mut lab, 4, 0);
    }
    assert!(broken_off > 3, "{broken_off}");
}

#[test]
fn a_producer_is_known_where_only_the_journal_holds_the_log_from_its_start_on() {
    for seed in 0..SEEDS {
        let mut lab = Lab::buffered(seed, one_segment(Durability::Fsync), SMALL_BUFFERS);
        lies_in_place(&mut lab, 1, 0);
        lab.directory().roll(key(0)).unwrap();
        lab.append(1, &[&[5]]).unwrap();
        lab.upkeep();
        // In the same segment, and not in its file.
        lab.append(1, &[&[6]]).unwrap();
        lab.directory().advance_log_start(key(0), offset(2)).unwrap();
        // The first of these puts what the journal holds into a segment of its own.
        for _ in 0..2 {
            lab.lose_power();
        }
        lies_in_place(&mut lab, 1, 0);
        assert_eq!(lab.words(), [6], "seed {seed}");
    }
}

#[test]
fn j11_a_log_that_is_cut_to_where_a_batch_ends_and_it_starts_knows_who_wrote_before_it() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    (0..4).for_each(|sequence| lies_in_place(&mut lab, 1, sequence));
    lab.directory().advance_log_start(key(0), offset(2)).unwrap();
    lab.truncate(key(0), offset(2)).unwrap();
    lies_in_place(&mut lab, 2, 2);
    lab.kill();
    (0..4).for_each(|sequence| lies_in_place(&mut lab, 2, sequence));
    assert_eq!(lab.words(), [2, 3]);
}

#[test]
fn a_log_that_is_reset_knows_nobody_however_far_it_grows_again() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lies_in_place(&mut lab, 1, 0);
    // Where it starts now it is stored who wrote before.
    lab.directory().advance_log_start(key(0), offset(1)).unwrap();
    lab.directory().reset(key(0), offset(0)).unwrap();
    lab.append(1, &[&[7, 8]]).unwrap();
    lab.directory().advance_log_start(key(0), offset(1)).unwrap();
    lab.kill();
    let answer = send(&mut lab, 2, 0).unwrap();
    assert_eq!(answer.base_offset, offset(2), "taken for what it wrote before the reset");
}

#[test]
fn a_reset_that_was_broken_off_knows_nobody_either() {
    for operations in 0..10 {
        let mut lab = Lab::new(u64::from(operations), one_segment(Durability::Fsync));
        (0..2).for_each(|sequence| lies_in_place(&mut lab, 1, sequence));
        lab.directory().advance_log_start(key(0), offset(2)).unwrap();
        lab.append(1, &[&[7]]).unwrap();
        lab.disk.cut_power_after(operations);
        let is_through = lab.directory().reset(key(0), offset(2)).is_ok();
        lab.lose_power();
        let begins_anew = lab.reader().end() == offset(2);
        assert!(begins_anew || !is_through);
        let answer = send(&mut lab, 1, 0);
        if begins_anew {
            assert_eq!(answer.unwrap().base_offset, offset(2), "after {operations}");
        } else {
            assert_eq!(answer.unwrap().base_offset, offset(0), "after {operations}");
        }
    }
}

#[test]
fn a_producer_stays_known_where_a_crash_brought_back_what_had_been_deleted_and_others_go_on() {
    let mut back = 0;
    for seed in 0..2 * SEEDS {
        let mut lab = Lab::buffered(seed, one_segment(Durability::Fsync), SMALL_BUFFERS);
        // Later than its records say: a segment that a crash leaves open stays so.
        lab.now = millis(100);
        lies_in_place(&mut lab, 1, 0);
        lab.append(2, &[&[5]]).unwrap();
        lab.directory().advance_log_start(key(0), offset(2)).unwrap();
        // Of the epoch of what may come back; in the journal alone.
        lab.append(2, &[&[6]]).unwrap();
        lab.disk.lose_power();
        back += usize::from(lab.segments().contains(&"00000000000000000001-2.log".to_owned()));
        lab.kill();
        lab.kill();
        lies_in_place(&mut lab, 3, 0);
        assert_eq!(lab.words(), [6], "seed {seed}");
    }
    assert_ne!(back, 0);
}

#[test]
fn j11_a_log_whose_first_batch_is_cut_knows_who_wrote_before_it() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, one_segment(Durability::Fsync));
        lies_in_place(&mut lab, 1, 0);
        lab.directory().advance_log_start(key(0), offset(1)).unwrap();
        lab.append(1, &[&[5, 6, 7]]).unwrap();
        if seed % 3 == 0 {
            lab.upkeep();
        }
        lab.truncate(key(0), offset(2)).unwrap();
        assert_eq!(lab.reader().end(), offset(1));
        if seed % 2 == 0 {
            lab.lose_power();
        }
        lies_in_place(&mut lab, 2, 0);
        lies_in_place(&mut lab, 2, 1);
    }
}

#[test]
fn j11_a_log_whose_start_lies_within_the_batch_that_is_cut_knows_who_wrote_before_that() {
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, one_segment(Durability::Fsync));
        for sequence in 0..2 {
            lies_in_place(&mut lab, 1, sequence);
        }
        lab.append(1, &[&[5, 6]]).unwrap();
        lab.directory().advance_log_start(key(0), offset(3)).unwrap();
        lab.truncate(key(0), offset(3)).unwrap();
        assert_eq!((lab.reader().log_start(), lab.reader().end()), (offset(3), offset(3)));
        if seed % 2 == 0 {
            lab.lose_power();
        }
        lies_in_place(&mut lab, 2, 1);
        assert_eq!(send(&mut lab, 2, 2).unwrap().base_offset, offset(3), "seed {seed}");
    }
}

#[test]
fn a_producer_is_known_where_a_loss_of_power_left_nothing_whole_behind_the_start() {
    let mut torn = 0;
    for seed in 0..SEEDS {
        let mut lab = Lab::new(seed, one_segment(Durability::PageCache));
        lies_in_place(&mut lab, 1, 0);
        lab.directory().advance_log_start(key(0), offset(1)).unwrap();
        lab.append(1, &[&[5]]).unwrap();
        lab.lose_power();
        torn += usize::from(matches!(lab.outcome(), Recovered::Usable { torn_tail: Some(_), .. }));
        lies_in_place(&mut lab, 1, 0);
    }
    assert_ne!(torn, 0);
}

#[test]
fn what_only_the_journal_held_is_known_after_replay() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, small_segments(Durability::Fsync));
        for sequence in 0..4 {
            lies_in_place(&mut lab, 1, sequence);
        }
        lab.lose_power();
        lies_in_place(&mut lab, 2, 3);
        lies_in_place(&mut lab, 2, 4);
    }
}

#[test]
fn a_refused_write_leaves_its_batch_new() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lies_in_place(&mut lab, 1, 0);
    lab.disk.fail(PlannedFault {
        operation: Operation::Write,
        path_contains: ".log".to_owned(),
        after: 0,
        error: std::io::ErrorKind::StorageFull,
    });
    assert!(matches!(send(&mut lab, 1, 1), Err(AppendError::Full { .. })));
    lies_in_place(&mut lab, 1, 1);
    assert_eq!(lab.words(), [0, 1]);
}

#[test]
fn a_deleted_log_knows_nobody_in_its_next_life() {
    let mut lab = Lab::new(1, one_segment(Durability::Fsync));
    lies_in_place(&mut lab, 1, 0);
    lab.directory().delete_log(key(0)).unwrap();
    lab.create(0);
    lies_in_place(&mut lab, 1, 0);
    lab.directory().reset(key(0), offset(5)).unwrap();
    assert_eq!(send(&mut lab, 1, 0).unwrap().base_offset, offset(5));
}

#[test]
fn records_can_be_deleted_where_there_is_no_room_to_note_first_who_wrote_them() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    lab.ballast_bytes = 10_000;
    lab.kill();
    lab.directory().ballast().restore().unwrap();
    for sequence in 0..9 {
        lies_in_place(&mut lab, 1, sequence);
    }
    let full = || PlannedFault {
        operation: Operation::Write,
        path_contains: ".producers".to_owned(),
        after: 0,
        error: std::io::ErrorKind::StorageFull,
    };
    lab.disk.fail(full());
    lab.directory().advance_log_start(key(0), offset(4)).unwrap();
    assert_eq!(lab.directory().ballast().missing().unwrap(), 10_000, "noted first, in its room");
    assert_eq!(lab.files(".producers"), ["00000000000000000003.producers"]);

    lab.disk.fail(full());
    lab.directory().advance_log_start(key(0), offset(9)).unwrap();
    assert_eq!(lab.disk.faults_to_come(), 0);
    assert_eq!(lab.files(".producers"), ["00000000000000000009.producers"]);
    lab.lose_power();
    lies_in_place(&mut lab, 1, 8);
}

#[test]
fn a_producer_that_was_idle_for_long_is_forgotten() {
    let config = one_segment(Durability::Fsync);
    let mut lab = Lab::new(1, LogConfig { segment_ms: u64::MAX, ..config });
    lies_in_place(&mut lab, 1, 0);
    let day = 24 * 60 * 60 * 1000;
    lab.now = millis(day - 1);
    lab.upkeep();
    lies_in_place(&mut lab, 1, 1);
    lab.now = millis(2 * day);
    lab.upkeep();
    let refused = send(&mut lab, 1, 2).unwrap_err();
    assert!(matches!(refused, AppendError::Producer(ProducerRefusal::Unknown { .. })), "{refused}");
}

#[test]
fn j11_a_snapshot_that_the_log_contradicts_is_not_believed() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for sequence in 0..8 {
        lies_in_place(&mut lab, 1, sequence);
    }
    lab.upkeep();
    let stored = lab.files(".producers");
    assert_eq!(stored.last().unwrap(), "00000000000000000006.producers");
    let of_six = folder(0).join(stored.last().unwrap());
    let bytes = {
        let file = lab.disk.open(&of_six).unwrap();
        file.read_vec_at(usize::try_from(file.len().unwrap()).unwrap(), 0).unwrap()
    };
    lab.truncate(key(0), offset(3)).unwrap();
    assert!(lab.disk.open(&of_six).is_err(), "it went with its segment");
    // Somebody else's records take the place, in the next epoch; then a crash brings it back.
    for word in 100..110 {
        lab.append(2, &[&[word]]).unwrap();
    }
    lab.disk.create_new(&of_six).unwrap().write_all_at(&bytes, 0).unwrap();
    lab.kill();
    for sequence in 3..8 {
        let answer = send(&mut lab, 3, sequence).unwrap();
        assert_eq!(answer.base_offset, offset(u64::from(sequence) + 10), "it was cut, and is new");
    }
}
