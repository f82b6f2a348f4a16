//! The one writer of the data directory: a thread that takes requests off a bounded queue and
//! gives them to [`Directory`], many at a time, so that one sync answers all who wait for it.

use std::io;
use std::sync::Arc;
use std::thread::{self, Builder};

use commit_log::{Append, AppendError, Directory, LogError, LogKey, NewLog, UpkeepScope};
use daemon::clock::Clock;
use disk::RealDisk;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{error, warn};
use types::{Coded, Offset, Reason};

use super::answering::{Answered, Telling};
use super::bell::Bell;
use super::company::Company;
use super::upkeep::UpkeepThread;
use super::{AppendResult, Appending, DirectoryQueue, Log, Request, WriterGone};
use crate::disk_space::FullSeen;

/// Whom the writer tells of trouble with the disk.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) full_seen: FullSeen,
    /// Told when the directory is fenced; dropped when the writer ends. Which of them it was, and
    /// all that comes later, [`Writer::join`] tells.
    pub(crate) fenced: oneshot::Sender<()>,
}

/// How the writer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything queued is written, and the directory is closed.
    Closed,
    /// The directory was fenced, for this reason.
    Fenced(String),
    /// The thread for upkeep died, without which the journal and the logs fill up.
    WithoutUpkeep,
    /// The task that tells answers died: nobody would hear of anything.
    Untold,
}

/// The writer's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: thread::JoinHandle<Ended>,
    telling: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread over an open directory, and on the caller's runtime what tells its answers.
    /// At most `queue` requests wait for it, and it takes up at most `group_commit` of them together.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub(crate) fn start(
        directory: Directory<RealDisk>,
        clock: Clock,
        queue: usize,
        group_commit: usize,
        signals: Signals,
    ) -> io::Result<(DirectoryQueue, Self)> {
        let (requests, queue) = mpsc::channel(queue);
        let upkeep = UpkeepThread::start(requests.downgrade())?;
        let Signals { full_seen, fenced } = signals;
        let (tell, telling) = Telling::start();
        let group = Group::new(full_seen, tell);
        let (changes, fenced) = (Changes::default(), Some(fenced));
        let writing = Writing { directory, upkeep, clock, group, changes, fenced };
        let bell = Arc::new(Bell::new(clock));
        let company = Company::new(Arc::clone(&bell), clock);
        let thread = Builder::new()
            .name("directory-writer".to_owned())
            .spawn(move || writing.run(queue, group_commit, company))?;
        Ok((DirectoryQueue { requests, bell }, Self { thread, telling }))
    }

    /// Waits until everything queued is written and told, and the directory is closed, its lock
    /// released. Drop every [`DirectoryQueue`] first.
    pub(crate) async fn join(self) -> Result<Ended, WriterGone> {
        let Self { thread, telling } = self;
        let ended = spawn_blocking(|| thread.join()).await;
        let told = telling.await;
        let ended = ended.map_err(|_stopped| WriterGone)?.map_err(|_panic| WriterGone)?;
        // That it was fenced is no less true if nobody heard of the rest.
        Ok(if ended == Ended::Closed && told.is_err() { Ended::Untold } else { ended })
    }
}

/// What the writer's thread owns.
struct Writing {
    directory: Directory<RealDisk>,
    upkeep: UpkeepThread,
    clock: Clock,
    group: Group,
    changes: Changes,
    /// Until it was told.
    fenced: Option<oneshot::Sender<()>>,
}

impl Writing {
    fn run(
        mut self,
        mut queue: mpsc::Receiver<Request>,
        group_commit: usize,
        mut company: Company,
    ) -> Ended {
        let mut taken = Vec::with_capacity(group_commit);
        loop {
            company.gather(&mut queue, &mut taken, group_commit);
            if taken.is_empty() {
                break;
            }
            self.serve(&mut taken, &queue, &mut company);
            // Once nobody can ask any more it ends by itself, with what it has done last.
            if let Some(alone) = self.left_alone()
                && !queue.is_closed()
            {
                error!(?alone, "the writer of the data directory was left alone");
                let fenced = self.directory.fenced().map(ToOwned::to_owned);
                return fenced.map_or(alone, Ended::Fenced);
            }
        }
        if let Some(done) = self.upkeep.join() {
            report(UPKEEP_FAILED, self.directory.finish_upkeep(done));
        }
        // It may come to be fenced here, too: in a directory that is, there is nothing to close.
        let fenced = match self.directory.fenced() {
            Some(cause) => Some(cause.to_owned()),
            None => match self.directory.close() {
                Err(LogError::Fenced(fenced)) => Some(fenced.cause),
                closed => {
                    report("data directory was not closed cleanly", closed);
                    None
                }
            },
        };
        fenced.map_or(Ended::Closed, Ended::Fenced)
    }

