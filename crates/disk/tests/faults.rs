//! The freedoms of the law: a faulty disk must take them, or tests above it prove nothing.
#![expect(clippy::unwrap_used, reason = "a claim whose setting fails has failed")]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use disk::{Disk, DiskFile, FaultyDisk, Operation, PlannedFault, replace_atomically};

const SEEDS: u64 = 400;

fn content(disk: &FaultyDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path)).ok()?;
    let mut content = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut content, 0).unwrap();
    Some(content)
}

/// What `path` can hold after `story` and a loss of power, over many seeds.
fn outcomes(path: &str, story: impl Fn(&FaultyDisk)) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS)
        .map(|seed| {
            let disk = FaultyDisk::new(seed);
            story(&disk);
            disk.lose_power();
            content(&disk, path)
        })
        .collect()
}

fn synced(disk: &FaultyDisk, path: &str, bytes: &[u8]) -> disk::FaultyFile {
    let file = disk.create_new(Path::new(path)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file
}

fn fault(operation: Operation, error: io::ErrorKind) -> PlannedFault {
    PlannedFault { operation, path_contains: String::new(), after: 0, error }
}

fn holds(outcomes: &BTreeSet<Option<Vec<u8>>>, bytes: &[u8]) -> bool {
    outcomes.contains(&Some(bytes.to_vec()))
}

#[test]
fn what_was_synced_is_there_after_every_loss_of_power() {
    let outcomes = outcomes("/a", |disk| drop(synced(disk, "/a", b"kept")));
    assert_eq!(outcomes, BTreeSet::from([Some(b"kept".to_vec())]));
}

#[test]
fn an_unsynced_write_may_be_kept_lost_torn_or_hollow() {
    let outcomes = outcomes("/a", |disk| {
        synced(disk, "/a", b"12").write_all_at(b"34", 2).unwrap();
    });
    for possible in [&b"1234"[..], b"12", b"123", b"12\0\0"] {
        assert!(holds(&outcomes, possible), "{possible:?} never came");
    }
}

#[test]
fn a_later_write_may_be_kept_where_an_earlier_one_is_lost() {
    let outcomes = outcomes("/a", |disk| {
        let file = synced(disk, "/a", b"");
        file.write_all_at(b"1", 0).unwrap();
        file.write_all_at(b"2", 1).unwrap();
    });
    assert!(holds(&outcomes, b"\x002"));
}

#[test]
fn an_unsynced_name_may_be_lost_and_an_unsynced_removal_undone() {
    let created = outcomes("/a", |disk| {
        let file = disk.create_new(Path::new("/a")).unwrap();
        file.write_all_at(b"1", 0).unwrap();
        file.sync_data().unwrap();
    });
    assert_eq!(created, BTreeSet::from([None, Some(b"1".to_vec())]));
    let removed = outcomes("/a", |disk| {
        synced(disk, "/a", b"1");
        disk.remove_file(Path::new("/a")).unwrap();
    });
    assert_eq!(removed, BTreeSet::from([None, Some(b"1".to_vec())]));
}

#[test]
fn replacing_a_file_leaves_the_old_or_the_new_at_any_cut() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = FaultyDisk::new(seed);
        replace_atomically(&disk, Path::new("/a"), b"old").unwrap();
        disk.cut_power_after((seed % 7) as u32);
        let replaced = replace_atomically(&disk, Path::new("/a"), b"new");
        disk.lose_power();
        let content = content(&disk, "/a");
        assert!(replaced.is_err() || content.as_deref() == Some(b"new"));
        seen.insert(content);
    }
    assert_eq!(seen, BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]));
}

#[test]
fn a_failed_sync_is_not_mended_by_a_later_one() {
    let outcomes = outcomes("/a", |disk| {
        let file = synced(disk, "/a", b"1");
        file.write_all_at(b"2", 1).unwrap();
        disk.fail(fault(Operation::SyncData, io::ErrorKind::Other));
        file.sync_data().unwrap_err();
        assert_eq!(content(disk, "/a").unwrap(), b"12", "readers still see it");
        file.sync_data().unwrap();
    });
    assert!(holds(&outcomes, b"1"));
    assert!(holds(&outcomes, b"12"));
}

#[test]
fn a_full_disk_refuses_growth_and_takes_it_again_when_there_is_room() {
    let disk = FaultyDisk::new(7);
    let file = synced(&disk, "/a", b"1234");
    disk.set_capacity(Some(6));
    let refused = file.write_all_at(b"5678", 4).unwrap_err();
    assert!(disk::is_out_of_space(&refused));
    assert!(content(&disk, "/a").unwrap().len() <= 6);
    file.write_all_at(b"43", 2).unwrap();
    disk.set_capacity(None);
    file.write_all_at(b"5678", 4).unwrap();
    assert_eq!(content(&disk, "/a").unwrap(), b"12435678");
}

#[test]
fn a_planned_fault_comes_once_after_as_many_as_it_was_told() {
    let disk = FaultyDisk::new(1);
    let (file, other) = (synced(&disk, "/a", b"1"), synced(&disk, "/b", b"1"));
    disk.fail(PlannedFault {
        operation: Operation::Read,
        path_contains: "a".into(),
        after: 1,
        error: io::ErrorKind::Other,
    });
    let mut buffer = [0];
    let mut read = |file: &disk::FaultyFile| file.read_at(&mut buffer, 0).is_ok();
    assert!(read(&file));
    assert!(read(&other));
    assert!(!read(&file));
    assert!(read(&file));
    assert_eq!(disk.faults_to_come(), 0);
}

#[test]
fn without_power_nothing_works_and_old_handles_stay_dead() {
    let disk = FaultyDisk::new(3);
    let file = synced(&disk, "/a", b"1");
    disk.cut_power_after(0);
    file.write_all_at(b"2", 0).unwrap_err();
    assert!(disk.is_without_power());
    file.sync_data().unwrap_err();
    disk.open(Path::new("/a")).unwrap_err();
    disk.lose_power();
    file.read_at(&mut [0], 0).unwrap_err();
    disk.open(Path::new("/a")).unwrap();
}
