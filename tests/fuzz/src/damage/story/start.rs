//! A start, and what is found then held against what must be there.

use std::ops::Range;
use std::path::{Path, PathBuf};

use commit_log::scrub::{Finding, Scrubbed, Verdict};
use commit_log::{
    AppendError, Directory, DirectoryConfig, DirectoryError, LogReader, Recovered, RecoveredLog,
};
use disk::{Disk, DiskFile, FaultyDisk};
use types::{LeaderEpoch, Offset, Timestamp};

use super::super::harm::{Files, Harm, LogHarm, Standing, files_in};
use super::super::model::{Found, Sent};
use super::{DATA, Damage, End, LOGS, Life, Story, folder, key, open};
use crate::log::{Walk, walk};

/// Two logs in three are deleted if they are found damaged, the third is put aside.
const PUT_ASIDE: u8 = 2;

impl Story {
    /// Starts the directory, if it is down.
    pub(super) fn start(&mut self) {
        let Life::Down { end, damage } = &self.life else { return };
        let end = *end;
        let mut harm = match damage {
            Damage::None => Harm::default(),
            Damage::Some { before } => {
                let after = files_in(&self.disk, Path::new(DATA));
                self.standing.note(before, &after);
                Harm::between(before, &after)
            }
        };
        let before = match damage {
            Damage::None => Files::new(),
            Damage::Some { before } => before.clone(),
        };
        let directory = self.open_in_spite_of(&mut harm, &before);
        if harm.checkpoint {
            for model in &mut self.models {
                model.synced = model.synced.min(model.synced_by_folder);
            }
        }
        let found = summary(&directory);
        drop(directory);
        let directory = open(&self.disk, &self.config, self.now).expect("it was just open");
        assert_eq!(summary(&directory), found, "a second start finds something else");
        self.life = Life::Up(Box::new(directory));
        self.standing.look(&files_in(&self.disk, Path::new(DATA)));
        for log in 0..LOGS {
            self.judge(log, end, &harm);
        }
    }

    /// Opens the directory as an operator would, who does what the errors say.
    fn open_in_spite_of(&self, harm: &mut Harm, before: &Files) -> Directory<FaultyDisk> {
        loop {
            match open(&self.disk, &self.config, self.now) {
                Ok(directory) => return directory,
                Err(DirectoryError::Checkpoint { file }) if harm.checkpoint => {
                    self.disk.remove_file(&file).expect("it was there");
                    self.disk.sync_dir(Path::new(DATA)).expect("nothing fails");
                }
                Err(DirectoryError::Unidentified { .. }) if harm.identity => {
                    self.bring_back(&Path::new(DATA).join("directory.meta"), before);
                    harm.identity = false;
                }
                Err(DirectoryError::Fenced { id: Some(id), .. }) if harm.journal => {
                    let trusted = DirectoryConfig { trusted: Some(id), ..self.config.clone() };
                    return open(&self.disk, &trusted, self.now).expect("it is trusted");
                }
                Err(error) => panic!("{harm:?} is no reason for {error:?}"),
            }
        }
    }

    fn bring_back(&self, path: &PathBuf, before: &Files) {
        let file = self.disk.open(path).or_else(|_none| self.disk.create_new(path));
        let file = file.expect("nothing fails");
        file.set_len(0).expect("nothing fails");
        file.write_all_at(&before[path], 0).expect("nothing fails");
        file.sync_data().expect("nothing fails");
        self.disk.sync_dir(Path::new(DATA)).expect("nothing fails");
    }

