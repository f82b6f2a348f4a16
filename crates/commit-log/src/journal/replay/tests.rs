use disk::FaultyDisk;
use record::{BatchBuilder, Compression};
use types::Timestamp;

use super::super::JOURNAL_FILE;
use super::super::entry::{EntryHeader, Proof};
use super::*;
use crate::checkpoint::JournalMark;

const DATA: &str = "/data";
const GENERATION: u64 = 4;
const LOG: LogId = LogId::from_bytes([7; 16]);
const MARK: JournalMark = JournalMark::from_bytes(*b"sixteen are mine");
const LIFE: JournalLife = JournalLife {
    floor: JournalPosition { generation: GENERATION, sequence: 0 },
    mark: Some(MARK),
    in_logs_below: 0,
    accepted: None,
};

/// An entry of one batch, whose only record says `payload`.
fn entry(sequence: u64, proof: Option<Proof>, payload: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp::from_millis(0), None, Some(payload), &[]).unwrap();
    let batch = builder.build().unwrap();
    let header = batch.placed_header(Offset::new(sequence), LeaderEpoch::new(1));
    let batches = [&header[..], &batch.body()].concat();
    let header = EntryHeader {
        position: JournalPosition { generation: GENERATION, sequence },
        log: LOG,
        len: u32::try_from(batches.len()).unwrap(),
        proof,
    };
    let mut entry = header.encode([&batches[..]])[..header.header_len()].to_vec();
    entry.extend(batches);
    entry
}

/// One of a step that began with entry `first`.
fn of_step(first: u64, sequence: u64) -> Vec<u8> {
    entry(sequence, Some(Proof { synced_below: first, mark: MARK }), b"payload")
}

/// One whose step has no other.
fn alone(sequence: u64) -> Vec<u8> {
    of_step(sequence, sequence)
}

fn rotten(mut entry: Vec<u8>) -> Vec<u8> {
    entry[0] ^= 1;
    entry
}

/// The sequences that are believed of files that hold such bytes, and those that are missed.
fn read(life: JournalLife, files: &[&[Vec<u8>]]) -> (Vec<u64>, Option<(u64, u64, u64)>) {
    read_of(life, &written(files))
}

fn written(files: &[&[Vec<u8>]]) -> FaultyDisk {
    let disk = FaultyDisk::new(1);
    let data = Path::new(DATA);
    disk.create_dir(data).unwrap();
    disk.create_dir(&folder_in(data)).unwrap();
    for (number, entries) in files.iter().enumerate() {
        let path = folder_in(data).join(format!("{number}{JOURNAL_FILE}"));
        disk.create_new(&path).unwrap().write_all_at(&entries.concat(), 0).unwrap();
    }
    disk
}

fn read_of(life: JournalLife, disk: &FaultyDisk) -> (Vec<u64>, Option<(u64, u64, u64)>) {
    let replay = Replay::read(disk, Path::new(DATA), life).unwrap();
    let batches = replay.of(LOG, JournalPosition::default());
    let sequences: Vec<u64> = batches.map(|batch| batch.position.sequence).collect();
    assert_eq!(replay.entries(), sequences.len() as u64);
    let lost = replay.lost();
    (sequences, lost.map(|it| (it.first, it.last, it.count)))
}

#[test]
fn entries_are_read_one_by_one() {
    let file = [alone(0), of_step(1, 1), of_step(1, 2), alone(3)];
    assert_eq!(read(LIFE, &[&file]), (vec![0, 1, 2, 3], None));
}

#[test]
fn those_of_an_early_build_are_read_and_prove_nothing() {
    let life = JournalLife { mark: None, ..LIFE };
    let old = |sequence| entry(sequence, None, b"payload");
    assert_eq!(read(life, &[&[old(0), old(1), rotten(old(2)), old(3)]]), (vec![0, 1], None));
    // In a life that bears a mark there are none.
    assert_eq!(read(LIFE, &[&[alone(0), old(1)]]), (vec![0], None));
}

#[test]
fn what_had_been_synced_is_missed_and_what_lies_behind_it_is_found() {
    let file =
        [alone(0), rotten(alone(1)), alone(2), rotten(of_step(3, 3)), of_step(3, 4), alone(5)];
    assert_eq!(read(LIFE, &[&file]), (vec![0, 2, 4, 5], Some((1, 3, 2))));
    let file = [rotten(alone(0)), alone(1)];
    assert_eq!(read(LIFE, &[&file]), (vec![1], Some((0, 0, 1))));
}

#[test]
fn of_a_step_that_is_torn_nothing_is_missed_nor_believed_behind_the_tear() {
    let file = [alone(0), of_step(1, 1), rotten(of_step(1, 2)), of_step(1, 3)];
    assert_eq!(read(LIFE, &[&file]), (vec![0, 1], None));
    let file = [alone(0), rotten(of_step(1, 1)), of_step(1, 2), of_step(1, 3)];
    assert_eq!(read(LIFE, &[&file]), (vec![0], None));
    // Nor where something before it is missed.
    let file = [rotten(alone(0)), of_step(1, 1), rotten(of_step(1, 2)), of_step(1, 3)];
    assert_eq!(read(LIFE, &[&file]), (vec![1], Some((0, 0, 1))));
}

