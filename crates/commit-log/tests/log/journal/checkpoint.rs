//! A checkpoint that an operator lost, or that was damaged.

use std::path::Path;

use commit_log::Recovered;
use disk::{Disk, DiskFile};
use types::Durability;

use super::{LARGE, SEEDS, Ways, fsync};
use crate::harness::{DATA, Lab, batch, folder, key, offset, small_segments};

#[test]
fn one_that_is_brought_back_from_an_earlier_life_is_told() {
    let path = Path::new(DATA).join("checkpoint");
    let mut lab = Lab::journalled(1, fsync());
    let file = lab.disk.open(&path).unwrap();
    let old = file.read_vec_at(usize::try_from(file.len().unwrap()).unwrap(), 0).unwrap();
    lab.kill();
    lab.prepare_journal();
    lab.journal(1, &[0]);
    lab.disk.lose_power();
    let file = lab.disk.open(&path).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&old, 0).unwrap();
    file.sync_data().unwrap();
    let error = lab.open().unwrap_err().to_string();
    assert!(error.starts_with("/data/checkpoint is damaged, or older than the journal"), "{error}");
    remove_checkpoint(&lab);
    lab.open().unwrap();
    assert_eq!(lab.words(), [0]);
}

#[test]
fn a_damaged_checkpoint_is_told() {
    let mut lab = Lab::journalled(1, fsync());
    lab.disk.rot(&Path::new(DATA).join("checkpoint"), 9).unwrap();
    let error = lab.open().unwrap_err().to_string();
    assert!(error.starts_with("/data/checkpoint is damaged"), "{error}");
}

/// What an operator does who finds `checkpoint` damaged and no copy of it.
fn remove_checkpoint(lab: &Lab) {
    let data = Path::new(DATA);
    lab.disk.remove_file(&data.join("checkpoint")).unwrap();
    lab.disk.sync_dir(data).unwrap();
}

#[test]
fn j9_entries_from_before_a_lost_checkpoint_do_not_follow_those_of_this_life() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        for word in 0..4 {
            lab.journal(1, &[word]);
        }
        remove_checkpoint(&lab);
        lab.kill();
        lab.prepare_journal();
        lab.truncate(key(0), offset(0)).unwrap();
        // As long as those of the earlier life, so that its fourth would be the next.
        for word in 10..13 {
            lab.journal(1, &[word]);
        }
        lab.lose_power();
        assert_eq!(lab.words(), [10, 11, 12], "seed {seed}");
    }
}

#[test]
fn a_lost_checkpoint_costs_nothing_that_the_journal_holds() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, small_segments(Durability::Fsync));
        // Files that were used again, and entries that lie in the logs as well.
        let mut word = 0;
        while word < 3 * seed {
            lab.journal(1, &[word]);
            word += 1;
            lab.upkeep_of_journal();
        }
        lab.journal(1, &[word, word + 1]);
        lab.disk.lose_power();
        remove_checkpoint(&lab);
        lab.lose_power();
        assert_eq!(lab.words(), (0..word + 2).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(lab.directory().journal_found().lost, 0, "seed {seed}");
        // From here on it is as always.
        lab.prepare_journal();
        lab.journal(1, &[word + 2]);
        lab.lose_power();
        assert_eq!(lab.words(), (0..word + 3).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn a_lost_checkpoint_brings_nothing_back_that_was_cut() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0, 1, 2]);
        lab.truncate(key(0), offset(1)).unwrap();
        lab.disk.lose_power();
        remove_checkpoint(&lab);
        lab.lose_power();
        assert_eq!(lab.words(), [0], "seed {seed}");
    }
}

#[test]
fn a_log_that_was_cut_before_the_checkpoint_was_lost_keeps_what_comes_after() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0, 1]);
        // Generations later, of which the journal holds nothing.
        for _ in 0..3 {
            lab.kill();
        }
        lab.truncate(key(0), offset(1)).unwrap();
        lab.disk.lose_power();
        remove_checkpoint(&lab);
        lab.lose_power();
        lab.prepare_journal();
        lab.journal(1, &[5]);
        lab.lose_power();
        assert_eq!(lab.words(), [0, 5], "seed {seed}");
    }
}

#[test]
fn a_lost_checkpoint_beside_a_damaged_log_keeps_the_journal_until_the_log_is_back() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.sync(1, LARGE);
        lab.upkeep();
        lab.journal(1, &[1, 2]);
        let path = folder(0).join("00000000000000000000-1.log");
        // It loses what only the journal holds, and more.
        let file = lab.disk.open(&path).unwrap();
        file.set_len(batch(LARGE).bytes().len() as u64).unwrap();
        file.sync_data().unwrap();
        let magic = 16;
        lab.disk.rot(&path, magic).unwrap();
        lab.disk.lose_power();
        remove_checkpoint(&lab);
        lab.lose_power();
        assert!(matches!(lab.outcome(), Recovered::Damaged(_)), "seed {seed}");
        lab.lose_power();
        lab.disk.rot(&path, magic).unwrap();
        lab.lose_power();
        assert_eq!(lab.words().len(), LARGE.len() + 2, "seed {seed}");
    }
}
