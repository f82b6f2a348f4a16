//! What recovery makes of what a crash left: torn tails are cut, damage is reported.

use std::path::PathBuf;

use commit_log::{
    AppendError, DamageKind, DirectoryError, Flaw, FlawKind, LogConfig, LogError, Recovered,
};
use crc_fast::CrcAlgorithm;
use disk::{Disk, DiskFile};
use record::RecordError;
use types::{Durability, LeaderEpoch, Offset};

use crate::harness::{DATA, Lab, batch, folder, key, offset, one_segment, small_segments};

fn first_segment() -> PathBuf {
    folder(0).join("00000000000000000000-1.log")
}

/// Three records, all in one segment that takes more.
fn three(config: LogConfig) -> Lab {
    let mut lab = Lab::new(1, config);
    lab.append(1, &[&[0], &[1], &[2]]).unwrap();
    lab
}

fn batch_len() -> u64 {
    batch(&[0]).bytes().len() as u64
}

/// Puts bytes behind the end of the first segment, as a torn write would.
fn scribble(lab: &Lab, bytes: &[u8]) {
    let file = lab.disk.open(&first_segment()).unwrap();
    let end = file.len().unwrap();
    file.write_all_at(bytes, end).unwrap();
}

#[track_caller]
fn torn(lab: &mut Lab) -> (u64, Option<FlawKind>) {
    let Recovered::Usable { end, torn_tail, .. } = lab.outcome() else { panic!("damaged") };
    assert_eq!(*end, offset(3));
    let tail = torn_tail.clone().expect("something was cut");
    if let Some(Flaw { position, .. }) = tail.flaw {
        assert_eq!(position, 3 * batch_len());
    }
    (tail.bytes, tail.flaw.map(|flaw| flaw.kind))
}

#[test]
fn a_torn_batch_is_cut() {
    let mut lab = three(one_segment(Durability::Fsync));
    let whole = batch(&[3]);
    let placed = whole.placed_header(offset(3), LeaderEpoch::new(1));
    scribble(&lab, &placed);
    lab.kill();
    let (bytes, kind) = torn(&mut lab);
    assert_eq!(bytes, placed.len() as u64);
    assert!(matches!(kind, Some(FlawKind::Batch(RecordError::Truncated { .. }))), "{kind:?}");
    assert_eq!(lab.words(), [0, 1, 2]);
    assert_eq!(lab.append(1, &[&[3]]).unwrap().base_offset, offset(3));
}

#[test]
fn zeros_that_a_lost_write_left_are_cut() {
    let mut lab = three(one_segment(Durability::Fsync));
    scribble(&lab, &[0; 500]);
    lab.kill();
    assert_eq!(torn(&mut lab).0, 500);
}

#[test]
fn the_fields_outside_the_checksum_are_checked_too() {
    for (base, epoch) in [(4, 1), (2, 1), (3, 2)] {
        let mut lab = three(one_segment(Durability::Fsync));
        let whole = batch(&[3]);
        let mut bytes = whole.placed_header(offset(base), LeaderEpoch::new(epoch)).to_vec();
        bytes.extend(whole.body());
        scribble(&lab, &bytes);
        lab.kill();
        let expected = if epoch == 1 {
            FlawKind::Offset { expected: offset(3), found: offset(base) }
        } else {
            let found = Some(LeaderEpoch::new(epoch));
            FlawKind::Epoch { expected: LeaderEpoch::new(1), found }
        };
        assert_eq!(torn(&mut lab).1, Some(expected));
    }
}

#[test]
fn segments_behind_a_torn_one_are_dropped() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..9 {
        lab.append(1, &[&[word]]).unwrap();
    }
    let last_of_first = 2 * batch_len() + 70;
    lab.disk.rot(&first_segment(), last_of_first).unwrap();
    lab.kill();
    assert_eq!(lab.words(), [0, 1]);
    assert_eq!(lab.segments().len(), 1);
}

