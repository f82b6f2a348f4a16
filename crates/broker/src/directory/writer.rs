//! The one writer of the data directory: a thread that takes requests off a bounded queue and
//! gives them to [`Directory`], many at a time, so that one sync answers all who wait for it.

use std::io;
use std::thread::{Builder, JoinHandle, yield_now};
use std::time::Duration;

use commit_log::{Append, Directory, LogError, NewLog, UpkeepScope};
use daemon::clock::Clock;
use disk::RealDisk;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{error, warn};
use types::{Coded, Offset, Reason};

use super::upkeep::UpkeepThread;
use super::{AppendResult, DirectoryQueue, Log, Request, WriterGone};

/// The writer's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread over an open directory. At most `queue` requests wait for it, and it
    /// takes up at most `group_commit` of them together.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub(crate) fn start(
        directory: Directory<RealDisk>,
        clock: Clock,
        queue: usize,
        group_commit: usize,
    ) -> io::Result<(DirectoryQueue, Self)> {
        let (requests, queue) = mpsc::channel(queue);
        let upkeep = UpkeepThread::start(requests.downgrade())?;
        let writing =
            Writing { directory, upkeep, clock, group: Group::default(), created: vec![] };
        let company = Company::default();
        let thread = Builder::new()
            .name("directory-writer".to_owned())
            .spawn(move || writing.run(queue, group_commit, company))?;
        Ok((DirectoryQueue { requests }, Self { thread }))
    }

    /// Waits until everything queued is written and the directory is closed, its lock released.
    /// Blocks: drop every [`DirectoryQueue`] first, and do not call it on a runtime's thread.
    pub(crate) fn join(self) -> Result<(), WriterGone> {
        self.thread.join().map_err(|_panic| WriterGone)
    }
}

/// How long a group waits for those who are about to ask, too.
///
/// Whoever was answered together asks again at about the same time, but not at once: the first of
/// them would be synced alone while all others wait. So a group that is smaller than the one before
/// waits for the rest, for a small part of what it would cost them.
#[derive(Debug, Default)]
struct Company {
    /// Requests of the last group.
    last: usize,
    /// How long it took.
    took: Duration,
}

impl Company {
    /// What waiting may cost is the last group's time through this.
    const PART: u32 = 4;
    /// However long that took.
    const LONGEST: Duration = Duration::from_micros(200);

