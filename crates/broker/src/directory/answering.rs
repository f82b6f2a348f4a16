//! Who tells what became of appends: a task, so that the writer's thread wakes the runtime once for
//! many that a sync has answered. Were it to tell each by itself, the first to hear of it would be
//! off with its answer alone while the others are still being told, and so would be whoever waits
//! for that at the other end: where they share a processor, each answer is a round by itself.

use commit_log::{AppendError, Appended};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::Appending;

/// Answers that wake the runtime once. With more of them a second core would have nothing to do
/// meanwhile, and what they are about has left the cache before it is looked at again: with a
/// thousand, appends to a thousand logs take a tenth longer.
const TOLD_TOGETHER: usize = 32;
/// Most parts that wait to be told: what the log answers to a few full groups. What they have of the
/// memory for produces is theirs until then. The writer waits beyond that, for there are more of them
/// only if nobody takes any.
const UNTOLD: usize = 128;

/// An append, and what the log has answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) appending: Appending,
    pub(super) answer: Result<Appended, AppendError>,
    /// Given back with the answer.
    pub(super) memory: OwnedSemaphorePermit,
}

/// The way to the task that tells. It ends once this is dropped and everyone has been told.
#[derive(Debug)]
pub(super) struct Telling(Sender<Vec<Answered>>);

impl Telling {
    /// Starts the task, on the runtime of whoever calls.
    pub(super) fn start() -> (Self, JoinHandle<()>) {
        let (parts, answered) = channel(UNTOLD);
        (Self(parts), tokio::spawn(tell(answered)))
    }

    /// Whether the task ended although there is a writer.
    pub(super) fn is_dead(&self) -> bool {
        self.0.is_closed()
    }

    /// Has answers told, in their order. If there is no runtime any more, those who still wait hear
    /// that their appends are lost.
    pub(super) fn tell(&self, answers: impl IntoIterator<Item = Answered>) {
        let mut rest = answers.into_iter();
        loop {
            let part: Vec<_> = rest.by_ref().take(TOLD_TOGETHER).collect();
            if part.is_empty() || self.0.blocking_send(part).is_err() {
                return;
            }
        }
    }
}

async fn tell(mut parts: Receiver<Vec<Answered>>) {
    while let Some(part) = parts.recv().await {
        for Answered { appending, answer, memory } in part {
            drop(memory);
            appending.answer(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio::runtime::Builder;
    use tokio::sync::Semaphore;
    use tokio::task::spawn_blocking;
    use types::Offset;

    use super::*;
    use crate::directory::{AppendResult, Appender};

    /// What was told, in its order; `None` of what was lost.
    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<Option<Offset>>>);

    impl Heard {
        fn note(&self, told: Option<Offset>) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        }
    }

    impl Appender for Heard {
        fn appended(self: Arc<Self>, answer: AppendResult) {
            self.note(Some(answer.unwrap().base_offset));
        }

        fn lost(self: Arc<Self>) {
            self.note(None);
        }
    }

    fn answered(heard: &Arc<Heard>, memory: &Arc<Semaphore>, count: u64) -> Vec<Answered> {
        let answer = |base: u64| {
            let (base_offset, end) = (Offset::new(base), Offset::new(base + 1));
            Answered {
                appending: Appending::of(Arc::clone(heard)),
                answer: Ok(Appended { base_offset, end, durable_end: end }),
                memory: Arc::clone(memory).try_acquire_owned().unwrap(),
            }
        };
        (0..count).map(answer).collect()
    }

    #[tokio::test]
    async fn everyone_is_told_once_in_the_order_of_the_log_and_memory_is_given_back() {
        let (heard, memory) = (Arc::new(Heard::default()), Arc::new(Semaphore::new(1000)));
        let (tell, telling) = Telling::start();
        let group = answered(&heard, &memory, 1000);
        spawn_blocking(move || tell.tell(group)).await.unwrap();
        telling.await.unwrap();
        let expected: Vec<_> = (0..1000).map(|base| Some(Offset::new(base))).collect();
        assert_eq!(*heard.0.lock().unwrap(), expected);
        assert_eq!(memory.available_permits(), 1000);
    }

    #[test]
    fn whoever_waits_when_there_is_no_runtime_any_more_hears_that_it_is_lost() {
        let (heard, memory) = (Arc::new(Heard::default()), Arc::new(Semaphore::new(1000)));
        let runtime = Builder::new_current_thread().build().unwrap();
        let (tell, _telling) = runtime.block_on(async { Telling::start() });
        assert!(!tell.is_dead());
        drop(runtime);
        assert!(tell.is_dead());
        tell.tell(answered(&heard, &memory, 1000));
        assert_eq!(*heard.0.lock().unwrap(), vec![None; 1000]);
        assert_eq!(memory.available_permits(), 1000);
    }
}
