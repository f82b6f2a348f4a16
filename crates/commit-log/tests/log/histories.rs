//! Random histories of two logs, held against lists in memory.

mod event;
mod model;
mod producer;

use commit_log::{
    Append, AppendAt, JournalConfig, LogConfig, LogError, Room, StorageFault, Upkeep, UpkeepScope,
};
use disk::{FaultyDisk, Operation, PlannedFault};
use proptest::prelude::*;
use types::{DirectoryId, Durability, LeaderEpoch, Timestamp};

use crate::harness::{Found, Lab, fault, key, millis, offset, read_all, records};
use event::{Event, event, journal};
use model::Model;
use producer::Producer;

const LOGS: usize = 2;
/// Some segments.
const BALLAST: u64 = 2_000;

/// A round of upkeep on its way.
enum Round {
    None,
    Begun(Box<Upkeep<FaultyDisk>>),
    Run(commit_log::UpkeepDone<FaultyDisk>),
}

struct Story {
    lab: Lab,
    round: Round,
    models: [Model; LOGS],
    epoch: u32,
    next_word: u64,
    /// After how many operations the recovery from the next loss of power meets another.
    again_after: Option<u8>,
    /// What the disk holds at the most.
    capacity: Option<u64>,
    /// A sync is to fail, or has; and whether power is lost then.
    failing: Option<bool>,
}

impl Story {
    fn new(seed: u64, journal: Option<JournalConfig>) -> Self {
        let config = LogConfig {
            segment_bytes: 400,
            segment_ms: 1500,
            index_interval_bytes: 100,
            durability: Durability::Fsync,
            ..LogConfig::default()
        };
        let mut lab = match journal {
            Some(journal) => Lab::with_journal(seed, config, Some(journal)),
            None => Lab::empty(seed, config),
        };
        lab.ballast_bytes = BALLAST;
        lab.kill();
        lab.directory().ballast().restore().unwrap();
        lab.create(0);
        lab.create(1);
        let models = [Model::new(), Model::new()];
        let (round, again_after, capacity, failing) = (Round::None, None, None, None);
        let mut story =
            Self { lab, round, models, epoch: 1, next_word: 0, again_after, capacity, failing };
        if journal.is_some() {
            // The first step that suits the journal asks for its files.
            story.step(&[vec![1], vec![1]], false);
            assert!(story.lab.directory().needs_upkeep());
            story.upkeep(0);
        }
        story
    }

    fn key(log: usize) -> commit_log::LogKey {
        key(u32::try_from(log).unwrap())
    }