#[test]
fn below_the_recovery_point_it_is_damage_and_stays_untouched() {
    let mut lab = three(one_segment(Durability::Fsync));
    lab.upkeep();
    lab.append(1, &[&[3]]).unwrap();
    // The length of the second batch.
    lab.disk.rot(&first_segment(), batch_len() + 10).unwrap();
    for _ in 0..2 {
        lab.kill();
        let Recovered::Damaged(damage) = lab.outcome() else { panic!("cut, not reported") };
        assert_eq!((damage.lost_from, damage.durable_to), (offset(1), offset(3)));
        assert_eq!(damage.path, first_segment());
        assert!(matches!(&damage.kind, DamageKind::Flaw(flaw) if flaw.position == batch_len()));
    }
    assert!(lab.directory().reader(key(0)).is_none());
    assert!(matches!(lab.append(1, &[&[4]]), Err(AppendError::Damaged { .. })));
    assert!(matches!(lab.directory().reset(key(0), offset(0)), Err(LogError::Damaged { .. })));
    let len = lab.disk.open(&first_segment()).unwrap().len().unwrap();
    assert_eq!(len, 4 * batch_len());
}

#[test]
fn a_segment_that_went_missing_is_damage() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..9 {
        lab.append(1, &[&[word]]).unwrap();
    }
    lab.upkeep();
    let segments = lab.segments();
    assert!(segments.len() > 2);
    lab.disk.remove_file(&folder(0).join(&segments[1])).unwrap();
    lab.kill();
    let Recovered::Damaged(damage) = lab.outcome() else { panic!("not noticed") };
    assert!(matches!(damage.kind, DamageKind::Missing));
    assert_eq!(damage.lost_from, offset(3));
}

#[test]
fn a_segment_that_cannot_be_read_is_damage_of_its_log_alone() {
    let mut lab = three(one_segment(Durability::Fsync));
    lab.create(1);
    lab.disk.spoil(&folder(0).join("00000000000000000000-1.log"), 3).unwrap();
    lab.kill();
    let Recovered::Damaged(damage) = lab.outcome() else { panic!("not noticed") };
    assert!(matches!(damage.kind, DamageKind::Unreadable(_)));
    assert!(lab.directory().reader(key(1)).is_some());
}

#[test]
fn a_log_without_its_numbers_is_damaged_and_can_be_put_aside() {
    for is_there in [true, false] {
        let mut lab = three(one_segment(Durability::Fsync));
        lab.create(1);
        let meta = folder(0).join("partition.meta");
        if is_there {
            lab.disk.open(&meta).unwrap().set_len(3).unwrap();
        } else {
            lab.disk.remove_file(&meta).unwrap();
            lab.disk.sync_dir(&folder(0)).unwrap();
        }
        lab.kill();
        assert!(lab.directory().reader(key(1)).is_some(), "it is damage of its log alone");
        let Recovered::Damaged(damage) = lab.outcome() else { panic!("not noticed") };
        assert!(matches!(damage.kind, DamageKind::Meta));
        let aside = lab.directory().quarantine_log(key(0)).unwrap();
        lab.create(0);
        lab.append(1, &[&[9]]).unwrap();
        lab.lose_power();
        assert_eq!(lab.words(), [9]);
        let left = lab.disk.list(&aside).unwrap().len();
        assert_eq!(left, 1 + usize::from(is_there), "nothing in it was touched");
    }
}

#[test]
fn a_damaged_log_can_be_deleted() {
    let mut lab = three(one_segment(Durability::Fsync));
    lab.upkeep();
    lab.disk.rot(&first_segment(), 10).unwrap();
    lab.kill();
    lab.directory().delete_log(key(0)).unwrap();
    lab.lose_power();
    assert!(lab.directory().recovered().is_empty());
    lab.kill();
    let left = lab.disk.list(DATA.as_ref()).unwrap();
    assert!(left.iter().all(|entry| entry.kind == disk::EntryKind::File), "{left:?}");
    lab.create(0);
}

#[test]
fn recovering_twice_finds_the_same() {
    for seed in 0..100 {
        let mut lab = Lab::new(seed, small_segments(Durability::PageCache));
        for word in 0..12 {
            lab.append(1 + u32::try_from(word / 5).unwrap(), &[&[word]]).unwrap();
        }
        lab.lose_power();
        let (once, files) = (lab.contents(), lab.segments());
        lab.kill();
        assert_eq!((lab.contents(), lab.segments()), (once, files), "seed {seed}");
        assert!(matches!(lab.outcome(), Recovered::Usable { torn_tail: None, .. }));
    }
}

