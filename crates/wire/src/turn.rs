use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use tokio::task::yield_now;

/// Waits until the worker's thread has no other task to run, or has run a few dozen.
///
/// Tasks that were woken together, each to say something on one connection, would each have what
/// it says sent by itself: the runtime runs whoever was woken last first, which is the connection.
/// That this comes behind them is how tokio's `yield_now` works, which does not promise it; nothing
/// but speed depends on it.
#[derive(Debug)]
pub(crate) struct Turn {
    passed: Arc<Passed>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Waiting,
}

/// Woken by the runtime in its turn.
#[derive(Debug, Default)]
struct Passed {
    passed: AtomicBool,
    waiting: AtomicWaker,
}

impl Wake for Passed {
    fn wake(self: Arc<Self>) {
        self.passed.store(true, Ordering::Release);
        self.waiting.wake();
    }
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self { passed: Arc::default(), stage: Stage::Idle }
    }

    /// Ready once the others had their turn, however often it is asked meanwhile. The next time it
    /// waits again.
    pub(crate) fn poll_passed(&mut self, context: &Context<'_>) -> Poll<()> {
        self.passed.waiting.register(context.waker());
        if self.stage == Stage::Idle {
            self.stage = Stage::Waiting;
            let waker = Waker::from(Arc::clone(&self.passed));
            self.passed.passed.store(false, Ordering::Relaxed);
            // Has the runtime wake that one behind all others.
            let yielded = pin!(yield_now()).poll(&mut Context::from_waker(&waker));
            if yielded.is_ready() {
                self.passed.passed.store(true, Ordering::Relaxed);
            }
        }
        if self.passed.passed.load(Ordering::Acquire) {
            self.stage = Stage::Idle;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn it_comes_once_everybody_who_is_ready_had_theirs() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |who: usize| {
            let order = Arc::clone(&order);
            async move { order.lock().unwrap().push(who) }
        };
        let others: Vec<_> = (1..=20).map(|who| tokio::spawn(note(who))).collect();
        let mut turn = Turn::new();
        poll_fn(|context| turn.poll_passed(context)).await;
        note(0).await;
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (1..=20).chain([0]).collect::<Vec<_>>());
    }

    /// Whoever is woken by others meanwhile must not take that for its turn.
    #[tokio::test]
    async fn to_ask_again_does_not_bring_it_nearer() {
        let waiting = Arc::new(AtomicWaker::new());
        let (asked, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let busy: Vec<_> = (0..20)
            .map(|_| {
                let (waiting, ran) = (Arc::clone(&waiting), Arc::clone(&ran));
                tokio::spawn(async move {
                    ran.fetch_add(1, Ordering::Relaxed);
                    waiting.wake();
                })
            })
            .collect();
        let turn = tokio::spawn({
            let (asked, mut turn) = (Arc::clone(&asked), Turn::new());
            poll_fn(move |context| {
                waiting.register(context.waker());
                asked.fetch_add(1, Ordering::Relaxed);
                // As the last of the others does.
                if asked.load(Ordering::Relaxed) < 5 {
                    context.waker().wake_by_ref();
                }
                turn.poll_passed(context)
            })
        });
        let last = tokio::spawn({
            let ran = Arc::clone(&ran);
            async move { ran.fetch_add(1, Ordering::Relaxed) }
        });
        turn.await.unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 21);
        assert!(5 <= asked.load(Ordering::Relaxed));
        last.await.unwrap();
        for task in busy {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn there_is_a_next_one() {
        let mut turn = Turn::new();
        for _ in 0..3 {
            let first = poll_fn(|context| Poll::Ready(turn.poll_passed(context))).await;
            assert_eq!(first, Poll::Pending);
            poll_fn(|context| turn.poll_passed(context)).await;
        }
    }
}
