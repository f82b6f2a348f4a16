//! The directory's journal: each rule by the schedule that loses or revives a record without it.

use std::io;
use std::num::NonZeroUsize;

use commit_log::{
    AppendError, DamageKind, DirectoryError, JournalConfig, LogConfig, LogError, Recovered,
    UpkeepDone, UpkeepScope, WriteBufferConfig,
};
use disk::{Disk, DiskFile, FaultyDisk, Operation, PlannedFault};
use types::Durability;

use crate::harness::{
    Lab, append, batch, folder, key, offset, one_segment, read_all, small_segments,
};

mod checkpoint;
mod rot;
mod upgrade;

const SEEDS: u64 = 150;

fn fsync() -> LogConfig {
    one_segment(Durability::Fsync)
}

fn fault(operation: Operation, path_contains: &str) -> PlannedFault {
    PlannedFault { path_contains: path_contains.to_owned(), ..crate::harness::fault(operation) }
}

/// Too large for the journal: its log is synced.
pub(crate) const LARGE: &[u64] = &[70; 30];

/// A lab that notices when an append did not go the way its test is about.
pub(crate) trait Ways {
    /// Appends to log 0 through the journal: no file of the log is synced.
    fn journal(&mut self, epoch: u32, words: &[u64]);
    /// Appends to log 0 by syncing its files.
    fn sync(&mut self, epoch: u32, words: &[u64]);
}

impl Ways for Lab {
    fn journal(&mut self, epoch: u32, words: &[u64]) {
        self.disk.fail(fault(Operation::SyncData, ".log"));
        let batches: Vec<&[u64]> = words.iter().map(std::slice::from_ref).collect();
        let answer = self.append(epoch, &batches).unwrap();
        assert_eq!(answer.durable_end, answer.end);
        assert_eq!(self.disk.faults_to_come(), 1, "a log was synced");
        self.disk.forget_faults();
    }

    fn sync(&mut self, epoch: u32, words: &[u64]) {
        assert!(words.len() >= LARGE.len());
        self.disk.fail(fault(Operation::SyncData, ".journal"));
        let answer = self.append(epoch, &[words]).unwrap();
        assert_eq!(answer.durable_end, answer.end);
        assert_eq!(self.disk.faults_to_come(), 1, "the journal was synced");
        self.disk.forget_faults();
    }
}

#[test]
fn what_was_answered_through_the_journal_is_there_after_a_loss_of_power() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0, 1]);
        lab.journal(2, &[2]);
        lab.lose_power();
        assert_eq!(lab.contents(), [(0, 1, 0), (1, 1, 1), (2, 2, 2)], "seed {seed}");
    }
}

#[test]
fn one_sync_answers_many_logs() {
    let mut lab = Lab::journalled(1, fsync());
    for partition in 1..5 {
        lab.create(partition);
    }
    lab.disk.fail(PlannedFault { after: 1, ..fault(Operation::SyncData, "") });
    let appends: Vec<_> = (0..5).map(|log| append(log, 1, &[&[u64::from(log)]])).collect();
    for answer in lab.step(&appends) {
        assert_eq!(answer.unwrap().durable_end, offset(1));
    }
    assert_eq!(lab.disk.faults_to_come(), 1, "more than one sync");
}

#[test]
fn j1_what_was_cut_never_comes_back_and_what_follows_stays() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0, 1, 2]);
        let end = seed % 3;
        lab.truncate(key(0), offset(end)).unwrap();
        if seed % 2 == 0 {
            lab.sync(2, LARGE);
        }
        lab.lose_power();
        let mut expected: Vec<u64> = (0..end).collect();
        if seed % 2 == 0 {
            expected.extend(LARGE);
        }
        assert_eq!(lab.words(), expected, "seed {seed}");
    }
}

#[test]
fn j1_a_loss_of_power_within_a_truncation_leaves_a_prefix_of_what_was() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, small_segments(Durability::Fsync));
        for word in 0..4 {
            lab.journal(1 + u32::from(word > 1), &[word]);
        }
        lab.disk.cut_power_after((seed % 12) as u32);
        let _interrupted = lab.truncate(key(0), offset(1)).is_err();
        lab.lose_power();
        let words = lab.words();
        assert!(!words.is_empty(), "seed {seed}");
        assert_eq!(words, (0..words.len() as u64).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn j1_what_was_reset_never_comes_back() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0, 1, 2]);
        lab.directory().reset(key(0), offset(1)).unwrap();
        lab.lose_power();
        assert_eq!((lab.reader().log_start(), lab.reader().end()), (offset(1), offset(1)));
        assert_eq!(lab.words(), [0; 0], "seed {seed}");
    }
}

