//! The thread that waits for the disk while the writer goes on.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use commit_log::{Upkeep, UpkeepDone};
use disk::RealDisk;
use tokio::sync::mpsc::WeakSender;

use super::{Request, WriterGone};

type Undelivered = Option<UpkeepDone<RealDisk>>;

/// Does rounds of upkeep, one at a time.
#[derive(Debug)]
pub(super) struct UpkeepThread {
    work: SyncSender<Upkeep<RealDisk>>,
    thread: JoinHandle<Undelivered>,
}

impl UpkeepThread {
    /// Starts it. What was done is sent to the writer, as long as anyone else uses that queue.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub(super) fn start(writer: WeakSender<Request>) -> io::Result<Self> {
        // A directory has one round under way at most.
        let (work, rounds) = sync_channel::<Upkeep<RealDisk>>(1);
        let thread = Builder::new().name("directory-upkeep".to_owned()).spawn(move || {
            for upkeep in rounds {
                let done = upkeep.run();
                // Without a sender the writer is about to end, and asks for what was done.
                let Some(writer) = writer.upgrade() else { return Some(done) };
                if writer.blocking_send(Request::Upkept(done)).is_err() {
                    return None;
                }
            }
            None
        })?;
        Ok(Self { work, thread })
    }

    /// Hands over a round.
    pub(super) fn run(&self, upkeep: Upkeep<RealDisk>) -> Result<(), WriterGone> {
        self.work.try_send(upkeep).map_err(|_died| WriterGone)
    }

    /// Whether it ended although there is a writer.
    pub(super) fn is_dead(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the round under way, and returns what was done if the queue did not bring it.
    pub(super) fn join(self) -> Undelivered {
        drop(self.work);
        self.thread.join().unwrap_or_default()
    }
}
