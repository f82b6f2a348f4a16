//! What requests hold, and until when.

use std::collections::VecDeque;

use futures::FutureExt;
use futures::future::poll_fn;

use super::super::purse::Purses;
use super::*;

const OWN: usize = 10;
const SHARED: usize = 100;
const RATE: Rate = Rate { longest: 1_000, unfolds_to: 1 };
const PATIENCE: Duration = Duration::from_secs(30);

/// A body of these pieces. It waits at `None`, for ever.
struct Pieces(VecDeque<Option<Vec<u8>>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.0.pop_front() {
            Some(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
            Some(None) => {
                self.0.push_front(None);
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

fn begun(length: u8, sent: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, length];
    bytes.resize(5 + sent, 7);
    bytes
}

fn whole(length: u8) -> Vec<u8> {
    begun(length, usize::from(length))
}

struct Lab {
    purses: Purses,
    peer: Peer,
    receipt: Arc<Receipt>,
    body: Received<Pieces>,
}

impl Lab {
    fn new(rate: Rate, pieces: impl IntoIterator<Item = Option<Vec<u8>>>) -> Self {
        let purses = Purses::new(SHARED);
        let peer = Peer::of_own(OWN);
        let purse = Purse::new(peer.clone(), purses.answers().clone());
        let receipt = Arc::new(Receipt::default());
        let pieces = Pieces(pieces.into_iter().collect());
        let counted = Arc::clone(&receipt);
        let body = Received::new(pieces, (peer.clone(), purse), counted, rate, PATIENCE);
        Self { purses, peer, receipt, body }
    }

    async fn next(&mut self) -> Option<Result<usize, Status>> {
        let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap().len()))
    }

    fn held(&self) -> usize {
        self.receipt.held.lock().unwrap().bytes()
    }
}

#[tokio::test]
async fn a_message_is_held_whole_from_its_beginning_until_it_was_answered() {
    let mut lab = Lab::new(RATE, [Some(begun(60, 0)), Some(vec![7; 60])]);
    assert_eq!(lab.next().await.unwrap().unwrap(), 5);
    assert_eq!(lab.held(), 65);
    assert_eq!(lab.next().await.unwrap().unwrap(), 60);
    assert!(lab.next().await.is_none(), "it is whole; nobody has answered it");
    assert_eq!(lab.held(), 65);
    let Lab { purses, receipt, body, .. } = lab;
    drop((receipt, body));
    assert!(purses.of_nobody().try_take(SHARED).is_some());
}

#[tokio::test]
async fn a_stream_holds_a_message_until_the_next_one_is_asked_for() {
    let pieces = [Some(whole(60)), Some([whole(3), begun(40, 1)].concat()), None];
    let mut lab = Lab::new(RATE, pieces);
    lab.receipt.answered();
    assert_eq!(lab.next().await.unwrap().unwrap(), 65);
    assert_eq!(lab.held(), 65);
    assert_eq!(lab.next().await.unwrap().unwrap(), 8 + 6);
    assert_eq!(lab.held(), 8 + 45);
    assert!(lab.next().now_or_never().is_none());
    assert_eq!(lab.held(), 45);
    assert_eq!(lab.peer.doings().incomplete, 1, "the client owes the rest of it");
}

#[tokio::test]
async fn what_a_connection_can_hold_by_itself_is_no_one_elses_business() {
    let mut lab = Lab::new(RATE, [Some(begun(5, 1)), None]);
    lab.next().await.unwrap().unwrap();
    assert!(lab.next().now_or_never().is_none());
    assert_eq!(lab.peer.doings().incomplete, 0);
    assert!(lab.purses.of_nobody().try_take(SHARED).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_for_memory_but_not_for_ever() {
    let mut lab = Lab::new(RATE, [Some(begun(60, 1)), Some(begun(60, 1))]);
    let taken = lab.purses.of_nobody().try_take(SHARED);
    assert!(lab.next().now_or_never().is_none());
    drop(taken);
    assert_eq!(lab.next().await.unwrap().unwrap(), 6, "what came is not lost by waiting");

    let mut lab = Lab::new(RATE, [Some(begun(60, 1))]);
    let _taken = lab.purses.of_nobody().try_take(SHARED);
    let refused = lab.next().await.unwrap().unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert!(refused.message().contains("limits.received_bytes"), "{refused:?}");
}

#[tokio::test]
async fn a_message_counts_as_what_it_unfolds_to_and_may_be_too_long() {
    let rate = Rate { longest: 20, unfolds_to: 3 };
    let mut lab = Lab::new(rate, [Some(whole(20)), Some(begun(21, 0))]);
    lab.next().await.unwrap().unwrap();
    assert_eq!(lab.held(), 75);
    let refused = lab.next().await.unwrap().unwrap_err();
    assert!(refused.message().contains("a message of 21 bytes"), "{refused:?}");
}