#[test]
fn j2_entries_of_a_deleted_log_do_not_enter_its_next_life() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0, 1]);
        lab.directory().delete_log(key(0)).unwrap();
        lab.create(0);
        lab.lose_power();
        assert_eq!(lab.words(), [0; 0], "seed {seed}");
    }
}

#[test]
fn j3_a_sync_covers_what_only_the_journal_held() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0]);
        // In a file of its own.
        lab.sync(2, LARGE);
        assert_eq!(lab.segments().len(), 2);
        // The journal may go now.
        for file in lab.journal_files() {
            lab.disk.remove_file(&file).unwrap();
        }
        lab.lose_power();
        assert_eq!(lab.words().len(), 1 + LARGE.len(), "seed {seed}");
    }
}

#[test]
fn j4_a_journal_file_is_used_again_only_when_every_file_of_its_logs_is_synced() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, small_segments(Durability::Fsync));
        lab.create(1);
        let mut rounds = 0;
        for number in 0..40_u32 {
            let word = u64::from(number);
            // Log 1 is appended to once, and old when its entry's place is taken.
            let mut appends = vec![append(0, 1 + number / 5, &[&[word]])];
            if word == 0 {
                appends.push(append(1, 1, &[&[100]]));
            }
            for answer in lab.step(&appends) {
                answer.unwrap();
            }
            rounds += u32::from(lab.directory().needs_upkeep());
            lab.upkeep_of_journal();
        }
        assert!(rounds > 5, "the journal went round");
        lab.lose_power();
        assert_eq!(lab.words(), (0..40).collect::<Vec<_>>(), "seed {seed}");
        let other = lab.directory().reader(key(1)).unwrap();
        assert_eq!(read_all(&other, 1000), [(0, 1, 100)], "seed {seed}");
    }
}

#[test]
fn j4_nothing_is_lost_when_power_goes_during_a_round_of_upkeep() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, small_segments(Durability::Fsync));
        let mut word = 0;
        while !lab.directory().needs_upkeep() {
            lab.append(1, &[&[word]]).unwrap();
            word += 1;
        }
        let now = lab.now;
        let round = lab.directory().begin_upkeep(now, UpkeepScope::Journal).unwrap().unwrap();
        // Appends go on while it is under way.
        lab.append(1, &[&[word]]).unwrap();
        lab.disk.cut_power_after((seed % 12) as u32);
        let done = round.run();
        let _interrupted = lab.directory().finish_upkeep(done).is_err();
        let last = lab.append(1, &[&[word + 1]]).is_ok();
        lab.lose_power();
        let words = lab.words();
        assert!(words.len() as u64 >= word + 1 + u64::from(last), "seed {seed}: {words:?}");
        assert_eq!(words, (0..words.len() as u64).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn j5_a_refused_append_does_not_stand_in_the_place_of_a_later_one() {
    for seed in 0..SEEDS {
        let mut lab = Lab::buffered(seed, fsync(), WriteBufferConfig::NONE);
        lab.journal(1, &[0]);
        let full =
            PlannedFault { error: io::ErrorKind::StorageFull, ..fault(Operation::Write, ".log") };
        lab.disk.fail(full);
        let refused = lab.append(1, &[&[7], &[8]]).unwrap_err();
        assert!(matches!(refused, AppendError::Full { .. }));
        if seed % 2 == 0 {
            assert_eq!(lab.append(1, &[&[1]]).unwrap().base_offset, offset(1));
        }
        lab.lose_power();
        let expected: &[u64] = if seed % 2 == 0 { &[0, 1] } else { &[0] };
        assert_eq!(lab.words(), expected, "seed {seed}");
    }
}

#[test]
fn j5_a_full_journal_is_no_reason_to_refuse() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        // No upkeep ever gives it room.
        for word in 0..60 {
            let answer = lab.append(1, &[&[word]]).unwrap();
            assert_eq!(answer.durable_end, offset(word + 1));
        }
        lab.lose_power();
        assert_eq!(lab.words(), (0..60).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn j5_a_full_disk_takes_what_the_journal_was_promised() {
    let mut lab = Lab::journalled(1, fsync());
    lab.journal(1, &[0]);
    let used = lab.disk.used();
    // Room for the log's copy, and for none of the journal's but what is allocated.
    lab.disk.set_capacity(Some(used + batch(&[1]).bytes().len() as u64));
    lab.journal(1, &[1]);
    assert!(matches!(lab.append(1, &[&[2]]), Err(AppendError::Full { .. })));
    lab.lose_power();
    assert_eq!(lab.words(), [0, 1]);
}

#[test]
fn j5_a_journal_that_cannot_be_written_fences() {
    let mut lab = Lab::journalled(1, fsync());
    lab.disk.fail(fault(Operation::Write, ".journal"));
    assert!(matches!(lab.append(1, &[&[0]]), Err(AppendError::Fenced(_))));
    assert!(lab.open().is_err());
}

#[test]
fn j6_a_log_switched_to_fsync_is_synced_before_the_journal_takes_it() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0]);
        lab.directory().set_config(key(0), one_segment(Durability::PageCache)).unwrap();
        lab.append(1, &[&[1]]).unwrap();
        lab.directory().set_config(key(0), fsync()).unwrap();
        assert_eq!(lab.append(1, &[&[2]]).unwrap().durable_end, offset(3));
        lab.journal(1, &[3]);
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1, 2, 3], "seed {seed}");
    }
}

