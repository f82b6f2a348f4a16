//! A data directory whose files hold what an input says, whoever might have written that.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use commit_log::{
    Append, AppendAt, BallastConfig, Directory, DirectoryConfig, DirectoryError, Fresh,
    JournalConfig, LogConfig, LogKey, LogReader, Recovered, WriteBufferConfig,
};
use disk::{Disk, DiskFile, FaultyDisk};
use record::{BatchBuilder, Compression};
use types::{Durability, LeaderEpoch, Offset, PartitionId, Timestamp, TopicId};

use crate::log::walk;
use crate::sealing::{self, Kind, seal};
use crate::tape::Tape;

const DATA: &str = "/data";
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// Writes the files that an input tells of, opens the directory and uses it.
///
/// Whatever the files hold: opening ends, with a directory or with an error about the directory as a
/// whole. Logs that are usable read from start to end without a gap, or are found damaged on the
/// way; they take appends; and a second start finds what the first one left.
pub fn ask(input: &[u8]) {
    let mut tape = Tape::new(input);
    let disk = FaultyDisk::new(u64::from(tape.byte()));
    let config = config(&mut tape);
    write(&disk, files(&mut tape));
    let Some(mut directory) = open(&disk, &config) else { return };
    let logs: Vec<LogKey> = directory.logs().collect();
    let sound: Vec<LogKey> =
        logs.into_iter().filter(|log| look_at(&directory.reader(*log).expect("usable"))).collect();
    let ends: Vec<Option<Offset>> = sound.iter().map(|log| append(&mut directory, *log)).collect();
    for at in directory.recovered().iter().map(|found| found.log).collect::<Vec<_>>() {
        change(&mut directory, at, &mut tape);
    }
    let left: BTreeMap<LogKey, (Offset, Offset)> = extents(&directory);
    directory.close().expect("nothing fails");
    let again = open(&disk, &config).expect("it was open before");
    assert_eq!(extents(&again), left, "a second start finds something else; appended {ends:?}");
    for log in sound.iter().filter(|log| left.contains_key(log)) {
        assert!(look_at(&again.reader(*log).expect("usable")), "sound before, damaged now");
    }
}

fn config(tape: &mut Tape<'_>) -> DirectoryConfig {
    let flags = tape.byte();
    let journal = JournalConfig {
        files: NonZeroUsize::new(2).expect("not 0"),
        file_bytes: 700,
        large_append_bytes: 400,
        few_logs: NonZeroUsize::MIN,
        write_buffers: WriteBufferConfig { log_bytes: 200, bytes: 500 },
    };
    let durability = if flags & 2 == 0 { Durability::Fsync } else { Durability::PageCache };
    DirectoryConfig {
        log: LogConfig {
            segment_bytes: 300,
            index_interval_bytes: 1,
            durability,
            ..LogConfig::default()
        },
        sync_threads: NonZeroUsize::MIN,
        journal: (flags & 1 == 0).then_some(journal),
        ballast: BallastConfig { bytes: if flags & 4 == 0 { 500 } else { 0 }, percent: 100 },
        ..DirectoryConfig::default()
    }
}

/// Bytes of files by their paths. Each part of an input is a file's kind and name, a place in it,
/// and what is written there.
fn files(tape: &mut Tape<'_>) -> BTreeMap<PathBuf, (Kind, Vec<u8>)> {
    const MAX_PARTS: usize = 64;
    // Without it nothing else is looked at.
    let identity = (PathBuf::from("directory.meta"), (Kind::Identity, vec![0; 24]));
    let mut files = BTreeMap::from([identity]);
    let is_sealed = tape.byte() & 1 == 0;
    for _ in 0..MAX_PARTS {
        if tape.is_over() {
            break;
        }
        let (path, kind) = name(tape);
        let at = usize::from(tape.short()) % 8192;
        let len = usize::from(tape.byte());
        let bytes = tape.bytes(len);
        let (_, content) = files.entry(path).or_insert((kind, Vec::new()));
        content.resize(content.len().max(at + bytes.len()), 0);
        content[at..at + bytes.len()].copy_from_slice(bytes);
    }
    for (path, (kind, content)) in files.iter_mut().filter(|_| is_sealed) {
        if *kind == Kind::Meta {
            identify(path, content);
        }
        seal(*kind, content);
    }
    files
}

/// Gives each log an id of its own, as every log has: what is noted of one is found by it.
fn identify(path: &Path, meta: &mut [u8]) {
    const IDS_AT: [usize; 2] = [16, 4096 + 16];
    let number = u8::from(path.starts_with(key(1).to_string()));
    for at in IDS_AT {
        if let Some(byte) = meta.get_mut(at) {
            *byte = number;
        }
    }
}

fn key(number: u8) -> LogKey {
    let partition = PartitionId::new(u32::from(number));
    LogKey { topic_id: TopicId::from_bytes([0; 16]), partition }
}