    /// Does what was asked, and tells everyone.
    fn serve(
        &mut self,
        taken: &mut Vec<Request>,
        queue: &mpsc::Receiver<Request>,
        company: &mut Company,
    ) {
        let begun = self.clock.monotonic();
        for request in taken.drain(..) {
            self.take(request);
        }
        self.write();
        company.note_answered(begun, queue.len());
        self.tell();
        company.note_told();
        self.changes.carry_out(&mut self.directory, &self.group.full_seen);
        self.tell_fence();
    }

    /// How it ends if those died whom it cannot do without.
    fn left_alone(&self) -> Option<Ended> {
        if self.upkeep.is_dead() {
            Some(Ended::WithoutUpkeep)
        } else {
            self.group.tell.is_dead().then_some(Ended::Untold)
        }
    }

    fn take(&mut self, request: Request) {
        // What was queued before a change happens before it. Logs that are made or removed stand in
        // nobody's way: nothing is queued for one before its maker is answered, nor to any purpose
        // behind its removal.
        let request = match request {
            Request::Append { append, appending, memory } => {
                return self.group.push(append, appending, memory);
            }
            Request::Create { key, id, config, done } => {
                let start = Offset::ZERO;
                return self.changes.made.push((NewLog { log: key, id, config, start }, done));
            }
            Request::Delete { key, done } => return self.changes.removed.push((key, done)),
            change @ (Request::Configure { .. }
            | Request::AdvanceStart { .. }
            | Request::SetRoom(_)
            | Request::Upkeep
            | Request::Upkept(_)) => change,
        };
        self.commit();
        let directory = &mut self.directory;
        match request {
            Request::Append { .. } | Request::Create { .. } | Request::Delete { .. } => {}
            Request::Configure { key, config, done } => {
                answer(done, directory.set_config(key, config));
            }
            Request::AdvanceStart { key, start, done } => {
                answer(done, directory.advance_log_start(key, start));
                // There is more room now, or the ballast was given up for it.
                self.group.full_seen.tell();
            }
            Request::SetRoom(room) => directory.set_room(room),
            Request::Upkeep => self.begin_upkeep(UpkeepScope::Everything),
            Request::Upkept(done) => report(UPKEEP_FAILED, directory.finish_upkeep(done)),
        }
    }

    /// Tells that the directory is fenced, once. It refuses everything by itself from then on.
    fn tell_fence(&mut self) {
        if let Some(cause) = self.directory.fenced()
            && let Some(fenced) = self.fenced.take()
        {
            let path = self.directory.path().display();
            error!(directory = %self.directory.id(), %path, cause, "data directory is fenced");
            // An error means that the broker ends already.
            fenced.send(()).ok();
        }
    }

    fn commit(&mut self) {
        self.write();
        self.tell();
        self.changes.carry_out(&mut self.directory, &self.group.full_seen);
    }

    /// Has the appends that were gathered written, and those durable that have to be.
    fn write(&mut self) {
        self.group.write(&mut self.directory, self.clock);
    }

    /// Tells who appended what became of it, and then sees to what can wait.
    fn tell(&mut self) {
        self.group.tell();
        if self.directory.needs_upkeep() {
            self.begin_upkeep(UpkeepScope::Journal);
        }
    }

    /// Has the other thread sync what no step had to, so that no append waits for that.
    fn begin_upkeep(&mut self, scope: UpkeepScope) {
        match self.directory.begin_upkeep(self.clock.now(), scope) {
            // If it could not be handed over, that thread is dead, which is looked at anyway.
            Ok(Some(upkeep)) => drop(self.upkeep.run(upkeep)),
            // That there is a fence is told once.
            Ok(None) | Err(LogError::Fenced(_)) => {}
            Err(failure) => report(UPKEEP_FAILED, Err(failure)),
        }
    }
}

