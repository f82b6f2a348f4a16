//! What the journal made durable waits in memory for more that goes to the same log, and nobody can
//! tell but by looking at the files.

use std::io;

use commit_log::{AppendError, Room, WriteBufferConfig};
use disk::{Disk, DiskFile, Operation, PlannedFault};
use types::Durability;

use crate::harness::{
    Lab, SMALL_BUFFERS, append, batch, folder, key, offset, one_segment, read_all, small_segments,
};
use crate::journal::{LARGE, Ways};

const SEEDS: u64 = 150;

fn lab(seed: u64) -> Lab {
    let mut lab = Lab::buffered(seed, one_segment(Durability::Fsync), SMALL_BUFFERS);
    lab.directory().ballast().restore().unwrap();
    lab
}

/// How many small batches the files of a log hold.
fn in_files(lab: &Lab, partition: u32) -> u64 {
    let logs = lab.files_of(partition, ".log").into_iter();
    let len = |name| lab.disk.open(&folder(partition).join(name)).unwrap().len().unwrap();
    logs.map(len).sum::<u64>() / batch(&[0]).bytes().len() as u64
}

fn full(path_contains: &str) -> PlannedFault {
    PlannedFault {
        operation: Operation::Write,
        path_contains: path_contains.to_owned(),
        after: 0,
        error: io::ErrorKind::StorageFull,
    }
}

#[test]
fn a_log_is_written_to_once_there_is_much_of_it() {
    let mut lab = lab(1);
    for (word, in_file) in [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3), (5, 3), (6, 6)] {
        lab.journal(1, &[word]);
        assert_eq!(in_files(&lab, 0), in_file, "after {word}");
        assert_eq!(lab.words(), (0..=word).collect::<Vec<_>>());
    }
    let reader = lab.reader();
    for from in 0..7 {
        // From the file, from memory, and over both.
        let bytes = reader.read(offset(from), 1000, offset(7)).unwrap();
        let read = crate::harness::records(bytes);
        assert_eq!(read.first().unwrap().0, from);
        assert_eq!(read.last().unwrap().0, 6);
    }
}

#[test]
fn what_waited_outlives_a_kill_and_a_loss_of_power() {
    for seed in 0..SEEDS {
        let mut lab = lab(seed);
        for word in 0..5 {
            lab.journal(1, &[word]);
        }
        assert_eq!(in_files(&lab, 0), 3);
        if seed % 2 == 0 {
            lab.kill();
        } else {
            lab.lose_power();
        }
        assert_eq!(lab.words(), [0, 1, 2, 3, 4], "seed {seed}");
    }
}

#[test]
fn upkeep_writes_what_waits_before_it_syncs() {
    for seed in 0..SEEDS {
        let mut lab = lab(seed);
        lab.journal(1, &[0]);
        lab.upkeep();
        for file in lab.journal_files() {
            lab.disk.remove_file(&file).unwrap();
        }
        lab.lose_power();
        assert_eq!(lab.words(), [0], "seed {seed}");
    }
}

#[test]
fn what_comes_during_a_round_of_upkeep_is_not_taken_for_written() {
    for seed in 0..SEEDS {
        let mut lab = lab(seed);
        lab.journal(1, &[0]);
        let now = lab.now;
        let scope = commit_log::UpkeepScope::Everything;
        let round = lab.directory().begin_upkeep(now, scope).unwrap().unwrap();
        let done = round.run();
        lab.journal(1, &[1]);
        lab.directory().finish_upkeep(done).unwrap();
        assert_eq!(in_files(&lab, 0), 1);
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1], "seed {seed}");
    }
}

#[test]
fn an_append_that_is_synced_goes_behind_what_waits() {
    for seed in 0..SEEDS {
        let mut lab = lab(seed);
        lab.journal(1, &[0]);
        lab.sync(1, LARGE);
        lab.journal(1, &[1]);
        lab.kill();
        let words: Vec<u64> = [0].into_iter().chain(LARGE.iter().copied()).chain([1]).collect();
        assert_eq!(lab.words(), words, "seed {seed}");
    }
}

#[test]
fn a_segment_is_whole_before_the_next_one_begins() {
    let mut lab = lab(1);
    lab.journal(1, &[0]);
    lab.journal(2, &[1]);
    assert_eq!((lab.segments().len(), in_files(&lab, 0)), (2, 1));
    // Nor is the next one begun if that cannot be.
    lab.disk.fail(full(".log"));
    assert!(matches!(lab.append(3, &[&[2]]), Err(AppendError::Full { .. })));
    lab.disk.forget_faults();
    assert_eq!((lab.segments().len(), in_files(&lab, 0)), (2, 1));
    lab.journal(3, &[2]);
    lab.kill();
    assert_eq!(lab.words(), [0, 1, 2]);
}