    fn judge(&mut self, log: u8, end: End, harm: &Harm) {
        let own = harm.of(&folder(log));
        let required = self.required(log, end, harm, &own);
        let was_harmed = !own.segments.is_empty() || self.standing.has_segment_in(&folder(log));
        let recovered = self.up().recovered().iter().find(|found| found.log == key(log));
        let usable = match &recovered.expect("its folder is there").outcome {
            Recovered::Usable { start, end, .. } => Some((start.get(), end.get())),
            Recovered::Damaged(damage) => {
                let explained = was_harmed || own.meta || harm.journal;
                assert!(explained, "{own:?} is no reason for this: {damage}");
                None
            }
        };
        let Some((start, end)) = usable else { return self.replace(log) };
        let reader = self.up().reader(key(log)).expect("usable");
        assert_eq!((reader.log_start().get(), reader.end().get()), (start, end));
        assert_eq!(reader.durable_end(), reader.end());
        assert!(required <= end, "{required} were safe, {end} are there; {own:?}");
        let walk = walk(&reader, 500);
        let batches = records(&walk);
        self.check_records(log, &walk, start, &own);
        check_scrub(&reader, &own, &self.standing);
        if !walk.lost.is_empty() {
            return self.replace(log);
        }
        self.check_lookups(log, &reader, &batches);
        let is_same = end == self.model(log).end && !own.meta;
        self.model(log).found(start, end, batches);
        self.check_producer(log, is_same, &own);
    }

    /// Up to where a usable log must go.
    fn required(&mut self, log: u8, end: End, harm: &Harm, own: &LogHarm) -> u64 {
        let model = self.model(log);
        let written = match end {
            // What waited in memory has the journal only.
            End::Process | End::Power if harm.journal => model.synced,
            End::Process => model.end,
            End::Power => model.acknowledged,
        };
        match own.records_from() {
            _ if own.meta => 0,
            Some(from) => model.synced.max(written.min(from)),
            None => written,
        }
    }

    /// What can be read is what was written there, and what cannot is what was harmed.
    fn check_records(&mut self, log: u8, walk: &Walk, start: u64, own: &LogHarm) {
        let found: Vec<Found> =
            records(walk).into_iter().flatten().filter(|(at, ..)| start <= *at).collect();
        let model = self.model(log);
        if own.meta {
            // Older numbers may bring back what was cut or deleted since, and nothing else.
            for record in &found {
                assert!(model.ever.contains(record), "{record:?} never was there");
            }
            return;
        }
        assert_eq!(start, model.start);
        let lost: Vec<Range<u64>> =
            walk.lost.iter().map(|lost| lost.start.get()..lost.end.get()).collect();
        let mut written = model.records();
        written.retain(|(at, ..)| !lost.iter().any(|lost| lost.contains(at)));
        assert!(written.starts_with(&found), "{found:?} of {written:?}, and {lost:?}");
        for lost in lost {
            let meets = |harmed: &Range<u64>| lost.start < harmed.end && harmed.start < lost.end;
            assert!(own.batches.iter().any(meets), "{lost:?} are not harmed; {own:?}");
            if let [harmed] = own.batches.as_slice()
                && !own.index
            {
                let is_within = harmed.start <= lost.start && lost.end <= harmed.end;
                assert!(is_within, "{lost:?} are lost for {harmed:?}");
            }
        }
    }

    /// Every offset and every time is found where it is.
    fn check_lookups(&mut self, log: u8, reader: &LogReader<FaultyDisk>, batches: &[Vec<Found>]) {
        let start = reader.log_start().get();
        let readable: Vec<Found> =
            batches.iter().flatten().copied().filter(|(at, ..)| start <= *at).collect();
        for (at, ..) in &readable {
            let bytes = reader.read(Offset::new(*at), 1, Offset::MAX).expect("it was read before");
            let first = record::BatchHeader::parse(&bytes).expect("whole batches");
            assert!(first.base_offset.get() <= *at && *at < first.end_offset().get());
        }
        for word in [0, self.next_word / 3, self.next_word / 2, self.next_word] {
            let time = Timestamp::from_millis(i64::try_from(word).expect("small"));
            let found = reader.offset_for_timestamp(time, Offset::MAX).expect("readable");
            let expected = readable.iter().find(|(_, _, says)| word <= *says);
            assert_eq!(found.map(|(at, _)| at.get()), expected.map(|(at, ..)| *at), "log {log}");
        }
    }

