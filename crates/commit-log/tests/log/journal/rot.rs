//! A journal that rots between a sync and the start that needs it.

use std::io;
use std::path::PathBuf;

use commit_log::{DirectoryError, Recovered};
use disk::{Disk, DiskFile, Operation, PlannedFault};
use types::{DirectoryId, Offset};

use super::{LARGE, SEEDS, Ways, fault, fsync};
use crate::harness::{Lab, SMALL_BUFFERS, append, batch, folder, key, offset, read_all};

/// Before the batches of an entry.
const HEADER_LEN: usize = 64;
/// Where a batch says its format: a flip there makes it none.
const MAGIC: u64 = 16;

fn entry_len() -> usize {
    HEADER_LEN + batch(&[0]).bytes().len()
}

/// The file of the journal that was written first.
fn first_file(lab: &Lab) -> PathBuf {
    let first = lab.journal_files().into_iter().min();
    first.unwrap()
}

/// Log 0 with four entries in the journal, each of a step of its own. The machine is down.
fn four_entries(seed: u64) -> Lab {
    let mut lab = Lab::journalled(seed, fsync());
    for word in 0..4 {
        lab.journal(1, &[word]);
    }
    lab.disk.lose_power();
    lab
}

/// One record to a log, in a step of its own.
fn one(lab: &mut Lab, log: u32, word: u64) {
    lab.step(&[append(log, 1, &[&[word]])]).pop().unwrap().unwrap();
}

/// Log 0 is damaged, so that the journal is kept, and the first entry, of log 1, is gone. Behind it are
/// one of log 0 and one more of log 1. The directory was trusted.
fn kept_and_trusted() -> Lab {
    let mut lab = Lab::buffered(1, fsync(), SMALL_BUFFERS);
    lab.create(1);
    lab.sync(1, LARGE);
    lab.upkeep();
    one(&mut lab, 1, 5);
    one(&mut lab, 0, 1);
    one(&mut lab, 1, 6);
    lab.disk.lose_power();
    lab.disk.rot(&first_segment(0), MAGIC).unwrap();
    lab.disk.rot(&first_file(&lab), 0).unwrap();
    cause_of_refusal(&mut lab);
    trust(&mut lab);
    lab
}

fn first_segment(log: u32) -> PathBuf {
    folder(log).join("00000000000000000000-1.log")
}

