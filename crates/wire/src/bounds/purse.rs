use std::sync::{Arc, Mutex, PoisonError};

use tonic::Extensions;

use super::budget::{Budget, Held};
use super::error::AnswerTooLarge;
use super::peer::{Counted, Own, Peer};
use crate::transport::MAX_MESSAGE_BYTES;

/// Where the bytes of answers come from, for a server's handlers.
#[derive(Clone, Debug)]
pub struct Purses {
    answers: Budget,
}

impl Purses {
    /// `answer_bytes` is what all connections share.
    pub fn new(answer_bytes: usize) -> Self {
        Self { answers: Budget::new(answer_bytes) }
    }

    /// The purse of the connection that a request with these extensions came by.
    pub fn of(&self, request: &Extensions) -> Purse {
        Purse { peer: request.get::<Peer>().cloned(), shared: self.answers.clone() }
    }

    /// A purse with nothing but what is shared.
    pub fn of_nobody(&self) -> Purse {
        Purse { peer: None, shared: self.answers.clone() }
    }

    pub(super) const fn answers(&self) -> &Budget {
        &self.answers
    }
}

/// The bytes that one connection's answers may take: its own, and those that all share.
#[derive(Clone, Debug)]
pub struct Purse {
    peer: Option<Peer>,
    shared: Budget,
}

impl Purse {
    pub(super) const fn new(peer: Peer, shared: Budget) -> Self {
        Self { peer: Some(peer), shared }
    }

    /// As many bytes as can be had at once: `wanted`, or what is left of the connection's own.
    pub fn take_up_to(&self, wanted: usize) -> Held {
        let own = self.peer.as_ref().map(|peer| peer.own(wanted));
        let missing = wanted.saturating_sub(own.as_ref().map_or(0, Own::bytes));
        let shared = if missing == 0 { None } else { self.shared.try_take(missing) };
        Held::new(own, shared)
    }

    /// So many bytes, or none if they cannot be had at once.
    pub fn try_take(&self, bytes: usize) -> Option<Held> {
        Some(self.take_up_to(bytes)).filter(|held| bytes <= held.bytes())
    }

    /// So many bytes, once they can be had.
    ///
    /// Those who hold some already had better not wait for more: all who do might wait for each
    /// other.
    pub async fn take(&self, bytes: usize) -> Held {
        if let Some(held) = self.try_take(bytes) {
            return held;
        }
        // The connection's own are left to what is small.
        Held::new(None, self.shared.take(bytes).await)
    }

    /// As [`Purse::take`], for an answer whose size is its asker's choice: what cannot be counted, since
    /// there are not so many bytes, must not be made.
    ///
    /// # Errors
    ///
    /// [`AnswerTooLarge`]: it would take more than the largest message.
    pub async fn take_for_answer(&self, bytes: usize) -> Result<Held, AnswerTooLarge> {
        self.check_answer(bytes)?;
        Ok(self.take(bytes).await)
    }