    /// What was answered before is not written again.
    fn check_producer(&mut self, log: u8, is_same: bool, own: &LogHarm) {
        let start = self.model(log).start;
        let last = self.model(log).producer.last.take();
        let known = last.filter(|sent| is_same && (!own.producers || start <= sent.base));
        let Some(sent) = known else { return self.forget_producer(log) };
        let Sent { mut append, base, end } = sent.clone();
        append.epoch = LeaderEpoch::new(self.epoch);
        let (before, now) = (self.model(log).end, self.now);
        let answer = self.up().step(&[append], now).pop().expect("one answer").expect("known");
        assert_eq!((answer.base_offset.get(), answer.end.get()), (base, end), "sent again");
        assert_eq!(self.up().reader(key(log)).expect("usable").end().get(), before);
        self.model(log).producer.last = Some(sent);
    }

    /// Puts an empty log in the place of one that was found damaged.
    fn replace(&mut self, log: u8) {
        let now = self.now;
        let is_usable = self.up().reader(key(log)).is_some();
        if log == PUT_ASIDE && !is_usable {
            let nothing = commit_log::Append {
                log: key(log),
                epoch: LeaderEpoch::new(self.epoch),
                batches: Vec::new(),
                at: commit_log::AppendAt::End,
            };
            let refused = self.up().step(&[nothing], now).pop().expect("one answer");
            assert!(matches!(refused, Err(AppendError::Damaged { .. })), "{refused:?}");
            let aside = self.up().quarantine_log(key(log)).expect("nothing fails");
            // Whoever looks at it later is not part of this.
            for file in files_in(&self.disk, &aside).into_keys() {
                self.disk.remove_file(&file).expect("it was listed");
            }
            self.disk.remove_dir(&aside).expect("it is empty");
            self.disk.sync_dir(Path::new(DATA)).expect("nothing fails");
        } else {
            self.up().delete_log(key(log)).expect("nothing fails");
        }
        let model = self.create(log, 0);
        *self.model(log) = model;
    }
}

/// The records of what was read, as they lie in batches.
fn records(walk: &Walk) -> Vec<Vec<Found>> {
    let batch = |batch: &record::Batch| {
        let epoch = batch.header().leader_epoch.expect("a log says").get();
        let record = |record: Result<record::Record, _>| {
            let record = record.expect("as it was written");
            let value = record.value.expect("as it was written");
            let word = value[..8].try_into().expect("eight bytes");
            (record.offset.get(), epoch, u64::from_be_bytes(word))
        };
        batch.records().expect("as it was written").map(record).collect()
    };
    walk.batches.iter().map(batch).collect()
}

/// What nobody harmed is sound, and what somebody did is not.
fn check_scrub(reader: &LogReader<FaultyDisk>, own: &LogHarm, standing: &Standing) {
    for segment in reader.sealed_segments() {
        let path = segment.path().to_path_buf();
        // What is wrong with records that are deleted is nobody's harm.
        let start = reader.log_start().get();
        let counts = own.batches.iter().any(|batch| batch.is_empty() || start < batch.end);
        let is_harmed = counts && own.segments.contains(&path);
        let may_be_hit = own.segments.contains(&path) || standing.has(&path);
        let mut scrub = segment.scrub();
        while scrub.step(100).1 == Scrubbed::Partly {}
        match scrub.verdict() {
            Verdict::Sound => assert!(!is_harmed, "harm was overlooked: {own:?}"),
            Verdict::Damaged { findings, .. } => {
                for finding in &findings {
                    let is_explained = may_be_hit || standing.has(&finding.file);
                    assert!(is_explained, "nothing was harmed: {finding:?}, {standing:?}");
                }
                let hits = findings.iter().any(Finding::hits_records);
                assert!(hits || !is_harmed, "records are not hit: {findings:?}");
                assert!(may_be_hit || !hits, "no record was harmed: {findings:?}");
            }
            Verdict::Gone => panic!("it is there"),
        }
    }
}

/// How the logs came out of a start, but for what only the first start has to do.
fn summary(directory: &Directory<FaultyDisk>) -> Vec<String> {
    let outcome = |found: &RecoveredLog| match &found.outcome {
        Recovered::Usable { start, end, .. } => format!("{}: {start} to {end}", found.log),
        Recovered::Damaged(damage) => format!("{}: {damage}", found.log),
    };
    directory.recovered().iter().map(outcome).collect()
}