#[test]
fn j7_a_log_emptied_by_retention_goes_on_where_it_was() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, small_segments(Durability::Fsync));
        for word in 0..6_u32 {
            lab.journal(1 + word / 2, &[u64::from(word)]);
        }
        let start = 2 * (seed % 4);
        lab.directory().advance_log_start(key(0), offset(start)).unwrap();
        lab.lose_power();
        let reader = lab.reader();
        assert_eq!((reader.log_start(), reader.end()), (offset(start), offset(6)), "seed {seed}");
        assert_eq!(lab.words(), (start..6).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn j8_a_log_whose_end_only_the_journal_holds_is_not_damaged() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.sync(1, LARGE);
        lab.upkeep();
        lab.journal(1, &[1, 2]);
        // The file loses all of it.
        let file = lab.disk.open(&folder(0).join("00000000000000000000-1.log")).unwrap();
        file.set_len(batch(LARGE).bytes().len() as u64).unwrap();
        file.sync_data().unwrap();
        lab.lose_power();
        let Recovered::Usable { end, replayed, .. } = *lab.outcome() else { panic!("damaged") };
        assert_eq!((end, replayed), (offset(32), 2), "seed {seed}");
    }
}

#[test]
fn j8_a_hole_before_what_the_journal_holds_is_damage() {
    let mut lab = Lab::journalled(1, fsync());
    lab.sync(1, LARGE);
    lab.journal(1, &[1]);
    let file = lab.disk.open(&folder(0).join("00000000000000000000-1.log")).unwrap();
    file.set_len(0).unwrap();
    file.sync_data().unwrap();
    lab.lose_power();
    let Recovered::Damaged(damage) = lab.outcome() else { panic!("lost without notice") };
    assert_eq!((damage.lost_from, damage.durable_to), (offset(0), offset(31)));
    assert!(matches!(damage.kind, DamageKind::Missing), "{damage}");
}

#[test]
fn j8_the_journal_is_kept_until_a_damaged_log_is_whole_again() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.create(1);
        lab.sync(1, LARGE);
        lab.upkeep();
        lab.journal(1, &[1, 2]);
        lab.step(&[append(1, 1, &[&[5]])]).pop().unwrap().unwrap();
        let path = folder(0).join("00000000000000000000-1.log");
        // It loses what only the journal holds, and more.
        let file = lab.disk.open(&path).unwrap();
        file.set_len(batch(LARGE).bytes().len() as u64).unwrap();
        file.sync_data().unwrap();
        let magic = 16;
        lab.disk.rot(&path, magic).unwrap();
        lab.lose_power();
        assert!(matches!(lab.outcome(), Recovered::Damaged(_)), "seed {seed}");
        // The others go on meanwhile, and are cut too.
        let other = key(1);
        let at = lab.directory().reader(other).unwrap().end();
        assert_eq!(at, offset(1), "seed {seed}");
        lab.truncate(other, offset(0)).unwrap();
        lab.step(&[append(1, 2, &[&[6]])]).pop().unwrap().unwrap();
        lab.upkeep();
        lab.lose_power();
        assert!(matches!(lab.outcome(), Recovered::Damaged(_)), "seed {seed}");
        // The operator brings the file back: a second flip of the same bit.
        lab.disk.rot(&path, magic).unwrap();
        lab.lose_power();
        assert_eq!(lab.words().len(), LARGE.len() + 2, "seed {seed}");
        let other = lab.directory().reader(other).unwrap();
        assert_eq!(read_all(&other, 1000), [(0, 2, 6)], "seed {seed}");
    }
}