    /// Whether an answer may take so many bytes, for whoever has to wait for others before it is made.
    ///
    /// # Errors
    ///
    /// [`AnswerTooLarge`]: it would take more than the largest message.
    pub fn check_answer(&self, bytes: usize) -> Result<(), AnswerTooLarge> {
        let limit = MAX_MESSAGE_BYTES.min(self.shared.total());
        if limit < bytes { Err(AnswerTooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// An account of answers that the connection is to take.
    pub fn account(&self) -> Owed {
        let account = Account { held: Held::default(), counted: None };
        Owed { peer: self.peer.clone(), account: Arc::new(Mutex::new(account)) }
    }
}

/// What answers hold that were not handed to the socket yet. Put it into the extensions of a
/// response: its body gives the bytes back as they are sent, and the rest when it ends.
#[derive(Clone, Debug)]
pub struct Owed {
    peer: Option<Peer>,
    account: Arc<Mutex<Account>>,
}

#[derive(Debug)]
struct Account {
    held: Held,
    counted: Option<Counted>,
}

impl Owed {
    /// Adds what one answer holds, before it is given to the body.
    pub fn add(&self, more: Held) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.held.absorb(more);
        account.counted = self.count(&account.held);
    }

    /// What `bytes` that leave the body hold.
    pub(super) fn part(&self, bytes: usize) -> Leaving {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let held = account.held.split(bytes);
        let counted = self.count(&held);
        account.counted = self.count(&account.held);
        Leaving { held, _counted: counted }
    }

    fn count(&self, held: &Held) -> Option<Counted> {
        let bytes = held.shared_bytes();
        self.peer.as_ref().filter(|_| bytes != 0).map(|peer| peer.owes(bytes))
    }
}

/// Bytes on their way from a body to the socket.
#[derive(Debug)]
pub(super) struct Leaving {
    held: Held,
    _counted: Option<Counted>,
}

impl Leaving {
    pub(super) fn is_nothing(&self) -> bool {
        self.held.bytes() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: usize = 64;

    fn purse(purses: &Purses) -> (Peer, Purse) {
        let peer = Peer::of_own(OWN);
        (peer.clone(), Purse::new(peer, purses.answers().clone()))
    }

    #[test]
    fn when_all_is_used_up_a_connection_still_has_its_own() {
        let purses = Purses::new(100);
        let _taken = purses.of_nobody().try_take(90).unwrap();
        let (_, purse) = purse(&purses);
        assert!(purse.try_take(200).is_none());
        let held = purse.take_up_to(200);
        assert_eq!((held.bytes(), held.shared_bytes()), (OWN, 0));
        assert_eq!(purse.take_up_to(1).bytes(), 1, "what is shared and free is for all");
    }

    #[tokio::test]
    async fn whoever_needs_more_than_its_own_waits_for_it() {
        let purses = Purses::new(100);
        let taken = purses.of_nobody().try_take(100);
        let (_, purse) = purse(&purses);
        let waiting = tokio::spawn(async move { purse.take(80).await.shared_bytes() });
        while !purses.answers().is_wanted() {
            tokio::task::yield_now().await;
        }
        drop(taken);
        assert_eq!(waiting.await.unwrap(), 80);
    }

    #[tokio::test]
    async fn an_answer_that_could_not_be_counted_is_refused() {
        let purses = Purses::new(100);
        let (_, purse) = purse(&purses);
        assert_eq!(purse.take_for_answer(100).await.unwrap().bytes(), 100);
        let refused = purse.take_for_answer(101).await.unwrap_err();
        assert_eq!(refused, AnswerTooLarge { bytes: 101, limit: 100 });
    }

    #[test]
    fn answers_are_owed_until_they_have_left() {
        let purses = Purses::new(100);
        let (peer, purse) = purse(&purses);
        let owed = purse.account();
        owed.add(purse.try_take(OWN + 30).unwrap());
        assert_eq!(peer.doings().owed, 30, "a connection's own bytes are nobody's business");
        let first = owed.part(20);
        assert_eq!(peer.doings().owed, 30);
        drop(first);
        assert_eq!(peer.doings().owed, 10);
        // Envelopes make a body larger than what was counted.
        let rest = owed.part(1_000);
        assert!(owed.part(5).is_nothing());
        drop((rest, owed));
        assert_eq!(peer.doings().owed, 0);
        assert!(purses.of_nobody().try_take(100).is_some());
    }

    #[test]
    fn what_is_owed_to_one_who_went_away_is_free_again() {
        let purses = Purses::new(100);
        let (peer, purse) = purse(&purses);
        let owed = purse.account();
        owed.add(purse.try_take(OWN + 100).unwrap());
        drop(owed);
        assert_eq!(peer.doings().owed, 0);
        assert!(purses.of_nobody().try_take(100).is_some());
    }
}
