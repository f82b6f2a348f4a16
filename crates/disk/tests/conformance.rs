//! The law of `Disk`, as far as a working disk must keep it, on every implementation.
#![expect(clippy::unwrap_used, reason = "a claim whose setting fails has failed")]

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use disk::{
    Disk, DiskFile, Entry, EntryKind, FaultyDisk, LockError, RealDisk, Space, replace_atomically,
};

/// Runs each claim on each implementation, in an empty directory.
macro_rules! on_every_disk {
    ($($claim:ident)*) => {
        mod real {
            $(#[test] fn $claim() {
                let dir = tempfile::tempdir().unwrap();
                super::$claim(&super::RealDisk, dir.path());
            })*
        }
        mod faulty {
            $(#[test] fn $claim() {
                for seed in 0..32 {
                    let disk = super::FaultyDisk::new(seed);
                    super::Disk::create_dir(&disk, super::Path::new("/data")).unwrap();
                    super::$claim(&disk, super::Path::new("/data"));
                }
            })*
        }
    };
}

on_every_disk! {
    what_was_written_is_read_at_once_by_every_handle
    a_vectored_write_is_one_run_of_bytes
    what_was_written_is_read_past_the_cache_too
    a_write_beyond_the_end_leaves_zeros_between
    a_read_stops_at_the_end
    a_read_returns_the_bytes_asked_for_and_no_more
    a_cut_file_ends_at_the_cut
    a_name_is_created_once
    a_removed_file_stays_readable_for_those_who_hold_it
    a_directory_is_removed_only_when_empty
    a_listing_is_sorted_and_tells_files_from_directories
    a_rename_replaces_the_file_of_that_name
    a_rename_replaces_no_directory_that_holds_something
    replacing_a_file_survives_what_an_earlier_attempt_left
    a_second_lock_is_refused_until_the_first_is_dropped
    there_is_room_on_an_empty_disk
    what_is_allocated_is_there_and_what_was_written_stays
    what_was_written_reads_well_once_the_cache_has_forgotten_it
}

fn content<F: DiskFile>(file: &F) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut content, 0).unwrap();
    content
}

fn kind_of<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

fn what_was_written_is_read_past_the_cache_too<D: Disk>(disk: &D, dir: &Path) {
    let path = dir.join("a");
    let file = disk.create_new(&path).unwrap();
    let bytes: Vec<u8> = (0..10_000_u32).map(|at| at.to_be_bytes()[3]).collect();
    file.write_all_at(&bytes, 0).unwrap();
    let uncached = disk.open_uncached(&path).unwrap();
    file.write_all_at(b"later", 5_000).unwrap();
    assert_eq!(uncached.len().unwrap(), 10_000);
    assert_eq!(uncached.read_vec_at(7, 4_999).unwrap(), [135, b'l', b'a', b't', b'e', b'r', 141]);
    assert!(content(&uncached).starts_with(bytes.get(..5_000).unwrap()));
    let gone = disk.open_uncached(&dir.join("b"));
    assert_eq!(kind_of(gone), Some(io::ErrorKind::NotFound));
}

fn what_was_written_is_read_at_once_by_every_handle<D: Disk>(disk: &D, dir: &Path) {
    let file = disk.create_new(&dir.join("a")).unwrap();
    let other = disk.open(&dir.join("a")).unwrap();
    file.write_all_at(b"jackdaw", 0).unwrap();
    file.write_all_at(b"D", 4).unwrap();
    assert_eq!(content(&other), b"jackDaw");
    file.sync_data().unwrap();
    assert_eq!(content(&other), b"jackDaw");
}

fn a_vectored_write_is_one_run_of_bytes<D: Disk>(disk: &D, dir: &Path) {
    let file = disk.create_new(&dir.join("a")).unwrap();
    // More slices than one system call takes, some of them empty.
    let parts: Vec<Vec<u8>> =
        (0..3000).map(|n| vec![u8::try_from(n % 251).unwrap(); n % 4]).collect();
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    file.write_all_vectored_at(&mut slices, 5).unwrap();
    let mut expected = vec![0; 5];
    expected.extend(parts.concat());
    assert_eq!(content(&file), expected);
    file.write_all_vectored_at(&mut [], 0).unwrap();
    file.write_all_vectored_at(&mut [IoSlice::new(b"")], 0).unwrap();
    assert_eq!(content(&file), expected);
}