    /// A position in a log, also a little outside of it.
    fn position(&self, log: usize, fraction: u8) -> u64 {
        let model = &self.models[log];
        let (from, to) = (model.start.saturating_sub(1), model.end + 1);
        from + (to - from) * u64::from(fraction) / 255
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Step { batches, new_epoch } => self.step(batches, *new_epoch),
            Event::Truncate { log, to } => self.truncate(*log, *to),
            Event::Reset { log, to } => self.reset(*log, *to),
            Event::Advance { log, to } => self.advance(*log, *to),
            Event::Roll { log } => self.lab.directory().roll(Self::key(*log)).unwrap(),
            Event::Switch { log, durability } => self.switch(*log, *durability),
            Event::Upkeep { later_ms } => self.upkeep(*later_ms),
            Event::BeginUpkeep { scope } => self.begin_upkeep(*scope),
            Event::RunUpkeep => self.run_upkeep(),
            Event::FinishUpkeep => self.finish_upkeep(),
            Event::Recreate { logs } => self.recreate(logs),
            Event::Read { log, from, max_bytes } => self.read(*log, *from, *max_bytes),
            Event::Full { room } => {
                self.set_capacity(room.map(|room| 100 * u64::from(room)));
            }
            Event::Again { log, producer, back } => self.again(*log, *producer, *back),
            Event::Room(room) => self.lab.directory().set_room(*room),
            Event::Ballast { is_kept } => self.ballast(*is_kept),
            Event::Kill => self.kill(),
            Event::LosePower => self.lose_power(),
            Event::LosePowerTwice { operations } => self.again_after = Some(*operations),
            Event::FailSync { operation, after, loses_power } => {
                self.fail_sync(*operation, *after, *loses_power);
            }
            Event::CutPowerAfter { operations } => {
                self.lab.disk.cut_power_after(u32::from(*operations));
            }
        }
        if self.lab.disk.is_without_power() {
            self.lose_power();
        } else if self.is_down() {
            self.goes_on_in_trust();
        }
        self.check();
    }

    fn step(&mut self, batches: &[Vec<u8>; LOGS], new_epoch: bool) {
        self.epoch += u32::from(new_epoch);
        let mut appends = Vec::new();
        let mut written = Vec::new();
        for (log, sizes) in batches.iter().enumerate() {
            let words: Vec<Vec<u64>> = sizes.iter().map(|size| self.words(*size)).collect();
            let at = if sizes.len() % 2 == 0 {
                AppendAt::End
            } else {
                AppendAt::Exactly(offset(self.models[log].end))
            };
            appends.push(Append {
                log: Self::key(log),
                epoch: LeaderEpoch::new(self.epoch),
                batches: self.producer(log).batches(&words),
                at,
            });
            written.push(self.place(log, &words));
        }
        let room = self.lab.directory().room();
        let answers = self.lab.step(&appends);
        let dead = self.is_down();
        for (log, (answer, batches)) in answers.into_iter().zip(written).enumerate() {
            let sent = &appends[log].batches;
            let base = self.models[log].end;
            if answer.is_ok() || dead {
                self.producer(log).wrote(sent, base);
            }
            let model = &mut self.models[log];
            match answer {
                Ok(answer) => {
                    let at = appends[log].at;
                    let is_taken = match room {
                        Room::Ample => true,
                        Room::Low { .. } => at != AppendAt::End,
                        Room::Critical { .. } => false,
                    };
                    assert!(is_taken || batches.is_empty(), "{room:?} takes no {at:?}");
                    assert_eq!(answer.base_offset.get(), model.end, "an offset given out twice");
                    model.push(batches);
                    assert_eq!(answer.end.get(), model.end);
                    if model.durability == Durability::Fsync {
                        assert_eq!(answer.durable_end.get(), model.end);
                        model.durable = model.end;
                    }
                }
                // Whether it came to the disk is not known.
                Err(_) if dead => model.push(batches),
                Err(error) => assert!(error.to_string().contains("full"), "{error}"),
            }
        }
    }

    /// The one whose turn it is.
    fn producer(&mut self, log: usize) -> &mut Producer {
        &mut self.models[log].producers[self.epoch as usize % 2]
    }

    /// What a log has is told, and not written again.
    fn again(&mut self, log: usize, producer: usize, back: usize) {
        let sent = self.models[log].producers[producer].known().nth(back).cloned();
        let Some(sent) = sent else { return };
        let (key, epoch) = (Self::key(log), LeaderEpoch::new(self.epoch));
        let batches = vec![sent.batch];
        let append = Append { log: key, epoch, batches, at: AppendAt::End };
        let answer = self.lab.step(&[append]).pop().unwrap();
        if !self.is_down() {
            let answer = answer.expect("a duplicate needs no room");
            assert_eq!((answer.base_offset.get(), answer.end.get()), (sent.base, sent.end));
        }
    }

    fn set_capacity(&mut self, capacity: Option<u64>) {
        self.capacity = capacity;
        self.lab.disk.set_capacity(capacity);
    }

    fn words(&mut self, count: u8) -> Vec<u64> {
        let first = self.next_word;
        self.next_word += u64::from(count);
        (first..self.next_word).collect()
    }

    fn place(&self, log: usize, batches: &[Vec<u64>]) -> Vec<Vec<Found>> {
        let mut at = self.models[log].end;
        let mut place = |word: &u64| {
            at += 1;
            (at - 1, self.epoch, *word)
        };
        batches.iter().map(|words| words.iter().map(&mut place).collect()).collect()
    }

    fn truncate(&mut self, log: usize, to: u8) {
        let to = self.position(log, to);
        let truncated = self.lab.truncate(Self::key(log), offset(to));
        let dead = self.is_down();
        let model = &mut self.models[log];
        match truncated {
            Ok(end) if to < model.end => {
                model.truncate(to);
                assert_eq!(end.get(), model.end);
                model.durable = model.end;
            }
            Ok(end) => assert_eq!(end.get(), model.end),
            Err(_) if dead => {
                // Everything from the cut on may or may not be there.
                let mut cut = model.clone();
                cut.truncate(to.max(model.start));
                model.durable = model.durable.min(cut.end);
            }
            Err(LogError::OutOfRange { .. }) => assert!(to < model.start),
            Err(error) => assert!(matches!(error, LogError::Full { .. }), "{error}"),
        }
    }

    fn reset(&mut self, log: usize, to: u8) {
        let to = self.position(log, to);
        let reset = self.lab.directory().reset(Self::key(log), offset(to));
        let dead = self.is_down();
        let model = &mut self.models[log];
        match reset {
            Ok(()) => model.reset(to),
            Err(_) if dead => model.may_be_reset = Some(to),
            Err(error) => assert!(matches!(error, LogError::Full { .. }), "{error}"),
        }
    }

    fn advance(&mut self, log: usize, to: u8) {
        let to = self.position(log, to);
        let has_room = self.capacity.is_none() && self.lab.directory().room() == Room::Ample;
        let advanced = self.lab.directory().advance_log_start(Self::key(log), offset(to));
        let dead = self.is_down();
        let model = &mut self.models[log];
        model.may_forget |= !has_room;
        match advanced {
            Ok(()) if model.start < to => {
                model.start = to;
                model.durable = model.durable.max(to);
            }
            Ok(()) => {}
            Err(_) if dead => model.may_start = Some(to),
            Err(LogError::OutOfRange { .. }) => assert!(model.end < to),
            Err(error) => assert!(matches!(error, LogError::Full { .. }), "{error}"),
        }
    }

    fn switch(&mut self, log: usize, durability: Durability) {
        let config = LogConfig { durability, ..self.lab.config.clone() };
        self.lab.directory().set_config(Self::key(log), config).unwrap();
        self.models[log].durability = durability;
    }

    fn upkeep(&mut self, later_ms: u16) {
        self.lab.now = Timestamp::from_millis(self.lab.now.as_millis() + i64::from(later_ms));
        let now = self.lab.now;
        if let Err(error) = self.lab.directory().upkeep(now) {
            let dead = self.is_down();
            assert!(dead || matches!(error, LogError::Full { .. }), "{error}");
            return;
        }
        if matches!(self.round, Round::None) {
            for model in &mut self.models {
                model.durable = model.end;
            }
        }
    }

    fn begin_upkeep(&mut self, scope: UpkeepScope) {
        let now = self.lab.now;
        if let Some(upkeep) = self.lab.directory().begin_upkeep(now, scope).unwrap() {
            assert!(matches!(self.round, Round::None), "two rounds at once");
            self.round = Round::Begun(Box::new(upkeep));
        }
    }

    fn run_upkeep(&mut self) {
        self.round = match std::mem::replace(&mut self.round, Round::None) {
            Round::Begun(upkeep) => Round::Run(upkeep.run()),
            round @ (Round::None | Round::Run(_)) => round,
        };
    }

    fn finish_upkeep(&mut self) {
        self.run_upkeep();
        if let Round::Run(done) = std::mem::replace(&mut self.round, Round::None)
            && let Err(error) = self.lab.directory().finish_upkeep(done)
        {
            let dead = self.is_down();
            assert!(dead || matches!(error, LogError::Full { .. }), "{error}");
        }
    }

    fn recreate(&mut self, logs: &[usize]) {
        let keys: Vec<_> = logs.iter().copied().map(Self::key).collect();
        let deleted = self.lab.directory().delete_logs(&keys);
        for (log, deleted) in logs.iter().zip(deleted) {
            match deleted {
                Ok(()) => self.make_again(*log),
                Err(error) => {
                    let dead = self.is_down();
                    assert!(dead || matches!(error, LogError::Full { .. }), "{error}");
                    let model = &mut self.models[*log];
                    (model.may_be_gone, model.may_be_reset) = (true, Some(0));
                }
            }
        }
    }

    fn make_again(&mut self, log: usize) {
        let key = Self::key(log);
        self.models[log] = Model { may_be_gone: true, ..Model::new() };
        if self.lab.try_create(key).is_err() {
            // Without power it may be there or not; on a full disk it is not.
            if !self.is_down() {
                self.set_capacity(None);
                self.lab.directory().set_room(Room::Ample);
                let made = self.lab.try_create(key).is_ok();
                assert!(made || self.is_down());
            }
        }
        self.models[log].may_be_gone = self.is_down();
    }

    fn ballast(&mut self, is_kept: bool) {
        let ballast = self.lab.directory().ballast();
        let done = if is_kept { ballast.restore() } else { ballast.release().map(drop) };
        let dead = self.is_down();
        assert!(dead || done.as_ref().err().is_none_or(StorageFault::is_out_of_space));
    }

    fn read(&mut self, log: usize, from: u8, max_bytes: u16) {
        let from = self.position(log, from);
        let reader = self.lab.directory().reader(Self::key(log)).unwrap();
        let up_to = offset(self.models[log].end);
        let bytes = reader.read(offset(from), usize::from(max_bytes), up_to);
        let model = &self.models[log];
        if from < model.start || model.end < from {
            bytes.unwrap_err();
            return;
        }
        let found = records(bytes.unwrap());
        let first = model.batches.iter().position(|batch| from <= batch.last().unwrap().0);
        let expected = first.map_or_else(Vec::new, |first| model.batches[first..].concat());
        assert_eq!(found.is_empty(), expected.is_empty());
        assert!(expected.starts_with(&found), "{found:?} are not the first of {expected:?}");
    }

    fn kill(&mut self) {
        if self.lab.open().is_err() {
            if self.is_down() && !self.lab.disk.is_without_power() {
                return self.goes_on_in_trust();
            }
            assert!(self.lab.disk.is_without_power() || self.is_full());
            return self.lose_power();
        }
        for log in 0..LOGS {
            let model = &mut self.models[log];
            // Nothing is lost, and recovery made it durable.
            model.durable = model.end;
        }
        self.recovered();
    }

    fn is_full(&self) -> bool {
        use disk::Disk as _;
        self.lab.disk.space(std::path::Path::new("/")).unwrap().free < 10_000
    }

    /// Whether nothing more is to be had of the directory.
    fn is_down(&self) -> bool {
        let sync_failed = self.failing.is_some() && self.lab.disk.faults_to_come() == 0;
        self.lab.disk.is_without_power() || sync_failed
    }

    fn fail_sync(&mut self, operation: Operation, after: u8, loses_power: bool) {
        self.lab.disk.forget_faults();
        let (after, planned) = (u32::from(after), fault(operation));
        self.lab.disk.fail(PlannedFault { after, ..planned });
        // Names that a file system lost come back with the machine only (docs/known-limits.md).
        self.failing = Some(loses_power || operation == Operation::SyncDir);
    }

    /// A sync failed. The operator has the directory go on with what the disk holds.
    fn goes_on_in_trust(&mut self) {
        if self.failing.take() == Some(true) {
            self.lab.disk.lose_power();
        }
        self.set_capacity(None);
        self.lab.trusted = Some(DirectoryId::from_bytes([1; 16]));
        if self.lab.open().is_err() {
            assert!(self.lab.disk.is_without_power());
            self.lab.lose_power();
        }
        self.lab.disk.cut_power_after(u32::MAX);
        self.lab.trusted = None;
        self.recovered();
    }

    fn lose_power(&mut self) {
        self.set_capacity(None);
        let sync_failed = self.failing.take().is_some() && self.lab.disk.faults_to_come() == 0;
        if sync_failed {
            self.lab.trusted = Some(DirectoryId::from_bytes([1; 16]));
        }
        self.lab.disk.forget_faults();
        if let Some(operations) = self.again_after.take() {
            self.lab.disk.lose_power();
            self.lab.disk.cut_power_after(u32::from(operations));
            if self.lab.open().is_ok() {
                self.lab.disk.cut_power_after(0);
            }
        }
        self.lab.lose_power();
        self.lab.trusted = None;
        self.recovered();
    }

    fn recovered(&mut self) {
        self.round = Round::None;
        for log in 0..LOGS {
            if self.models[log].may_be_gone && self.lab.directory().reader(Self::key(log)).is_none()
            {
                self.lab.try_create(Self::key(log)).unwrap();
                self.models[log] = Model::new();
                continue;
            }
            let reader = self.lab.directory().reader(Self::key(log)).expect("no damage");
            let found = read_all(&reader, 10_000);
            let model = &mut self.models[log];
            model.recovered(reader.log_start().get(), reader.end().get(), &found);
            // A start goes by the directory's configuration until it is told otherwise.
            model.durability = Durability::Fsync;
            for producer in 0..2 {
                self.again(log, producer, 0);
            }
        }
    }

    /// What readers see is the model, whole.
    fn check(&mut self) {
        for log in 0..LOGS {
            let reader = self.lab.directory().reader(Self::key(log)).unwrap();
            let model = &self.models[log];
            assert_eq!(read_all(&reader, 150), model.records());
            assert_eq!(reader.log_start().get(), model.start);
            assert_eq!(reader.end().get(), model.end);
            assert!(reader.durable_end().get() >= model.durable);
            self.check_times(log);
            self.check_epochs(log);
        }
    }

    /// The first record that is not older, as a walk over all of them finds it.
    fn check_times(&mut self, log: usize) {
        let reader = self.lab.directory().reader(Self::key(log)).unwrap();
        let model = &self.models[log];
        for word in [0, self.next_word / 2, self.next_word] {
            let time = millis(i64::try_from(word).unwrap());
            let found = reader.offset_for_timestamp(time, offset(model.end)).unwrap();
            let expected = model.records().into_iter().find(|(_, _, found)| word <= *found);
            assert_eq!(found.map(|(at, _)| at.get()), expected.map(|(at, ..)| at));
        }
    }

    fn check_epochs(&mut self, log: usize) {
        let reader = self.lab.directory().reader(Self::key(log)).unwrap();
        let model = &self.models[log];
        let Some(last) = model.batches.last() else { return };
        assert_eq!(reader.last_epoch().unwrap().get(), model.last_epoch());
        let epoch = last[0].1;
        let end = reader.end_of_epoch(LeaderEpoch::new(epoch)).unwrap();
        assert_eq!(end.get(), model.end);
        let records = model.batches.concat();
        for at in [records.len() / 3, records.len() / 2] {
            let epoch = records[at].1;
            let next = records.iter().find(|(_, other, _)| epoch < *other);
            let expected = next.map_or(model.end, |(at, ..)| *at);
            let end = reader.end_of_epoch(LeaderEpoch::new(epoch)).map(types::Offset::get);
            assert!(
                end == Some(expected) || (end.is_none() && expected <= model.start),
                "epoch {epoch} ends at {end:?} rather than {expected}: {model:?} {:?}",
                reader.epochs(),
            );
        }
    }
}

/// How many histories: thousands, or what `DOHLE_HISTORIES` says.
fn cases() -> u32 {
    let asked = std::env::var("DOHLE_HISTORIES").ok();
    asked.map_or(4000, |asked| asked.parse().expect("DOHLE_HISTORIES is a number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn every_history_reads_like_a_list(
        seed in any::<u64>(),
        journal in journal(),
        events in prop::collection::vec(event(), 1..40),
    ) {
        let mut story = Story::new(seed, journal);
        for event in &events {
            story.happens(event);
        }
    }
}
