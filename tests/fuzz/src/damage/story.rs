use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use commit_log::{
    Append, AppendAt, BallastConfig, Directory, DirectoryConfig, DirectoryError, Fresh,
    JournalConfig, LogConfig, LogError, LogKey, UpkeepScope, WriteBufferConfig,
};
use disk::{Disk, DiskFile, FaultyDisk};
use record::{Batch, BatchBuilder, BatchProducer, Compression};
use types::{
    Durability, LeaderEpoch, LogId, Offset, PartitionId, ProducerEpoch, Sequence, Timestamp,
    TopicId,
};

use super::harm::{Files, Standing, files_in};
use super::model::{Found, Model, Producer, Sent};
use crate::sealing;

mod start;

const DATA: &str = "/data";
const LOGS: u8 = 3;
/// More make an input slow and tell nothing new.
const MAX_SENTENCES: usize = 64;

/// Lives through an input.
pub fn tell(input: &[u8]) {
    let Some((opening, sentences)) = input.split_first_chunk::<4>() else { return };
    let mut story = Story::new(*opening);
    for sentence in sentences.as_chunks::<4>().0.iter().take(MAX_SENTENCES) {
        story.happens(*sentence);
    }
    story.kill();
    story.start();
}

struct Story {
    disk: FaultyDisk,
    config: DirectoryConfig,
    now: Timestamp,
    life: Life,
    models: Vec<Model>,
    files: Seen,
    standing: Standing,
    epoch: u32,
    next_word: u64,
    ids: u64,
}

/// Who wrote the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// The directory alone: all of them are valid once it is closed.
    Valid,
    /// Somebody harmed one. What nobody needs, such as the older slot of a `partition.meta`, stays
    /// as it is.
    Harmed,
}

/// Whether the process runs.
enum Life {
    Up(Box<Directory<FaultyDisk>>),
    Down { end: End, damage: Damage },
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The process did, and all that it wrote is there.
    Process,
    /// The machine did.
    Power,
}

/// Whether files were damaged since, and what they held before.
enum Damage {
    None,
    Some { before: Files },
}

fn key(log: u8) -> LogKey {
    let partition = PartitionId::new(u32::from(log));
    LogKey { topic_id: TopicId::from_bytes([9; 16]), partition }
}

fn folder(log: u8) -> PathBuf {
    Path::new(DATA).join(key(log).to_string())
}

impl Story {
    fn new([seed, flags, segment, index]: [u8; 4]) -> Self {
        let few = NonZeroUsize::MIN.saturating_add(usize::from(flags >> 2 & 1));
        let journal = JournalConfig {
            files: NonZeroUsize::MIN.saturating_add(usize::from(flags & 3)),
            file_bytes: 300 + 60 * u64::from(flags >> 3 & 15),
            large_append_bytes: 400,
            few_logs: few,
            write_buffers: WriteBufferConfig { log_bytes: 200, bytes: 500 },
        };
        let log = LogConfig {
            segment_bytes: 80 + 8 * u64::from(segment),
            segment_ms: 1000,
            index_interval_bytes: 1 + u32::from(index),
            ..LogConfig::default()
        };
        let config = DirectoryConfig {
            log,
            sync_threads: NonZeroUsize::MIN,
            journal: (flags < 128).then_some(journal),
            ballast: BallastConfig { bytes: if seed & 1 == 0 { 500 } else { 0 }, percent: 100 },
            ..DirectoryConfig::default()
        };
        let disk = FaultyDisk::new(u64::from(seed));
        let now = Timestamp::from_millis(0);
        let directory = open(&disk, &config, now).expect("nothing is there yet");
        let (life, models) = (Life::Up(Box::new(directory)), Vec::new());
        let (files, standing) = (Seen::Valid, Standing::default());
        let (epoch, next_word, ids) = (1, 0, 0);
        let mut story =
            Self { disk, config, now, life, models, files, standing, epoch, next_word, ids };
        for log in 0..LOGS {
            let model = story.create(log, 0);
            story.models.push(model);
        }
        story
    }

    fn happens(&mut self, [what, a, b, c]: [u8; 4]) {
        let log = a % LOGS;
        match what % 32 {
            0..=7 => self.step(a, b, c),
            8 => self.truncate(log, b),
            9 => self.reset(log, b),
            10 | 11 => self.advance(log, b),
            12 => self.up().roll(key(log)).expect("nothing fails"),
            13 => {
                self.switch(log, if b & 1 == 0 { Durability::Fsync } else { Durability::PageCache })
            }
            14 | 15 => self.upkeep(u64::from(b) * 8),
            16 => self.upkeep_of_journal(),
            17 => self.recreate(log, b),
            18 => self.close(),
            19 => self.kill(),
            20..=22 => self.lose_power(),
            23 => self.start(),
            24..=26 => self.damage(a, |file| flip(file, b, c)),
            27 => self.damage(a, |file| {
                file.truncate(place(b, c, file.len()));
            }),
            28 => self.damage(a, |file| file.extend(std::iter::repeat_n(b, usize::from(c)))),
            29 => self.damage(a, |file| {
                let at = place(b, c, file.len());
                let lost = file.len().min(at + 100);
                file[at..lost].fill(0);
            }),
            30 => self.damage(a, |file| {
                let at = place(b, c, file.len());
                file.truncate(at);
                file.resize(at + 64, 0);
            }),
            _ => self.lose_file(a),
        }
    }