fn cause_of_refusal(lab: &mut Lab) -> String {
    match lab.open() {
        Err(DirectoryError::Fenced { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

fn trust(lab: &mut Lab) {
    lab.trusted = Some(DirectoryId::from_bytes([1; 16]));
    lab.open().unwrap();
    lab.trusted = None;
}

#[test]
fn an_entry_that_had_been_synced_is_missed_whichever_byte_of_it_rots() {
    for byte in 0..3 * entry_len() {
        let mut lab = four_entries(byte as u64);
        lab.disk.rot(&first_file(&lab), byte as u64).unwrap();
        let gone = byte / entry_len();
        let cause = cause_of_refusal(&mut lab);
        let expected = format!("1 of the entries {gone} to {gone} of its journal are ");
        assert!(cause.starts_with(&expected), "byte {byte}: {cause}");
        // Nor does a later start believe it.
        assert_eq!(cause_of_refusal(&mut lab), cause, "byte {byte}");
    }
}

#[test]
fn entries_that_are_gone_up_to_the_end_of_their_file_are_missed() {
    let mut lab = Lab::journalled(1, fsync());
    let mut word = 0;
    while !lab.directory().needs_upkeep() {
        lab.journal(1, &[word]);
        word += 1;
    }
    // The last one went to the next file.
    lab.disk.lose_power();
    let file = lab.disk.open(&first_file(&lab)).unwrap();
    let len = usize::try_from(file.len().unwrap()).unwrap();
    file.write_all_at(&vec![0; len], 0).unwrap();
    file.sync_data().unwrap();
    let cause = cause_of_refusal(&mut lab);
    let expected = format!("{} of the entries 0 to {} of its journal are", word - 1, word - 2);
    assert!(cause.starts_with(&expected), "{cause}");
}

#[test]
fn what_a_loss_of_power_tears_is_not_missed() {
    let mut torn = 0;
    for seed in 0..4 * SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        (1..4).for_each(|log| drop(lab.create(log)));
        let step = |word: u64| -> Vec<_> { (0..4).map(|log| append(log, 1, &[&[word]])).collect() };
        assert!(lab.step(&step(0)).iter().all(Result::is_ok));
        lab.disk.cut_power_after((seed % 6) as u32);
        let answered = lab.step(&step(1)).iter().all(Result::is_ok);
        torn += u32::from(!answered);
        lab.lose_power();
        for log in 0..4 {
            let found = read_all(&lab.directory().reader(key(log)).unwrap(), 1000);
            assert!(found.len() >= if answered { 2 } else { 1 }, "seed {seed}: {found:?}");
        }
    }
    assert!(torn > 100, "{torn}");
}

#[test]
fn whoever_trusts_the_directory_loses_what_is_gone_and_nothing_else() {
    // Nothing of it is in the files of the logs.
    let mut lab = Lab::buffered(1, fsync(), SMALL_BUFFERS);
    lab.create(1);
    lab.journal(1, &[0]);
    one(&mut lab, 1, 5);
    lab.journal(1, &[1]);
    one(&mut lab, 1, 6);
    lab.disk.lose_power();
    lab.disk.rot(&first_file(&lab), 2 * entry_len() as u64).unwrap();
    cause_of_refusal(&mut lab);
    trust(&mut lab);
    assert_eq!(lab.directory().journal_found().lost, 1);
    assert_eq!(lab.words(), [0]);
    let other = lab.directory().reader(key(1)).unwrap();
    assert_eq!(read_all(&other, 1000), [(0, 1, 5), (1, 1, 6)]);
    // From here on it is as always.
    lab.append(2, &[&[7]]).unwrap();
    lab.lose_power();
    assert_eq!(lab.directory().journal_found().lost, 0);
    assert_eq!(lab.words(), [0, 7]);
}

#[test]
fn a_log_that_lost_what_stood_in_the_middle_ends_there_once_it_is_trusted() {
    for keeps_journal in [false, true] {
        let mut lab = Lab::buffered(1, fsync(), SMALL_BUFFERS);
        lab.create(1);
        lab.step(&[append(1, 1, &[LARGE])]).pop().unwrap().unwrap();
        lab.upkeep();
        for word in 0..3 {
            lab.journal(1, &[word]);
        }
        lab.disk.lose_power();
        if keeps_journal {
            lab.disk.rot(&first_segment(1), MAGIC).unwrap();
        }
        lab.disk.rot(&first_file(&lab), entry_len() as u64).unwrap();
        cause_of_refusal(&mut lab);
        trust(&mut lab);
        assert!(matches!(lab.outcome(), Recovered::Usable { end, .. } if *end == offset(1)));
        assert_eq!(lab.words(), [0]);
        // What was behind the gap does not follow what comes now.
        lab.append(1, &[&[7]]).unwrap();
        lab.lose_power();
        assert_eq!(lab.words(), [0, 7]);
    }
}

#[test]
fn a_gap_that_the_journal_did_not_lose_is_damage_though_the_directory_is_trusted() {
    let mut lab = Lab::buffered(1, fsync(), SMALL_BUFFERS);
    lab.create(1);
    // Noted nowhere.
    lab.sync(1, LARGE);
    one(&mut lab, 0, 30);
    one(&mut lab, 1, 0);
    one(&mut lab, 1, 1);
    lab.disk.lose_power();
    let file = lab.disk.open(&first_segment(0)).unwrap();
    file.set_len(0).unwrap();
    file.sync_data().unwrap();
    lab.disk.rot(&first_file(&lab), entry_len() as u64).unwrap();
    cause_of_refusal(&mut lab);
    trust(&mut lab);
    assert!(matches!(lab.outcome(), Recovered::Damaged(_)));
    // Before what the log has of the journal, too.
    let mut lab = Lab::buffered(1, fsync(), SMALL_BUFFERS);
    lab.create(1);
    one(&mut lab, 1, 0);
    one(&mut lab, 0, 0);
    lab.sync(1, LARGE);
    one(&mut lab, 0, 31);
    lab.disk.lose_power();
    let file = lab.disk.open(&first_segment(0)).unwrap();
    file.set_len(batch(&[0]).bytes().len() as u64).unwrap();
    file.sync_data().unwrap();
    lab.disk.rot(&first_file(&lab), 0).unwrap();
    cause_of_refusal(&mut lab);
    trust(&mut lab);
    assert!(matches!(lab.outcome(), Recovered::Damaged(_)));
}

#[test]
fn what_was_put_up_with_once_is_not_asked_again_while_the_journal_is_kept() {
    let mut lab = kept_and_trusted();
    for _ in 0..2 {
        assert!(matches!(lab.outcome(), Recovered::Damaged(_)));
        let other = lab.directory().reader(key(1)).unwrap();
        assert_eq!((other.log_start(), other.end()), (Offset::ZERO, Offset::ZERO));
        lab.upkeep();
        lab.lose_power();
    }
    // The operator brings the file back, and finds what only the journal holds, behind the damage.
    lab.disk.rot(&first_segment(0), MAGIC).unwrap();
    lab.lose_power();
    assert_eq!(lab.words().len(), LARGE.len() + 1);
}

#[test]
fn what_rots_after_something_was_put_up_with_is_missed_again() {
    let mut lab = kept_and_trusted();
    lab.disk.rot(&first_file(&lab), entry_len() as u64).unwrap();
    let cause = cause_of_refusal(&mut lab);
    assert!(cause.starts_with("2 of the entries 0 to 1 of its journal are"), "{cause}");
}

#[test]
fn a_trusted_start_that_is_broken_off_is_asked_for_again() {
    for operations in 0..12 {
        let mut lab = four_entries(3);
        lab.disk.rot(&first_file(&lab), 0).unwrap();
        let cause = cause_of_refusal(&mut lab);
        lab.trusted = Some(DirectoryId::from_bytes([1; 16]));
        lab.disk.cut_power_after(operations);
        let is_through = lab.open().is_ok();
        lab.trusted = None;
        lab.disk.lose_power();
        if is_through {
            lab.open().unwrap();
        } else if lab.open().is_err() {
            assert_eq!(cause_of_refusal(&mut lab), cause, "{operations}");
            trust(&mut lab);
        }
        assert_eq!(lab.reader().end(), offset(lab.words().len() as u64));
    }
}

#[test]
fn a_trusted_start_that_cannot_note_what_is_missing_fails() {
    let mut lab = four_entries(1);
    lab.disk.rot(&first_file(&lab), 0).unwrap();
    cause_of_refusal(&mut lab);
    lab.trusted = Some(DirectoryId::from_bytes([1; 16]));
    let full = PlannedFault {
        error: io::ErrorKind::StorageFull,
        ..fault(Operation::Create, "checkpoint")
    };
    lab.disk.fail(full);
    assert!(matches!(lab.open(), Err(DirectoryError::Storage { .. })));
    assert_eq!(lab.disk.faults_to_come(), 0);
    trust(&mut lab);
}

#[test]
fn a_directory_that_cannot_be_marked_is_refused_and_can_be_trusted_all_the_same() {
    let mut lab = four_entries(1);
    lab.disk.rot(&first_file(&lab), 0).unwrap();
    lab.disk.fail(fault(Operation::Create, "fenced"));
    let found_out = cause_of_refusal(&mut lab);
    assert_eq!(lab.disk.faults_to_come(), 0);
    lab.disk.fail(fault(Operation::Create, "fenced"));
    trust(&mut lab);
    assert_eq!(lab.disk.faults_to_come(), 0);
    assert!(found_out.starts_with("1 of the entries 0 to 0"), "{found_out}");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_a_torn_write() {
    let mut lab = four_entries(1);
    lab.disk.spoil(&first_file(&lab), 3 * entry_len() as u64 + 10).unwrap();
    assert!(matches!(lab.open(), Err(DirectoryError::Storage { .. })));
}

#[test]
fn a_mark_without_room_for_its_cause_is_one() {
    let mut lab = four_entries(1);
    lab.disk.rot(&first_file(&lab), 0).unwrap();
    lab.disk.set_capacity(Some(lab.disk.used()));
    cause_of_refusal(&mut lab);
    let unsaid = cause_of_refusal(&mut lab);
    assert_eq!(unsaid, "a sync failed, or synced entries of its journal are not there any more");
    lab.disk.set_capacity(None);
    trust(&mut lab);
}

#[test]
fn what_lies_in_the_logs_as_well_may_rot_in_the_journal_and_heals_what_rots_there() {
    for closes in [false, true] {
        let mut lab = Lab::journalled(2, fsync());
        (0..4).for_each(|word| lab.journal(1, &[word]));
        if closes {
            lab.close();
        } else {
            lab.upkeep();
        }
        lab.disk.rot(&first_file(&lab), 0).unwrap();
        // All but the first batch of the log is cut as a torn tail.
        let second = batch(&[0]).bytes().len() as u64;
        lab.disk.rot(&first_segment(0), second + MAGIC).unwrap();
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1, 2, 3]);
        assert_eq!(lab.directory().journal_found().lost, 0);
    }
}

#[test]
fn what_was_put_up_with_does_not_follow_what_came_since_if_it_reads_again() {
    let mut lab = Lab::buffered(1, fsync(), SMALL_BUFFERS);
    lab.create(1);
    lab.step(&[append(1, 1, &[LARGE])]).pop().unwrap().unwrap();
    lab.upkeep();
    lab.journal(1, &[0]);
    lab.journal(1, &[1, 2]);
    one(&mut lab, 1, 5);
    lab.disk.lose_power();
    // For this one the journal is kept.
    lab.disk.rot(&first_segment(1), MAGIC).unwrap();
    let lost = entry_len() as u64;
    lab.disk.rot(&first_file(&lab), lost).unwrap();
    cause_of_refusal(&mut lab);
    trust(&mut lab);
    assert_eq!(lab.words(), [0]);
    lab.append(1, &[&[7]]).unwrap();
    lab.disk.rot(&first_file(&lab), lost).unwrap();
    lab.lose_power();
    assert_eq!(lab.words(), [0, 7]);
}