/// Lets `partition.meta` say, under a right checksum, that the log is being reset although records
/// behind its start are durable.
fn half_reset(lab: &Lab, durable_to: u64) {
    const SLOT: usize = 96;
    let meta = lab.disk.open(&folder(0).join("partition.meta")).unwrap();
    for slot in [0, 4096] {
        let mut bytes = meta.read_vec_at(SLOT, slot).unwrap();
        bytes[4..8].copy_from_slice(&1_u32.to_be_bytes());
        bytes[40..48].copy_from_slice(&durable_to.to_be_bytes());
        let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &bytes[..SLOT - 4]);
        bytes[SLOT - 4..].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
        meta.write_all_at(&bytes, slot).unwrap();
    }
}

#[test]
fn a_reset_that_was_broken_off_is_finished_for_good_whatever_had_been_durable() {
    let mut lab = three(one_segment(Durability::Fsync));
    half_reset(&lab, 3);
    for start in ["first", "second"] {
        lab.kill();
        let Recovered::Usable { start: from, end, .. } = lab.outcome() else {
            panic!("damaged at the {start} start")
        };
        assert_eq!((*from, *end), (offset(0), offset(0)), "{start}");
    }
    lab.append(1, &[&[9]]).unwrap();
    lab.lose_power();
    assert_eq!(lab.words(), [9]);
}

#[test]
fn a_lost_or_damaged_index_is_rebuilt() {
    for damage in ["remove", "rot", "cut"] {
        let mut lab = Lab::new(1, small_segments(Durability::Fsync));
        for word in 0..9 {
            lab.append(1, &[&[word]]).unwrap();
        }
        lab.upkeep();
        let indexes = lab.files(".index");
        assert_eq!(indexes.len(), lab.segments().len() - 1);
        for index in indexes {
            let path = folder(0).join(index);
            match damage {
                "remove" => lab.disk.remove_file(&path).unwrap(),
                "rot" => lab.disk.rot(&path, 5).unwrap(),
                _ => lab.disk.open(&path).unwrap().set_len(20).unwrap(),
            }
        }
        lab.kill();
        assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        for from in 0..9 {
            let bytes = lab.reader().read(offset(from), 1, Offset::MAX).unwrap();
            assert_eq!(crate::harness::records(bytes)[0].0, from);
        }
    }
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let mut lab = three(one_segment(Durability::Fsync));
    let second = commit_log::Directory::open(
        lab.disk.clone(),
        DATA.as_ref(),
        commit_log::DirectoryConfig::default(),
        crate::harness::FRESH,
        lab.now,
    );
    let Err(error @ DirectoryError::InUse { .. }) = second else { panic!("two writers") };
    assert!(error.to_string().starts_with("data directory /data is in use by another process"));
    lab.append(1, &[&[3]]).unwrap();
}

#[test]
fn a_directory_keeps_its_id_and_is_not_given_another_over_its_logs() {
    let mut lab = three(one_segment(Durability::Fsync));
    let id = lab.directory().id();
    lab.lose_power();
    assert_eq!(lab.directory().id(), id);
    lab.disk.remove_file(&std::path::Path::new(DATA).join("directory.meta")).unwrap();
    assert!(matches!(lab.open(), Err(DirectoryError::Unidentified { .. })));
}

#[test]
fn an_index_that_outlived_a_cut_says_nothing_of_what_was_appended_since() {
    // Takes as many bytes as two batches of one word each, so that the file is as long as it was
    // when its index was stored.
    let six: &[u64] = &[10, 11, 12, 13, 14, 100];
    assert_eq!(batch(six).bytes().len() as u64, 2 * batch_len());
    for seed in 0..40 {
        for operations in 0..12 {
            let mut lab = Lab::new(seed, one_segment(Durability::Fsync));
            lab.append(1, &[&[0], &[1], &[2], &[3]]).unwrap();
            lab.append(2, &[&[4]]).unwrap();
            lab.upkeep();
            lab.disk.cut_power_after(operations);
            let cut = lab.truncate(key(0), offset(2));
            lab.lose_power();
            if cut.is_ok() || lab.reader().end() != offset(2) {
                continue;
            }
            let appended = lab.append(1, &[six]).unwrap();
            lab.kill();
            assert_eq!(lab.reader().end(), appended.end, "seed {seed}, cut after {operations}");
            assert_eq!(lab.words(), [0, 1, 10, 11, 12, 13, 14, 100]);
        }
    }
}