    fn await_in(
        &self,
        queue: &mut mpsc::Receiver<Request>,
        taken: &mut Vec<Request>,
        clock: Clock,
    ) {
        let patience = (self.took / Self::PART).min(Self::LONGEST);
        let until = clock.monotonic().saturating_add(patience);
        while taken.len() < self.last {
            match queue.try_recv() {
                Ok(request) => taken.push(request),
                Err(TryRecvError::Empty) if clock.monotonic() < until => yield_now(),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    const fn note(&mut self, requests: usize, took: Duration) {
        self.last = requests;
        self.took = took;
    }
}

/// What the writer's thread owns.
struct Writing {
    directory: Directory<RealDisk>,
    upkeep: UpkeepThread,
    clock: Clock,
    group: Group,
    /// Logs to be made together, and who waits for each.
    created: Vec<(NewLog, oneshot::Sender<Result<Log, LogError>>)>,
}

impl Writing {
    fn run(
        mut self,
        mut queue: mpsc::Receiver<Request>,
        group_commit: usize,
        mut company: Company,
    ) {
        let mut taken = Vec::with_capacity(group_commit);
        while queue.blocking_recv_many(&mut taken, group_commit) != 0 {
            company.await_in(&mut queue, &mut taken, self.clock);
            let (begun, size) = (self.clock.monotonic(), taken.len());
            for request in taken.drain(..) {
                self.take(request);
            }
            self.commit();
            company.note(size, self.clock.monotonic().saturating_sub(begun));
        }
        if let Some(done) = self.upkeep.join() {
            report(UPKEEP_FAILED, self.directory.finish_upkeep(done));
        }
        report("data directory was not closed cleanly", self.directory.close());
    }

    fn take(&mut self, request: Request) {
        // What was queued before a change happens before it. Logs that are made stand in nobody's
        // way: nothing can be queued for one before its maker is answered.
        let request = match request {
            Request::Append { append, done, memory } => {
                return self.group.push(append, done, memory);
            }
            Request::Create { key, id, config, done } => {
                let start = Offset::ZERO;
                return self.created.push((NewLog { log: key, id, config, start }, done));
            }
            change @ (Request::Configure { .. }
            | Request::Delete { .. }
            | Request::AdvanceStart { .. }
            | Request::Upkeep
            | Request::Upkept(_)) => change,
        };
        self.commit();
        let directory = &mut self.directory;
        match request {
            Request::Append { .. } | Request::Create { .. } => {}
            Request::Configure { key, config, done } => {
                answer(done, directory.set_config(key, config));
            }
            Request::Delete { key, done } => answer(done, directory.delete_log(key)),
            Request::AdvanceStart { key, start, done } => {
                answer(done, directory.advance_log_start(key, start));
            }
            Request::Upkeep => self.begin_upkeep(UpkeepScope::Everything),
            Request::Upkept(done) => report(UPKEEP_FAILED, directory.finish_upkeep(done)),
        }
    }

    fn commit(&mut self) {
        let (new, waiting): (Vec<_>, Vec<_>) = self.created.drain(..).unzip();
        for (made, done) in self.directory.create_logs(new).into_iter().zip(waiting) {
            answer(done, made);
        }
        self.group.commit(&mut self.directory, self.clock);
        if self.directory.needs_upkeep() {
            self.begin_upkeep(UpkeepScope::Journal);
        }
    }

    /// Has the other thread sync what no step had to, so that no append waits for that.
    fn begin_upkeep(&mut self, scope: UpkeepScope) {
        match self.directory.begin_upkeep(self.clock.now(), scope) {
            Ok(Some(upkeep)) => {
                if self.upkeep.run(upkeep).is_err() {
                    error!("the thread for upkeep of the data directory died; restart the broker");
                }
            }
            Ok(None) => {}
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

/// Appends that become durable together.
#[derive(Debug, Default)]
struct Group {
    appends: Vec<Append>,
    waiting: Vec<(oneshot::Sender<AppendResult>, OwnedSemaphorePermit)>,
}

impl Group {
    fn push(
        &mut self,
        append: Append,
        done: oneshot::Sender<AppendResult>,
        memory: OwnedSemaphorePermit,
    ) {
        self.appends.push(append);
        self.waiting.push((done, memory));
    }

    fn commit(&mut self, directory: &mut Directory<RealDisk>, clock: Clock) {
        if self.appends.is_empty() {
            return;
        }
        let outcomes = directory.step(&self.appends, clock.now());
        self.appends.clear();
        for ((done, memory), outcome) in self.waiting.drain(..).zip(outcomes) {
            drop(memory);
            // Logged here, since one who asked for no acks does not hear of it.
            match &outcome {
                Ok(_) => {}
                Err(failure) if failure.reason() == Reason::StorageError => {
                    error!(error = failure as &dyn std::error::Error, "append failed");
                }
                Err(failure) => {
                    warn!(error = failure as &dyn std::error::Error, "append was refused");
                }
            }
            answer(done, outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    /// What a group of `first` becomes that follows one of `last`, while `more` are in the queue.
    fn group(first: usize, last: usize, more: usize) -> usize {
        let (sender, mut queue) = mpsc::channel(16);
        for _ in 0..more {
            sender.try_send(Request::Upkeep).unwrap();
        }
        let mut taken: Vec<Request> = (0..first).map(|_| Request::Upkeep).collect();
        let mut company = Company::default();
        company.note(last, LONG);
        company.await_in(&mut queue, &mut taken, Clock::new());
        taken.len()
    }

    #[test]
    fn a_group_becomes_as_large_as_the_one_before_and_no_larger() {
        assert_eq!(group(1, 3, 5), 3);
        assert_eq!(group(4, 3, 5), 4);
    }

    #[test]
    fn whoever_does_not_come_is_not_waited_for_long() {
        assert_eq!(group(1, 3, 1), 2);
    }
}