#[test]
fn what_was_answered_stays_when_it_cannot_be_written_and_what_comes_is_refused() {
    for seed in 0..SEEDS {
        let mut lab = lab(seed);
        for word in 0..3 {
            lab.journal(1, &[word]);
        }
        for _ in 0..2 {
            lab.disk.fail(full(".log"));
            let refused = lab.append(1, &[&[9]]).unwrap_err();
            assert!(matches!(refused, AppendError::Full { .. }), "{refused}");
            assert_eq!(lab.words(), [0, 1, 2], "seed {seed}");
        }
        if seed % 2 == 0 {
            lab.journal(1, &[3]);
        }
        if seed % 3 == 0 {
            lab.kill();
        } else {
            lab.lose_power();
        }
        let expected: &[u64] = if seed % 2 == 0 { &[0, 1, 2, 3] } else { &[0, 1, 2] };
        assert_eq!(lab.words(), expected, "seed {seed}");
    }
}

#[test]
fn a_start_on_a_full_disk_finds_room_for_what_waited() {
    for seed in 0..SEEDS {
        let mut lab = lab(seed);
        lab.create(1);
        for word in 0..3 {
            let appends: Vec<_> = (0..2).map(|log| append(log, 1, &[&[word]])).collect();
            for answer in lab.step(&appends) {
                answer.unwrap();
            }
        }
        lab.disk.set_capacity(Some(lab.disk.used()));
        if seed % 2 == 0 {
            lab.kill();
        } else {
            lab.lose_power();
        }
        assert_eq!(lab.words(), [0, 1, 2], "seed {seed}");
    }
}

#[test]
fn no_more_waits_than_there_is_ballast() {
    let mut lab = lab(1);
    lab.ballast_bytes = 100;
    lab.kill();
    lab.prepare_journal();
    lab.journal(1, &[0]);
    assert_eq!(in_files(&lab, 0), 1, "the ballast has less than the least that is reserved");
    lab.ballast_bytes = 0;
    lab.kill();
    lab.prepare_journal();
    lab.journal(1, &[1]);
    assert_eq!(in_files(&lab, 0), 2);
}

#[test]
fn nothing_waits_on_a_disk_that_fills_up() {
    let mut lab = lab(1);
    lab.journal(1, &[0]);
    lab.directory().set_room(Room::Low { free: 1, needed: 2 });
    let copied = commit_log::Append {
        at: commit_log::AppendAt::Exactly(offset(1)),
        ..append(0, 1, &[&[1]])
    };
    lab.step(&[copied]).pop().unwrap().unwrap();
    assert_eq!(in_files(&lab, 0), 2);
}

#[test]
fn page_cache_topics_do_not_wait() {
    let mut lab = lab(1);
    lab.config = one_segment(Durability::PageCache);
    lab.create(1);
    lab.step(&[append(0, 1, &[&[0]]), append(1, 1, &[&[1]])]).into_iter().for_each(|answer| {
        answer.unwrap();
    });
    assert_eq!((in_files(&lab, 0), in_files(&lab, 1)), (0, 1));
    // Nor does what a log took while it was one.
    lab.journal(1, &[2]);
    lab.directory().set_config(key(0), one_segment(Durability::PageCache)).unwrap();
    lab.append(1, &[&[3]]).unwrap();
    assert_eq!(in_files(&lab, 0), 3);
}

#[test]
fn all_logs_together_keep_to_their_memory() {
    let buffers = WriteBufferConfig { log_bytes: 100_000, bytes: 20_000 };
    let mut lab = Lab::buffered(1, one_segment(Durability::Fsync), buffers);
    for partition in 1..8 {
        lab.create(partition);
    }
    let each = batch(&[0]).bytes().len() as u64;
    for round in 0..200 {
        for partition in 0..8 {
            lab.step(&[append(partition, 1, &[&[round]])]).pop().unwrap().unwrap();
        }
        lab.upkeep_of_journal();
        let waiting: u64 = (0..8).map(|log| round + 1 - in_files(&lab, log)).sum();
        assert!(waiting * each <= 20_000, "{waiting} batches wait");
    }
    lab.kill();
    for partition in 0..8 {
        let reader = lab.directory().reader(key(partition)).unwrap();
        let words: Vec<u64> = read_all(&reader, 1000).into_iter().map(|(.., word)| word).collect();
        assert_eq!(words, (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn what_waits_can_be_cut_reset_and_deleted() {
    for seed in 0..SEEDS {
        let config = small_segments(Durability::Fsync);
        let mut lab = Lab::buffered(seed, config, SMALL_BUFFERS);
        lab.create(1);
        lab.create(2);
        for log in 0..3 {
            lab.step(&[append(log, 1, &[&[0], &[1]])]).pop().unwrap().unwrap();
        }
        lab.truncate(key(0), offset(1)).unwrap();
        lab.directory().reset(key(1), offset(7)).unwrap();
        lab.directory().delete_log(key(2)).unwrap();
        lab.create(2);
        for log in 0..3 {
            lab.step(&[append(log, 2, &[&[5]])]).pop().unwrap().unwrap();
        }
        if seed % 2 == 0 {
            lab.kill();
        } else {
            lab.lose_power();
        }
        let mut of = |log| read_all(&lab.directory().reader(key(log)).unwrap(), 1000);
        assert_eq!(of(0), [(0, 1, 0), (1, 2, 5)], "seed {seed}");
        assert_eq!(of(1), [(7, 2, 5)], "seed {seed}");
        assert_eq!(of(2), [(0, 2, 5)], "seed {seed}");
    }
}