fn name(tape: &mut Tape<'_>) -> (PathBuf, Kind) {
    let (which, base, epoch) = (tape.byte(), tape.byte(), tape.byte());
    let folder = PathBuf::from(key(which >> 4 & 1).to_string());
    match which & 15 {
        0 => ("directory.meta".into(), Kind::Identity),
        1 => ("checkpoint".into(), Kind::Checkpoint),
        2 => (format!("journal/{}.journal", base % 3).into(), Kind::Journal),
        3 => (folder.join("partition.meta"), Kind::Meta),
        4..=7 => (folder.join(format!("{base:020}-{epoch}.log")), Kind::Segment),
        8 | 9 => (folder.join(format!("{base:020}-{epoch}.index")), Kind::Index),
        10 => (folder.join(format!("{base:020}.producers")), Kind::Producers),
        11 => (folder.join(format!("{base:020}.producers.tmp")), Kind::Producers),
        12 => (format!("new-{base}/partition.meta").into(), Kind::Meta),
        13 => (format!("deleted-{base}-{}/x", key(0)).into(), Kind::Other),
        14 => (format!("damaged-{base}-{}/partition.meta", key(0)).into(), Kind::Meta),
        _ => ("fenced".into(), Kind::Other),
    }
}

fn write(disk: &FaultyDisk, files: BTreeMap<PathBuf, (Kind, Vec<u8>)>) {
    disk.create_dir(Path::new(DATA)).expect("the disk is empty");
    for (path, (_, content)) in files {
        let path = Path::new(DATA).join(path);
        if let Some(folder) = path.parent() {
            // There already, for all but the first of its files.
            disk.create_dir(folder).ok();
        }
        let file = disk.create_new(&path).expect("each is written once");
        file.write_all_at(&content, 0).expect("there is room");
    }
}

fn open(disk: &FaultyDisk, config: &DirectoryConfig) -> Option<Directory<FaultyDisk>> {
    let fresh = Fresh::from_random([[1; 16], sealing::MARK]);
    match Directory::open(disk.clone(), Path::new(DATA), config.clone(), fresh, NOW) {
        Ok(directory) => {
            for found in directory.recovered() {
                let is_usable = matches!(found.outcome, Recovered::Usable { .. });
                assert_eq!(directory.reader(found.log).is_some(), is_usable);
            }
            Some(directory)
        }
        Err(DirectoryError::Fenced { id: Some(id), .. }) if config.trusted.is_none() => {
            open(disk, &DirectoryConfig { trusted: Some(id), ..config.clone() })
        }
        Err(
            DirectoryError::Fenced { .. }
            | DirectoryError::Unidentified { .. }
            | DirectoryError::Checkpoint { .. },
        ) => None,
        Err(error) => panic!("no file of a log may keep the others from being opened: {error:?}"),
    }
}

fn extents(directory: &Directory<FaultyDisk>) -> BTreeMap<LogKey, (Offset, Offset)> {
    let extent = |log| {
        let reader = directory.reader(log).expect("usable");
        (log, (reader.log_start(), reader.end()))
    };
    directory.logs().map(extent).collect()
}

/// Asks everything that readers ask; returns whether all of the log can be read.
fn look_at(reader: &LogReader<FaultyDisk>) -> bool {
    let whole = walk(reader, 1000);
    let by_one = walk(reader, 1);
    assert_eq!(whole.lost.is_empty(), by_one.lost.is_empty());
    let epochs = reader.epochs();
    assert!(epochs.is_sorted_by(|one, next| one.epoch < next.epoch && one.start <= next.start));
    for epoch in epochs {
        let end = reader.end_of_epoch(epoch.epoch);
        assert!(end.is_none_or(|end| epoch.start <= end && end <= reader.end()), "{end:?}");
    }
    for millis in [i64::MIN, 0, 1000, i64::MAX] {
        let timestamp = Timestamp::from_millis(millis);
        if let Ok(Some((offset, at))) = reader.offset_for_timestamp(timestamp, Offset::MAX) {
            assert!(reader.log_start() <= offset && offset < reader.end());
            assert!(timestamp <= at);
        }
    }
    whole.lost.is_empty()
}

/// Appends a record, unless the log is at the end of what can be counted.
fn append(directory: &mut Directory<FaultyDisk>, log: LogKey) -> Option<Offset> {
    let reader = directory.reader(log).expect("usable");
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(NOW, None, Some(b"appended"), &[]).expect("small");
    let append = Append {
        log,
        epoch: reader.last_epoch().unwrap_or(LeaderEpoch::new(0)),
        batches: vec![builder.build().expect("of one record")],
        at: AppendAt::End,
    };
    let end = reader.end();
    let appended = directory.step(&[append], NOW).pop().expect("one answer").ok()?;
    assert_eq!(appended.base_offset, end);
    assert_eq!(appended.end, reader.end());
    Some(appended.end)
}

/// Does something else to a log, usable or not.
fn change(directory: &mut Directory<FaultyDisk>, log: LogKey, tape: &mut Tape<'_>) {
    let extent = directory.reader(log).map(|reader| (reader.log_start(), reader.end()));
    let Some((start, end)) = extent else {
        directory.quarantine_log(log).expect("nothing fails");
        return;
    };
    let length = end.distance_from(start) + 1;
    let at = Offset::new(start.get() + u64::from(tape.byte()) % length);
    match tape.byte() % 5 {
        // An index that is wrong, though whole, shows when the place to cut is sought.
        0 => assert!(directory.truncate(log, at, NOW).is_ok_and(|end| end <= at)),
        1 => directory.advance_log_start(log, at).expect("within the log"),
        2 => directory.reset(log, at).expect("nothing fails"),
        3 => directory.delete_log(log).expect("nothing fails"),
        _ => {}
    }
}