const UPKEEP_FAILED: &str = "upkeep of the data directory failed";

fn report(what: &'static str, done: Result<(), LogError>) {
    if let Err(failure) = done {
        error!(error = &failure as &dyn std::error::Error, "{what}");
    }
}

/// Whoever asked may have given up; its answer is then of no use to anyone.
fn answer<T>(done: oneshot::Sender<T>, outcome: T) {
    drop(done.send(outcome));
}

/// Logs to be made and to be removed together, and who waits for each.
#[derive(Debug, Default)]
struct Changes {
    made: Vec<(NewLog, oneshot::Sender<Result<Log, LogError>>)>,
    removed: Vec<(LogKey, oneshot::Sender<Result<(), LogError>>)>,
}

impl Changes {
    fn carry_out(&mut self, directory: &mut Directory<RealDisk>, full_seen: &FullSeen) {
        if !self.removed.is_empty() {
            let (logs, waiting): (Vec<_>, Vec<_>) = self.removed.drain(..).unzip();
            for (removed, done) in directory.delete_logs(&logs).into_iter().zip(waiting) {
                answer(done, removed);
            }
            // There is more room now, or the ballast was given up for it.
            full_seen.tell();
        }
        if !self.made.is_empty() {
            let (new, waiting): (Vec<_>, Vec<_>) = self.made.drain(..).unzip();
            for (made, done) in directory.create_logs(new).into_iter().zip(waiting) {
                answer(done, made);
            }
        }
    }
}

/// Appends that become durable together.
#[derive(Debug)]
struct Group {
    appends: Vec<Append>,
    /// Who waits for each.
    waiting: Vec<(Appending, OwnedSemaphorePermit)>,
    /// What became of the first of them, which were written.
    outcomes: Vec<AppendResult>,
    full_seen: FullSeen,
    tell: Telling,
}

impl Group {
    fn new(full_seen: FullSeen, tell: Telling) -> Self {
        let (appends, waiting, outcomes) = (Vec::new(), Vec::new(), Vec::new());
        Self { appends, waiting, outcomes, full_seen, tell }
    }

    fn push(&mut self, append: Append, appending: Appending, memory: OwnedSemaphorePermit) {
        self.appends.push(append);
        self.waiting.push((appending, memory));
    }

    fn write(&mut self, directory: &mut Directory<RealDisk>, clock: Clock) {
        if !self.appends.is_empty() {
            self.outcomes.extend(directory.step(&self.appends, clock.now()));
            self.appends.clear();
        }
    }

    /// Tells everyone what became of the appends that were written.
    fn tell(&mut self) {
        let outcomes = self.outcomes.drain(..);
        let answered = self.waiting.drain(..).zip(outcomes).map(|((appending, memory), answer)| {
            if let Err(failure) = &answer {
                log_failure(failure, &self.full_seen);
            }
            Answered { appending, answer, memory }
        });
        self.tell.tell(answered);
    }
}

