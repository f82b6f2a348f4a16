//! The same on the operating system's files, with threads beside the writer.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use commit_log::{
    Directory, DirectoryConfig, DirectoryError, JournalConfig, LogConfig, NewLog, ReadError,
    Upkeep, UpkeepScope,
};
use disk::RealDisk;
use types::{Durability, LogId, Offset};

use crate::harness::{FRESH, append, key, millis, offset, read_all, records, small_segments};

fn open(path: &Path) -> Result<Directory<RealDisk>, DirectoryError> {
    Directory::open(RealDisk, path, DirectoryConfig::default(), FRESH, millis(0))
}

fn create(directory: &mut Directory<RealDisk>, partition: u32, config: &LogConfig) {
    let id = LogId::from_bytes([u8::try_from(partition).unwrap(); 16]);
    directory.create_log(key(partition), id, config.clone(), Offset::ZERO).unwrap();
}

#[test]
fn many_logs_are_committed_at_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/data");
    let mut directory = open(&path).unwrap();
    for partition in 0..20 {
        create(&mut directory, partition, &small_segments(Durability::Fsync));
    }
    for word in 0..7 {
        let appends: Vec<_> =
            (0..20).map(|partition| append(partition, 1, &[&[word], &[word]])).collect();
        for answer in directory.step(&appends, millis(0)) {
            assert_eq!(answer.unwrap().durable_end, offset(2 * word + 2));
        }
    }
    directory.close().unwrap();
    let directory = open(&path).unwrap();
    assert_eq!(directory.logs().count(), 20);
    for partition in 0..20 {
        let found = read_all(&directory.reader(key(partition)).unwrap(), 1000);
        assert_eq!(found.len(), 14);
    }
}

#[test]
fn hundreds_of_logs_go_through_the_journal_while_another_thread_syncs_them() {
    const LOGS: u32 = 400;
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let journal = JournalConfig { file_bytes: 100_000, ..JournalConfig::default() };
        let config = DirectoryConfig { journal: Some(journal), ..DirectoryConfig::default() };
        Directory::open(RealDisk, dir.path(), config, FRESH, millis(0)).unwrap()
    };
    let mut directory = open();
    let new = |partition: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&partition.to_be_bytes());
        let (log, config) = (key(partition), small_segments(Durability::Fsync));
        NewLog { log, id: LogId::from_bytes(id), config, start: Offset::ZERO }
    };
    for (partition, made) in (0..).zip(directory.create_logs((0..LOGS).map(new).collect())) {
        made.unwrap();
        assert!(directory.reader(key(partition)).is_some());
    }
    let (work, rounds) = sync_channel::<Upkeep<RealDisk>>(1);
    let (finished, done) = sync_channel(1);
    let upkeep = thread::spawn(move || {
        for round in rounds {
            finished.send(round.run()).unwrap();
        }
    });
    let mut finished_rounds = 0;
    let mut under_way = false;
    for word in 0..20 {
        let appends: Vec<_> = (0..LOGS).map(|log| append(log, 1, &[&[word]])).collect();
        for answer in directory.step(&appends, millis(0)) {
            assert_eq!(answer.unwrap().durable_end, offset(word + 1));
        }
        if let Ok(done) = done.try_recv() {
            directory.finish_upkeep(done).unwrap();
            (finished_rounds, under_way) = (finished_rounds + 1, false);
        }
        if directory.needs_upkeep() {
            let round = directory.begin_upkeep(millis(0), UpkeepScope::Journal).unwrap();
            work.send(round.unwrap()).unwrap();
            under_way = true;
        }
        if word % 10 == 5 && under_way {
            directory.finish_upkeep(done.recv().unwrap()).unwrap();
            (finished_rounds, under_way) = (finished_rounds + 1, false);
        }
    }
    assert!(finished_rounds > 1, "the journal was made, and emptied");
    // The process dies here, maybe in the middle of a round.
    drop((directory, work));
    upkeep.join().unwrap_or_default();
    let directory = open();
    for partition in 0..LOGS {
        let found = read_all(&directory.reader(key(partition)).unwrap(), 1000);
        let expected: Vec<_> = (0..20).map(|word| (word, 1, word)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_second_writer_is_told_which_process_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let Err(DirectoryError::InUse { path, holder }) = open(dir.path()) else { panic!("two") };
    assert_eq!(path, dir.path());
    assert_eq!(holder, Some(format!("process {}", std::process::id())));
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn readers_beside_a_writer_that_appends_and_cuts_see_whole_batches_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut directory = open(dir.path()).unwrap();
    create(&mut directory, 0, &small_segments(Durability::PageCache));
    let reader = directory.reader(key(0)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for max_bytes in [1, 200, 5000] {
            let (reader, done) = (reader.clone(), &done);
            scope.spawn(move || {
                let mut from = Offset::ZERO;
                while !done.load(Ordering::Relaxed) {
                    match reader.read(from, max_bytes, Offset::MAX) {
                        Ok(bytes) => {
                            let found = records(bytes);
                            for (at, _, word) in &found {
                                assert_eq!(at % 1000, word % 1000, "another record's place");
                            }
                            from = found.last().map_or(Offset::ZERO, |(at, ..)| offset(at + 1));
                        }
                        Err(ReadError::OutOfRange { start, .. }) => from = start,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let mut end = 0_u64;
        for round in 0..1500_u64 {
            let words = [end + 1000 * round, end + 1 + 1000 * round];
            let answers = directory.step(&[append(0, 1, &[&words[..1], &words[1..]])], millis(0));
            end = answers[0].as_ref().unwrap().end.get();
            match round % 10 {
                3 => end = directory.truncate(key(0), offset(end - 3), millis(0)).unwrap().get(),
                7 => directory.advance_log_start(key(0), offset(end - 4)).unwrap(),
                9 => directory.upkeep(millis(0)).unwrap(),
                _ => {}
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}