#[test]
fn j9_a_loss_of_power_during_replay_costs_nothing() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, small_segments(Durability::Fsync));
        lab.journal(1, &[0, 1, 2]);
        lab.journal(2, &[3, 4]);
        for cut in 0..12 {
            lab.disk.lose_power();
            lab.disk.cut_power_after(cut);
            if lab.open().is_ok() {
                break;
            }
        }
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1, 2, 3, 4], "seed {seed}");
    }
}

#[test]
fn j9_entries_of_an_earlier_life_do_not_follow_those_of_this_one() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0]);
        lab.journal(1, &[1]);
        lab.journal(1, &[2]);
        lab.kill();
        lab.prepare_journal();
        lab.truncate(key(0), offset(0)).unwrap();
        // As long as the first entry of the earlier life, in its place, and numbered like it.
        lab.journal(1, &[9]);
        lab.lose_power();
        assert_eq!(lab.words(), [9], "seed {seed}");
    }
}

/// A round of upkeep one of whose syncs failed, which the directory has not been told.
fn failed_round(lab: &mut Lab) -> UpkeepDone<FaultyDisk> {
    lab.journal(1, &[0]);
    let now = lab.now;
    let round = lab.directory().begin_upkeep(now, UpkeepScope::Everything).unwrap().unwrap();
    lab.disk.fail(fault(Operation::SyncData, ".log"));
    round.run()
}

#[test]
fn j10_a_sync_that_failed_in_the_background_answers_nobody() {
    let mut lab = Lab::journalled(1, fsync());
    let done = failed_round(&mut lab);
    // The disk's next sync of that file succeeds, and its failure was told to someone else.
    let answer = lab.append(1, &[LARGE]);
    assert!(matches!(answer, Err(AppendError::Fenced(_))), "{answer:?}");
    assert!(matches!(lab.directory().finish_upkeep(done), Err(LogError::Fenced(_))));
}

#[test]
fn j10_a_sync_that_fails_in_a_step_is_marked_before_the_others_are_done() {
    let mut lab = Lab::journalled(1, fsync());
    lab.disk.fail(fault(Operation::SyncData, ".log"));
    // There are two who mark. The first tries at once, and cannot.
    lab.disk.fail(fault(Operation::Create, "fenced"));
    assert!(matches!(lab.append(1, &[LARGE]), Err(AppendError::Fenced(_))));
    assert_eq!(lab.disk.faults_to_come(), 0);
    let refused = lab.open().unwrap_err();
    assert!(matches!(refused, DirectoryError::Fenced { .. }), "{refused}");
}

#[test]
fn j10_a_sync_that_fails_in_the_background_is_marked_before_the_writer_hears_of_it() {
    let mut lab = Lab::journalled(1, fsync());
    // Killed before it could be told.
    drop(failed_round(&mut lab));
    let refused = lab.open().unwrap_err();
    assert!(matches!(refused, DirectoryError::Fenced { .. }), "{refused}");
}

#[test]
fn appends_to_few_logs_go_to_their_files_and_to_many_into_the_journal() {
    for (logs, entries) in [(1, 0), (2, 2)] {
        let journal = JournalConfig {
            few_logs: NonZeroUsize::MIN.saturating_add(1),
            ..crate::harness::small_journal()
        };
        let mut lab = Lab::with_journal(1, fsync(), Some(journal));
        (0..4).for_each(|log| drop(lab.create(log)));
        let step = |lab: &mut Lab, logs: u32, word: u64| {
            let appends: Vec<_> = (0..logs).map(|log| append(log, 1, &[&[word]])).collect();
            assert!(lab.step(&appends).iter().all(Result::is_ok));
        };
        // The first that suits it asks for it.
        step(&mut lab, 4, 0);
        lab.upkeep();
        step(&mut lab, logs, 1);
        lab.lose_power();
        assert_eq!(lab.directory().journal_found().entries, entries, "{logs} logs");
    }
}