/// Here, since one who asked for no acks does not hear of it.
fn log_failure(failure: &AppendError, full_seen: &FullSeen) {
    // That the disk is too full was said when it became so, as was a fence.
    if matches!(failure, AppendError::LowSpace { .. } | AppendError::Fenced(_)) {
        return;
    }
    let reason = failure.reason();
    let error = failure as &dyn std::error::Error;
    if reason == Reason::StorageError {
        error!(error, "append failed");
    } else {
        warn!(error, "append was refused");
    }
    if reason == Reason::StorageFull {
        full_seen.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::time::Duration;

    use commit_log::{AppendAt, DirectoryConfig, Fresh, LogConfig, Room};
    use tempfile::TempDir;
    use tokio::sync::Semaphore;
    use types::{Durability, LeaderEpoch, LogId, PartitionId, TopicId};

    use super::*;
    use crate::directory::{AppendResult, Appender};
    use crate::disk_space::full_seen;
    use crate::led_partition::batch;

    fn writer(folder: &TempDir, fenced: oneshot::Sender<()>) -> (DirectoryQueue, Writer) {
        let (fresh, clock) = (Fresh::from_random([[9; 16], [8; 16]]), Clock::new());
        let config = DirectoryConfig::default();
        let opened = Directory::open(RealDisk, folder.path(), config, fresh, clock.now());
        let signals = Signals { full_seen: full_seen(), fenced };
        Writer::start(opened.unwrap(), clock, 16, 16, signals).unwrap()
    }

    fn key() -> LogKey {
        LogKey { topic_id: TopicId::from_bytes([7; 16]), partition: PartitionId::new(0) }
    }

    #[tokio::test]
    async fn j10_a_fence_that_comes_while_the_broker_stops_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (told, fenced) = oneshot::channel();
        let (queue, writer) = writer(&folder, told);
        let key = key();
        let config = LogConfig { durability: Durability::PageCache, ..LogConfig::default() };
        queue.create_log(key, config).await.unwrap();
        let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (epoch, at) = (LeaderEpoch::ZERO, AppendAt::End);
        let append = Append { log: key, epoch, batches: vec![batch("kept?")], at };
        queue.append(append, memory).await.unwrap();
        // What it is about to sync is gone: the disk does not keep it.
        std::fs::remove_dir_all(folder.path().join(key.to_string())).unwrap();
        drop(queue);
        let ended = writer.join().await.unwrap();
        assert!(matches!(&ended, Ended::Fenced(cause) if cause.contains("cannot")), "{ended:?}");
        fenced.await.unwrap_err();
    }

    /// Who asks again as soon as it is answered.
    #[derive(Debug)]
    struct Restless {
        requests: mpsc::Sender<Request>,
        memory: Arc<Semaphore>,
        clock: Clock,
        /// When the first asked again.
        back: OnceLock<Duration>,
    }

    impl Restless {
        fn ask(self: &Arc<Self>) {
            let memory = Arc::clone(&self.memory).try_acquire_owned().unwrap();
            let (log, epoch, at) = (key(), LeaderEpoch::ZERO, AppendAt::End);
            let append = Append { log, epoch, batches: vec![batch("again")], at };
            let appending = Appending::of(Arc::clone(self));
            self.requests.try_send(Request::Append { append, appending, memory }).unwrap();
        }
    }

    impl Appender for Restless {
        fn appended(self: Arc<Self>, answer: AppendResult) {
            answer.unwrap();
            self.back.get_or_init(|| self.clock.monotonic());
            self.ask();
        }

        fn lost(self: Arc<Self>) {}
    }

    /// What the writer's thread owns, over an empty directory, and the task that tells for it.
    fn writing(
        folder: &TempDir,
        clock: Clock,
        requests: &mpsc::Sender<Request>,
    ) -> (Writing, JoinHandle<()>) {
        let fresh = Fresh::from_random([[9; 16], [8; 16]]);
        let config = DirectoryConfig::default();
        let opened = Directory::open(RealDisk, folder.path(), config, fresh, clock.now());
        let directory = opened.unwrap();
        let upkeep = UpkeepThread::start(requests.downgrade()).unwrap();
        let (tell, telling) = Telling::start();
        let group = Group::new(full_seen(), tell);
        let (changes, fenced) = (Changes::default(), None);
        (Writing { directory, upkeep, clock, group, changes, fenced }, telling)
    }

    #[tokio::test]
    async fn a_log_is_removed_behind_what_was_queued_for_it_and_may_be_made_anew_behind_that() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
        let (requests, mut queue) = mpsc::channel(16);
        let (mut writing, _telling) = writing(&folder, clock, &requests);
        let (id, config) = (LogId::from_bytes([3; 16]), LogConfig::default());
        let (log, start) = (key(), Offset::ZERO);
        writing.directory.create_log(log, id, config.clone(), start).unwrap();
        let bell = Arc::new(Bell::new(clock));
        let mut company = Company::new(Arc::clone(&bell), clock);
        let asked = DirectoryQueue { requests, bell };
        let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (epoch, at) = (LeaderEpoch::ZERO, AppendAt::End);
        let append = Append { log, epoch, batches: vec![batch("the last")], at };
        // Asked for in this order, before any of it is done.
        let served = async {
            let served = spawn_blocking(move || {
                let mut taken = Vec::new();
                company.gather(&mut queue, &mut taken, 16);
                assert_eq!(taken.len(), 3);
                writing.serve(&mut taken, &queue, &mut company);
            });
            served.await.unwrap();
        };
        let (appended, removed, made, ()) = futures::join!(
            asked.append(append, memory),
            asked.delete_log(log),
            asked.create_log(log, config),
            served
        );
        assert_eq!(appended.unwrap().base_offset, Offset::ZERO);
        removed.unwrap();
        assert_eq!(made.unwrap().end(), Offset::ZERO);
    }

    /// What is known of those who ask once that many who are restless have been served, and behind
    /// them whoever asks for `changes`; and when the first of them was back.
    async fn learned(askers: usize, changes: Vec<Request>) -> (Company, Option<Duration>) {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
        let room = 2 * askers + changes.len();
        let (requests, mut queue) = mpsc::channel(room);
        let (mut writing, telling) = writing(&folder, clock, &requests);
        let config = LogConfig { durability: Durability::PageCache, ..LogConfig::default() };
        let (id, start) = (LogId::from_bytes([3; 16]), Offset::ZERO);
        writing.directory.create_log(key(), id, config, start).unwrap();
        let mut company = Company::new(Arc::new(Bell::new(clock)), clock);
        let (memory, back) = (Arc::new(Semaphore::new(askers)), OnceLock::new());
        let restless = Arc::new(Restless { requests, memory, clock, back });
        (0..askers).for_each(|_| restless.ask());
        for change in changes {
            restless.requests.try_send(change).unwrap();
        }
        let served = spawn_blocking(move || {
            let mut taken = Vec::new();
            company.gather(&mut queue, &mut taken, room);
            assert!(queue.is_empty());
            writing.serve(&mut taken, &queue, &mut company);
            (company, queue)
        });
        let (company, _queue) = served.await.unwrap();
        telling.await.unwrap();
        (company, restless.back.get().copied())
    }

    #[tokio::test]
    async fn who_is_back_before_all_are_told_is_not_taken_for_somebody_else() {
        // More than can wait to be told: some are back before the last of them is.
        let (company, back) = learned(5000, Vec::new()).await;
        assert_eq!(company.everybody(), 5000);
        assert!(back.is_some() && back < company.told(), "journeys begin once all are told");
    }

    #[tokio::test]
    async fn of_groups_with_a_change_between_them_nothing_is_learned() {
        let (company, back) = learned(10, vec![Request::SetRoom(Room::Ample)]).await;
        assert!(back.is_some());
        assert_eq!((company.everybody(), company.told()), (0, None));
    }

    /// Who cannot bear to hear what became of its append.
    #[derive(Debug)]
    struct Dies;

    impl Appender for Dies {
        fn appended(self: Arc<Self>, _answer: AppendResult) {
            panic!("as the test wants it");
        }

        fn lost(self: Arc<Self>) {}
    }

    #[tokio::test]
    async fn a_writer_that_nobody_tells_for_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, writer) = writer(&folder, oneshot::channel().0);
        let key = key();
        queue.create_log(key, LogConfig::default()).await.unwrap();
        let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (epoch, at) = (LeaderEpoch::ZERO, AppendAt::End);
        let append = Append { log: key, epoch, batches: vec![batch("told?")], at };
        let slot = queue.slot().await.unwrap();
        slot.append(append, memory, Appending::of(Arc::new(Dies)));
        // It looks with each request.
        while queue.upkeep().await.is_ok() {
            tokio::task::yield_now().await;
        }
        drop(queue);
        assert_eq!(writer.join().await, Ok(Ended::Untold));
    }

    #[tokio::test]
    async fn a_fence_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (told, fenced) = oneshot::channel();
        let (queue, writer) = writer(&folder, told);
        let key = key();
        queue.create_log(key, LogConfig::default()).await.unwrap();
        std::fs::remove_dir_all(folder.path().join(key.to_string())).unwrap();
        let refused = queue.delete_log(key).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::DirectoryFenced);
        fenced.await.unwrap();
        drop(queue);
        let ended = writer.join().await.unwrap();
        assert!(matches!(ended, Ended::Fenced(_)), "{ended:?}");
    }
}