#[test]
fn the_next_file_proves_what_is_gone_from_the_end_of_the_one_before() {
    let files: [&[_]; 2] = [&[alone(0), rotten(alone(1)), vec![0; 500]], &[alone(2)]];
    assert_eq!(read(LIFE, &files), (vec![0, 2], Some((1, 1, 1))));
}

#[test]
fn what_lies_before_the_floor_is_not_missed() {
    let floor = JournalPosition { sequence: 2, ..LIFE.floor };
    let file = [rotten(alone(0)), alone(1), alone(2), alone(3)];
    assert_eq!(read(JournalLife { floor, ..LIFE }, &[&file]), (vec![2, 3], None));
}

#[test]
fn what_lies_in_the_logs_as_well_is_read_and_not_missed() {
    let life = JournalLife { in_logs_below: 2, ..LIFE };
    let file = [alone(0), rotten(alone(1)), alone(2), alone(3)];
    assert_eq!(read(life, &[&file]), (vec![0, 2, 3], None));
    let file = [alone(0), rotten(alone(1)), rotten(alone(2)), alone(3)];
    assert_eq!(read(life, &[&file]), (vec![0, 3], Some((2, 2, 1))));
}

#[test]
fn numbers_that_nobody_counted_are_no_work() {
    let far = (1 << 61) + 5;
    assert_eq!(read(LIFE, &[&[alone(far)]]), (vec![far], Some((0, far - 1, far))));
}

#[test]
fn nothing_is_missed_where_only_the_files_are_left() {
    let life = JournalLife { mark: None, ..LIFE };
    assert_eq!(read(life, &[&[alone(0)], &[alone(7)]]), (vec![0, 7], None));
}

#[test]
fn an_earlier_use_of_a_file_shines_through_and_hides_nothing() {
    let floor = JournalPosition { sequence: 10, ..LIFE.floor };
    let life = JournalLife { floor, ..LIFE };
    // The sector with entry 11 never came to the disk, so that one of the earlier use is back.
    let file = [alone(10), alone(3), alone(12), alone(5)];
    assert_eq!(read(life, &[&file]), (vec![10, 12], Some((11, 11, 1))));
    assert_eq!(read(life, &[&[alone(10), alone(11), alone(4), alone(5)]]), (vec![10, 11], None));
}

#[test]
fn a_record_that_looks_like_an_entry_is_none() {
    let like = |sequence, mark: Option<JournalMark>| {
        let proof = |mark| Proof { synced_below: sequence, mark };
        entry(sequence, mark.map(proof), b"looks like one")
    };
    let torn = |payload: &[u8]| {
        let proof = Some(Proof { synced_below: 1, mark: MARK });
        rotten(entry(1, proof, payload))
    };
    for mark in [None, Some(JournalMark::from_bytes([8; 16]))] {
        assert_eq!(read(LIFE, &[&[alone(0), torn(&like(9, mark))]]), (vec![0], None));
        // Nor where it lies just where the next would.
        assert_eq!(read(LIFE, &[&[alone(0), like(1, mark)]]), (vec![0], None));
    }
    // It would be one if anybody knew the mark.
    let file = [alone(0), torn(&like(9, Some(MARK)))];
    assert_eq!(read(LIFE, &[&file]), (vec![0, 9], Some((1, 8, 8))));
}

#[test]
fn an_entry_is_found_wherever_it_lies_behind_damage() {
    // Around where one piece of the search ends and the next begins.
    for gap in (65_400..65_700).chain([0, 1, 1 << 20]) {
        let file = [alone(0), rotten(alone(1)), vec![0xEE; gap], alone(2)];
        assert_eq!(read(LIFE, &[&file]), (vec![0, 2], Some((1, 1, 1))), "{gap} bytes");
    }
}

#[test]
fn a_sector_that_cannot_be_read_is_damage_if_what_lies_behind_proves_it() {
    let at = (alone(0).len() + 10) as u64;
    let path = folder_in(Path::new(DATA)).join("0.journal");
    // The next lies in another sector of the same piece of the search, or in another piece.
    for gap in [5_000, 70_000] {
        let disk = written(&[&[alone(0), alone(1), vec![0xEE; gap], alone(2)]]);
        disk.spoil(&path, at).unwrap();
        assert_eq!(read_of(LIFE, &disk), (vec![0, 2], Some((1, 1, 1))), "{gap} bytes");
    }
    let disk = written(&[&[alone(0), alone(1)]]);
    disk.spoil(&path, at).unwrap();
    Replay::read(&disk, Path::new(DATA), LIFE).unwrap_err();
}