#[test]
fn j10_a_journal_whose_sync_fails_fences() {
    let mut lab = Lab::journalled(1, fsync());
    lab.journal(1, &[0]);
    lab.disk.fail(fault(Operation::SyncData, ".journal"));
    assert!(matches!(lab.append(1, &[&[1]]), Err(AppendError::Fenced(_))));
    lab.disk.lose_power();
    assert!(lab.open().is_err());
}

#[test]
fn a_torn_journal_costs_nothing_that_was_answered() {
    for seed in 0..4 * SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.journal(1, &[0, 1]);
        // The next entry comes to the disk in part.
        lab.disk.cut_power_after(1 + (seed % 3) as u32);
        let answered = lab.append(1, &[&[2], &[3]]).is_ok();
        lab.lose_power();
        let words = lab.words();
        assert!(words.len() >= if answered { 4 } else { 2 }, "seed {seed}: {words:?}");
        assert_eq!(words, (0..words.len() as u64).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn a_disk_too_full_for_a_journal_has_none_and_asks_again() {
    let mut lab = Lab::with_journal(1, fsync(), Some(crate::harness::small_journal()));
    lab.create(0);
    lab.append(1, &[&[0]]).unwrap();
    assert!(lab.directory().needs_upkeep());
    lab.disk.set_capacity(Some(lab.disk.used() + 1000));
    let now = lab.now;
    assert!(matches!(lab.directory().upkeep(now), Err(LogError::Full { .. })));
    assert!(lab.journal_files().is_empty(), "what was allocated is given back");
    lab.append(1, &[&[1]]).unwrap();
    lab.disk.set_capacity(None);
    lab.upkeep();
    lab.append(1, &[&[2]]).unwrap();
    lab.upkeep();
    lab.journal(1, &[3]);
    lab.lose_power();
    assert_eq!(lab.words(), [0, 1, 2, 3]);
}

#[test]
fn a_cut_before_the_journal_has_room_voids_nothing_that_comes_after() {
    for seed in 0..SEEDS {
        let mut lab = Lab::buffered(seed, fsync(), WriteBufferConfig::NONE);
        lab.journal(1, &[0, 1]);
        // A start that cannot write its checkpoint goes without a journal until there is room.
        lab.disk.set_capacity(Some(0));
        lab.kill();
        lab.truncate(key(0), offset(1)).unwrap();
        lab.disk.set_capacity(None);
        lab.upkeep();
        lab.prepare_journal();
        lab.journal(1, &[2]);
        lab.lose_power();
        assert_eq!(lab.words(), [0, 2], "seed {seed}");
    }
}

#[test]
fn j5_what_was_refused_in_a_step_gives_way_to_what_the_same_step_takes() {
    for seed in 0..SEEDS {
        let mut lab = Lab::buffered(seed, fsync(), WriteBufferConfig::NONE);
        lab.journal(1, &[0]);
        let full =
            PlannedFault { error: io::ErrorKind::StorageFull, ..fault(Operation::Write, ".log") };
        lab.disk.fail(full);
        let answers = lab.step(&[append(0, 1, &[&[7], &[8]]), append(0, 1, &[&[1]])]);
        assert!(matches!(answers[0], Err(AppendError::Full { .. })), "seed {seed}");
        assert_eq!(answers[1].as_ref().unwrap().durable_end, offset(2), "seed {seed}");
        lab.lose_power();
        assert_eq!(lab.words(), [0, 1], "seed {seed}");
    }
}

#[test]
fn j7_a_start_within_what_only_the_journal_held_is_synced_first() {
    for seed in 0..SEEDS {
        let mut lab = Lab::journalled(seed, fsync());
        lab.append(1, &[&[0, 1, 2]]).unwrap();
        lab.directory().advance_log_start(key(0), offset(1)).unwrap();
        lab.lose_power();
        assert_eq!(lab.words(), [1, 2], "seed {seed}");
    }
}
