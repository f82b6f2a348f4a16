//! The thread that owns the controller: it waits for requests or the next tick, and steps.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use daemon::clock::Clock;
use disk::Disk;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::controller::{Controller, Now};
use crate::raft::{Checkpoint, Checkpoints, RaftError};
use crate::request::{Reply, Request, RequestError};

/// Requests that one step takes up together.
const STEP_REQUESTS: usize = 4096;

/// The way to the controller.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    requests: SyncSender<Request>,
}

impl Mailbox {
    /// Asks, and waits for the answer.
    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(request(reply)).map_err(|refused| match refused {
            TrySendError::Full(_) => RequestError::Busy,
            TrySendError::Disconnected(_) => RequestError::ShuttingDown,
        })?;
        // The driver ended with the request in hand: what it proposed may be certain.
        answer.await.unwrap_or(Err(RequestError::OutcomeUnknown))
    }
}

/// A running driver.
#[derive(Debug)]
pub(crate) struct Driver {
    thread: JoinHandle<()>,
    /// Ends it, at the next tick at the latest. Connections that outlive the server may hold
    /// mailboxes, so that their end is no sign.
    pub(crate) halt: CancellationToken,
    /// How it ended.
    pub(crate) ended: oneshot::Receiver<Result<(), RaftError>>,
}

impl Driver {
    /// Starts the thread. `queue` requests may wait.
    pub(crate) fn start<D: Disk>(
        controller: Controller<D>,
        checkpoints: Checkpoints,
        queue: usize,
        clock: Clock,
    ) -> io::Result<(Self, Mailbox)> {
        let (requests, received) = sync_channel(queue);
        let (ended, ending) = oneshot::channel();
        let saver = Saver { checkpoints, thread: None };
        let halt = CancellationToken::new();
        let halted = halt.clone();
        let thread = thread::Builder::new().name("coordinator".to_owned()).spawn(move || {
            let outcome = run(controller, &received, saver, clock, &halted);
            // Nobody listens when the app is dropped without having run.
            ended.send(outcome).ok();
        })?;
        Ok((Self { thread, halt, ended: ending }, Mailbox { requests }))
    }

    /// Waits for the thread to be gone, and with it every lock on the data directory.
    pub(crate) fn join(self) {
        // A panic has been reported where it happened; `ended` tells the app.
        self.thread.join().ok();
    }
}

fn run<D: Disk>(
    mut controller: Controller<D>,
    received: &Receiver<Request>,
    mut saver: Saver,
    clock: Clock,
    halted: &CancellationToken,
) -> Result<(), RaftError> {
    let mut requests = Vec::new();
    while !halted.is_cancelled() {
        requests.extend(received.try_iter().take(STEP_REQUESTS));
        requests.extend(saver.finished()?);
        let now = Now { wall: clock.now(), monotonic: clock.monotonic() };
        if let Some(checkpoint) = controller.step(requests.drain(..), now)? {
            saver.begin(checkpoint);
        }
        let wait = controller.next_tick().saturating_sub(clock.monotonic());
        match received.recv_timeout(wait) {
            Ok(request) => requests.push(request),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    saver.finish()
}

/// Saves checkpoints beside the loop, one at a time.
struct Saver {
    checkpoints: Checkpoints,
    thread: Option<JoinHandle<Request>>,
}

impl Saver {
    fn begin(&mut self, checkpoint: Checkpoint) {
        debug!(index = checkpoint.index, "checkpoint begun");
        let checkpoints = self.checkpoints.clone();
        self.thread = Some(thread::spawn(move || {
            let saved = checkpoints.save(&checkpoint).map(|()| Box::new(checkpoint));
            Request::Checkpointed { saved }
        }));
    }

    /// What the controller is to be told, if a checkpoint has come to its end.
    fn finished(&mut self) -> Result<Option<Request>, RaftError> {
        match self.thread.take_if(|thread| thread.is_finished()) {
            Some(thread) => thread.join().map(Some).map_err(|_panic| RaftError::CheckpointPanicked),
            None => Ok(None),
        }
    }

    /// Lets a checkpoint come to its end.
    fn finish(mut self) -> Result<(), RaftError> {
        match self.thread.take() {
            Some(thread) => {
                thread.join().map(|_saved| ()).map_err(|_panic| RaftError::CheckpointPanicked)
            }
            None => Ok(()),
        }
    }
}