fn a_write_beyond_the_end_leaves_zeros_between<D: Disk>(disk: &D, dir: &Path) {
    let file = disk.create_new(&dir.join("a")).unwrap();
    file.write_all_at(b"x", 3).unwrap();
    assert_eq!(content(&file), b"\0\0\0x");
}

fn a_read_stops_at_the_end<D: Disk>(disk: &D, dir: &Path) {
    let file = disk.create_new(&dir.join("a")).unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(&mut buffer, 3).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 99).unwrap(), 0);
    let past = file.read_exact_at(&mut buffer, 0);
    assert_eq!(kind_of(past), Some(io::ErrorKind::UnexpectedEof));
    assert_eq!(kind_of(file.read_vec_at(3, 1)), Some(io::ErrorKind::UnexpectedEof));
}

fn a_read_returns_the_bytes_asked_for_and_no_more<D: Disk>(disk: &D, dir: &Path) {
    let file = disk.create_new(&dir.join("a")).unwrap();
    let written: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    file.write_all_at(&written, 0).unwrap();
    for range in [0..100_000, 1..70_001, 99_999..100_000, 7..7] {
        let read = file.read_vec_at(range.len(), range.start as u64).unwrap();
        assert_eq!(Some(&*read), written.get(range));
    }
}

fn a_cut_file_ends_at_the_cut<D: Disk>(disk: &D, dir: &Path) {
    let file = disk.create_new(&dir.join("a")).unwrap();
    file.write_all_at(b"abcdef", 0).unwrap();
    file.set_len(2).unwrap();
    assert_eq!(content(&file), b"ab");
    file.set_len(4).unwrap();
    assert_eq!(content(&file), b"ab\0\0");
}

fn a_name_is_created_once<D: Disk>(disk: &D, dir: &Path) {
    disk.create_new(&dir.join("a")).unwrap();
    assert_eq!(kind_of(disk.create_new(&dir.join("a"))), Some(io::ErrorKind::AlreadyExists));
    assert_eq!(kind_of(disk.create_dir(&dir.join("a"))), Some(io::ErrorKind::AlreadyExists));
    assert_eq!(kind_of(disk.open(&dir.join("b"))), Some(io::ErrorKind::NotFound));
    assert_eq!(kind_of(disk.list(&dir.join("b"))), Some(io::ErrorKind::NotFound));
}

fn a_removed_file_stays_readable_for_those_who_hold_it<D: Disk>(disk: &D, dir: &Path) {
    let file = disk.create_new(&dir.join("a")).unwrap();
    file.write_all_at(b"old", 0).unwrap();
    disk.remove_file(&dir.join("a")).unwrap();
    let again = disk.create_new(&dir.join("a")).unwrap();
    again.write_all_at(b"new", 0).unwrap();
    assert_eq!(content(&file), b"old");
    assert_eq!(content(&again), b"new");
    disk.remove_file(&dir.join("a")).unwrap();
    assert_eq!(kind_of(disk.remove_file(&dir.join("a"))), Some(io::ErrorKind::NotFound));
}

fn a_directory_is_removed_only_when_empty<D: Disk>(disk: &D, dir: &Path) {
    let inner = dir.join("inner");
    disk.create_dir(&inner).unwrap();
    disk.create_new(&inner.join("a")).unwrap();
    assert_eq!(kind_of(disk.remove_dir(&inner)), Some(io::ErrorKind::DirectoryNotEmpty));
    disk.remove_file(&inner.join("a")).unwrap();
    disk.remove_dir(&inner).unwrap();
    assert_eq!(disk.list(dir).unwrap(), []);
}