    /// The directory, started if it is down.
    fn up(&mut self) -> &mut Directory<FaultyDisk> {
        self.start();
        match &mut self.life {
            Life::Up(directory) => directory,
            Life::Down { .. } => panic!("it was just started"),
        }
    }

    fn model(&mut self, log: u8) -> &mut Model {
        &mut self.models[usize::from(log)]
    }

    /// Makes a log; returns what it must hold.
    fn create(&mut self, log: u8, start: u64) -> Model {
        self.ids += 1;
        let (id, config) = (self.ids, self.config.log.clone());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&id.to_be_bytes());
        let start_offset = Offset::new(start);
        let created =
            self.up().create_log(key(log), LogId::from_bytes(bytes), config, start_offset);
        created.expect("nothing fails");
        self.standing.forget(&folder(log));
        Model::new(start, id)
    }

    fn close(&mut self) {
        self.start();
        let down = Life::Down { end: End::Process, damage: Damage::None };
        if let Life::Up(directory) = std::mem::replace(&mut self.life, down) {
            directory.close().expect("nothing fails");
        }
        if self.files == Seen::Valid {
            for (path, file) in files_in(&self.disk, Path::new(DATA)) {
                sealing::holds(&path, &file);
            }
        }
        self.models.iter_mut().for_each(Model::is_synced);
    }

    fn kill(&mut self) {
        if let Life::Up(_) = self.life {
            self.life = Life::Down { end: End::Process, damage: Damage::None };
        }
    }

    fn lose_power(&mut self) {
        // Once damaged, files stay as they are.
        if !matches!(self.life, Life::Down { damage: Damage::Some { .. }, .. }) {
            self.life = Life::Down { end: End::Power, damage: Damage::None };
            self.disk.lose_power();
        }
    }

    /// Something becomes of one file while nobody looks.
    fn damage(&mut self, which: u8, harm: impl FnOnce(&mut Vec<u8>)) {
        let Some((path, mut content)) = self.file(which) else { return };
        harm(&mut content);
        let file = self.disk.open(&path).expect("it was listed");
        file.set_len(0).expect("nothing fails");
        file.write_all_at(&content, 0).expect("nothing fails");
        file.sync_data().expect("nothing fails");
    }

    fn lose_file(&mut self, which: u8) {
        let Some((path, _)) = self.file(which) else { return };
        self.disk.remove_file(&path).expect("it was listed");
        self.disk.sync_dir(path.parent().expect("in a folder")).expect("nothing fails");
    }

    /// One of the files there are, if any is left; the process is down then.
    fn file(&mut self, which: u8) -> Option<(PathBuf, Vec<u8>)> {
        self.kill();
        self.files = Seen::Harmed;
        let files = files_in(&self.disk, Path::new(DATA));
        let Life::Down { damage, .. } = &mut self.life else { panic!("it is down") };
        if let Damage::None = damage {
            *damage = Damage::Some { before: files.clone() };
        }
        let number = usize::from(which) % files.len().max(1);
        files.into_iter().nth(number)
    }

    fn step(&mut self, counts: u8, flags: u8, sizes: u8) {
        self.start();
        self.epoch += u32::from(flags >> 3 & 1);
        let at_end = flags & 16 == 0;
        let mut appends = Vec::new();
        let mut written = Vec::new();
        for log in 0..LOGS {
            let batches = counts >> (2 * log) & 3;
            let records = 1 + (sizes >> (2 * log) & 3);
            let is_named = at_end && flags >> log & 1 == 1;
            let filling = if flags & 32 == 0 { 0 } else { 150 };
            let (batches, records) = self.batches(log, (batches, records), is_named, filling);
            let end = Offset::new(self.model(log).end);
            let at = if at_end { AppendAt::End } else { AppendAt::Exactly(end) };
            let epoch = LeaderEpoch::new(self.epoch);
            appends.push(Append { log: key(log), epoch, batches, at });
            written.push((records, is_named));
        }
        let now = self.now;
        let answers = self.up().step(&appends, now);
        for (log, (answer, (append, (records, is_named)))) in
            (0..).zip(answers.into_iter().zip(appends.into_iter().zip(written)))
        {
            let answer = answer.expect("nothing fails");
            let model = self.model(log);
            let base = model.end;
            assert_eq!(answer.base_offset.get(), base, "an offset given out twice");
            model.push(records);
            assert_eq!(answer.end.get(), model.end);
            assert!(answer.durable_end <= answer.end);
            assert!(model.durability == Durability::PageCache || answer.durable_end == answer.end);
            model.acknowledged = model.acknowledged.max(answer.durable_end.get());
            if is_named && !append.batches.is_empty() {
                let end = model.end;
                model.producer.last = Some(Sent { append, base, end });
            }
        }
    }

    /// Batches for a log, and their records as they will lie in it.
    fn batches(
        &mut self,
        log: u8,
        (batches, records): (u8, u8),
        is_named: bool,
        filling: usize,
    ) -> (Vec<Batch>, Vec<Vec<Found>>) {
        let mut at = self.model(log).end;
        let (mut built, mut found) = (Vec::new(), Vec::new());
        for _ in 0..batches {
            let mut builder = BatchBuilder::new(Compression::None);
            if is_named {
                let producer = &mut self.model(log).producer;
                let base_sequence = Sequence::new(producer.next);
                let (id, epoch) = (producer.id, ProducerEpoch::ZERO);
                builder.produced_by(BatchProducer { id, epoch, base_sequence });
                producer.next += u32::from(records);
            }
            let mut batch = Vec::new();
            for _ in 0..records {
                let word = self.next_word;
                let mut value = word.to_be_bytes().to_vec();
                value.resize(8 + filling, 0);
                let time = Timestamp::from_millis(i64::try_from(word).expect("small"));
                builder.push(time, None, Some(&value), &[]).expect("small");
                batch.push((at, self.epoch, word));
                at += 1;
                self.next_word += 1;
            }
            built.push(builder.build().expect("of one record at least"));
            found.push(batch);
        }
        (built, found)
    }

    /// A position in a log, also a little outside of it.
    fn position(&mut self, log: u8, fraction: u8) -> u64 {
        self.start();
        let model = self.model(log);
        let (from, to) = (model.start.saturating_sub(1), model.end + 1);
        from + (to - from) * u64::from(fraction) / 255
    }

    /// The log holds less than its producer wrote: another one goes on.
    fn forget_producer(&mut self, log: u8) {
        self.ids += 1;
        self.model(log).producer = Producer::new(self.ids);
    }

    fn truncate(&mut self, log: u8, fraction: u8) {
        let (to, now) = (self.position(log, fraction), self.now);
        let truncated = self.up().truncate(key(log), Offset::new(to), now);
        let model = self.model(log);
        match truncated {
            Ok(end) if to < model.end => {
                model.cut(to);
                assert_eq!(end.get(), model.end);
                model.was_cut();
                self.forget_producer(log);
            }
            Ok(end) => assert_eq!(end.get(), model.end),
            Err(LogError::OutOfRange { .. }) => assert!(to < model.start),
            Err(error) => panic!("nothing fails: {error:?}"),
        }
    }

    fn reset(&mut self, log: u8, fraction: u8) {
        let to = self.position(log, fraction);
        self.up().reset(key(log), Offset::new(to)).expect("nothing fails");
        self.model(log).reset(to);
        self.forget_producer(log);
    }

    fn advance(&mut self, log: u8, fraction: u8) {
        let to = self.position(log, fraction);
        let advanced = self.up().advance_log_start(key(log), Offset::new(to));
        let model = self.model(log);
        match advanced {
            Ok(()) if model.start < to => model.advance(to),
            Ok(()) => {}
            Err(LogError::OutOfRange { .. }) => assert!(model.end < to),
            Err(error) => panic!("nothing fails: {error:?}"),
        }
    }

    fn switch(&mut self, log: u8, durability: Durability) {
        let config = LogConfig { durability, ..self.config.log.clone() };
        self.up().set_config(key(log), config).expect("there is such a log");
        self.model(log).durability = durability;
    }

    fn upkeep(&mut self, later_ms: u64) {
        let later = i64::try_from(later_ms).expect("small");
        self.now = Timestamp::from_millis(self.now.as_millis() + later);
        let now = self.now;
        self.up().upkeep(now).expect("nothing fails");
        self.models.iter_mut().for_each(Model::is_synced);
    }

    fn upkeep_of_journal(&mut self) {
        let now = self.now;
        let directory = self.up();
        if directory.needs_upkeep()
            && let Some(upkeep) =
                directory.begin_upkeep(now, UpkeepScope::Journal).expect("nothing fails")
        {
            directory.finish_upkeep(upkeep.run()).expect("nothing fails");
        }
    }

    fn recreate(&mut self, log: u8, start: u8) {
        self.up().delete_log(key(log)).expect("nothing fails");
        let model = self.create(log, u64::from(start));
        *self.model(log) = model;
    }
}

fn open(
    disk: &FaultyDisk,
    config: &DirectoryConfig,
    now: Timestamp,
) -> Result<Directory<FaultyDisk>, DirectoryError> {
    let fresh = Fresh::from_random([[1; 16], sealing::MARK]);
    Directory::open(disk.clone(), Path::new(DATA), config.clone(), fresh, now)
}

/// A place in a file of `len` bytes.
fn place(high: u8, low: u8, len: usize) -> usize {
    usize::from(u16::from_be_bytes([high, low])) % len.max(1)
}

/// Flips one bit, if there is one.
fn flip(file: &mut [u8], high: u8, low: u8) {
    let bit = place(high, low, file.len() * 8);
    if let Some(byte) = file.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}