fn a_listing_is_sorted_and_tells_files_from_directories<D: Disk>(disk: &D, dir: &Path) {
    disk.create_new(&dir.join("b")).unwrap();
    disk.create_dir(&dir.join("c")).unwrap();
    disk.create_new(&dir.join("a")).unwrap();
    let entry = |name: &str, kind| Entry { name: OsString::from(name), kind };
    let expected = [
        entry("a", EntryKind::File),
        entry("b", EntryKind::File),
        entry("c", EntryKind::Directory),
    ];
    assert_eq!(disk.list(dir).unwrap(), expected);
}

fn a_rename_replaces_the_file_of_that_name<D: Disk>(disk: &D, dir: &Path) {
    disk.create_new(&dir.join("a")).unwrap().write_all_at(b"a", 0).unwrap();
    disk.create_new(&dir.join("b")).unwrap().write_all_at(b"b", 0).unwrap();
    disk.rename(&dir.join("a"), &dir.join("b")).unwrap();
    assert_eq!(content(&disk.open(&dir.join("b")).unwrap()), b"a");
    assert_eq!(kind_of(disk.open(&dir.join("a"))), Some(io::ErrorKind::NotFound));
}

fn a_rename_replaces_no_directory_that_holds_something<D: Disk>(disk: &D, dir: &Path) {
    for name in ["a", "b"] {
        disk.create_dir(&dir.join(name)).unwrap();
        disk.create_new(&dir.join(name).join("file")).unwrap();
    }
    let refused = disk.rename(&dir.join("a"), &dir.join("b"));
    assert_eq!(kind_of(refused), Some(io::ErrorKind::DirectoryNotEmpty));
    assert!(disk.list(&dir.join("a")).is_ok());
}

fn replacing_a_file_survives_what_an_earlier_attempt_left<D: Disk>(disk: &D, dir: &Path) {
    let path: PathBuf = dir.join("meta");
    disk.create_new(&dir.join("meta.tmp")).unwrap().write_all_at(b"half of it", 0).unwrap();
    replace_atomically(disk, &path, b"one").unwrap();
    replace_atomically(disk, &path, b"two").unwrap();
    assert_eq!(content(&disk.open(&path).unwrap()), b"two");
    assert_eq!(disk.list(dir).unwrap().len(), 1);
}

fn a_second_lock_is_refused_until_the_first_is_dropped<D: Disk>(disk: &D, dir: &Path) {
    let path = dir.join("lock");
    let first = disk.lock(&path).unwrap();
    assert!(matches!(disk.lock(&path), Err(LockError::Held { .. })));
    drop(first);
    disk.lock(&path).unwrap();
}

fn there_is_room_on_an_empty_disk<D: Disk>(disk: &D, dir: &Path) {
    let Space { free, total } = disk.space(dir).unwrap();
    assert!(0 < free && free <= total);
}

fn what_was_written_reads_well_once_the_cache_has_forgotten_it<D: Disk>(disk: &D, dir: &Path) {
    let file = disk.create_new(&dir.join("file")).unwrap();
    file.write_all_at(b"synced ", 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"not yet", 7).unwrap();
    file.forget_cached().unwrap();
    assert_eq!(content(&file), b"synced not yet");
}

fn what_is_allocated_is_there_and_what_was_written_stays<D: Disk>(disk: &D, dir: &Path) {
    const LEN: u64 = (1 << 20) + 100;
    let file = disk.create_new(&dir.join("room")).unwrap();
    file.write_all_at(b"kept", 0).unwrap();
    file.allocate(LEN).unwrap();
    assert_eq!(file.len().unwrap(), LEN);
    let bytes = file.read_vec_at(usize::try_from(LEN).unwrap(), 0).unwrap();
    let (kept, zeros) = bytes.split_at(4);
    assert_eq!(kept, b"kept");
    assert!(zeros.iter().all(|byte| *byte == 0));
    file.allocate(10).unwrap();
    assert_eq!(file.len().unwrap(), LEN, "nothing is taken away");
}
