//! Ends the connections that keep what others may want, or were never meant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Bounds;
use super::budget::Budget;
use super::peer::{Admitted, Doings, Peer};

/// How often all connections are looked at.
const TICK: Duration = Duration::from_secs(1);
/// What has to move for a connection not to stall. Below it are the answers to pings.
const LEAST: u64 = 64 * 1024;
/// How long a connection may stall while others wait for the bytes that it holds.
const STALL_WHILE_WANTED: Duration = Duration::from_secs(2);
/// How long a connection that is one too many may stay to hear so.
const BEYOND: Duration = Duration::from_secs(5);
/// Bytes of what every HTTP/2 client says first: a fixed text and the head of its settings.
const GREETING: u64 = 24 + 9;

/// How long is long. Times are since the server began.
#[derive(Clone, Copy, Debug)]
struct Rules {
    handshake: Duration,
    stall: Duration,
    /// As long as nobody waits for shared bytes, the same.
    answer_stall: Duration,
    message_stall: Duration,
    /// `None` while there is room for more connections.
    idle: Option<Duration>,
}

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    NeverSpoke,
    TakesNothing,
    LeavesAnswers,
    LeavesMessages,
    Rests,
    Beyond,
}

impl Cut {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NeverSpoke => "they did not begin to speak HTTP/2 within limits.handshake_ms",
            Self::TakesNothing => "their sockets took nothing for limits.stall_ms",
            Self::LeavesAnswers => {
                "they left their answers where they hold memory, for limits.stall_ms or while \
                 others waited for it"
            }
            Self::LeavesMessages => {
                "they left their messages half sent where they hold memory, for limits.stall_ms \
                 or while others waited for it"
            }
            Self::Rests => {
                "they rested for limits.idle_ms, and there are limits.connections of them"
            }
            Self::Beyond => "there are limits.connections of them",
        }
    }
}

/// Since when something has not moved.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    since: Duration,
    at: u64,
}

impl Pace {
    /// Whether something that `is_due` has moved by less than `least` for as long as `patience`.
    fn stalls(
        &mut self,
        (is_due, moved): (bool, u64),
        least: u64,
        now: Duration,
        patience: Duration,
    ) -> bool {
        if !is_due || self.at.saturating_add(least) <= moved {
            *self = Self { since: now, at: moved };
        }
        patience <= now.saturating_sub(self.since)
    }
}

/// What is remembered of a connection between two looks.
#[derive(Clone, Copy, Debug)]
struct Record {
    opened: Duration,
    socket: Pace,
    answers: Pace,
    messages: Pace,
    last_busy: Duration,
}

impl Record {
    fn new(now: Duration) -> Self {
        let pace = Pace { since: now, at: 0 };
        Self { opened: now, socket: pace, answers: pace, messages: pace, last_busy: now }
    }

    /// Whether to end the connection, and why.
    fn judge(
        &mut self,
        admitted: Admitted,
        doings: Doings,
        now: Duration,
        rules: Rules,
    ) -> Option<Cut> {
        let Doings { read, written, owed, incomplete, requests, blocked } = doings;
        if 0 < requests {
            self.last_busy = now;
        }
        let age = now.saturating_sub(self.opened);
        let takes_nothing = self.socket.stalls((blocked, written), 1, now, rules.stall);
        let leaves_answers =
            self.answers.stalls((0 < owed, written), LEAST, now, rules.answer_stall);
        let leaves_messages =
            self.messages.stalls((0 < incomplete, read), LEAST, now, rules.message_stall);
        let rests = rules.idle.is_some_and(|idle| idle <= now.saturating_sub(self.last_busy));
        [
            (admitted == Admitted::Beyond && BEYOND <= age, Cut::Beyond),
            (read < GREETING && rules.handshake <= age, Cut::NeverSpoke),
            (takes_nothing, Cut::TakesNothing),
            (leaves_answers, Cut::LeavesAnswers),
            (leaves_messages, Cut::LeavesMessages),
            (rests, Cut::Rests),
        ]
        .into_iter()
        .find_map(|(is_so, cut)| is_so.then_some(cut))
    }
}

/// All connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Register(Arc<Mutex<Connections>>);

#[derive(Debug, Default)]
struct Connections {
    last: u64,
    open: BTreeMap<u64, (Peer, Option<Record>)>,
    /// Since the last look.
    refused: usize,
}

/// A connection's place in the register; it is taken out when this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    register: Register,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.register.with(|connections| connections.open.remove(&self.number));
    }
}

impl Register {
    fn with<T>(&self, act: impl FnOnce(&mut Connections) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, peer: Peer) -> Registered {
        let number = self.with(|connections| {
            connections.last += 1;
            connections.open.insert(connections.last, (peer, None));
            connections.last
        });
        Registered { register: self.clone(), number }
    }

    /// Notes a connection that was not let in.
    pub(super) fn refused(&self) {
        self.with(|connections| connections.refused += 1);
    }

    /// Looks at every connection once. Returns how many were ended, by cause.
    fn look(&self, now: Duration, rules: Rules) -> BTreeMap<Cut, usize> {
        let mut ended = BTreeMap::new();
        self.with(|connections| {
            for (peer, record) in connections.open.values_mut() {
                let record = record.get_or_insert_with(|| Record::new(now));
                let verdict = record.judge(peer.admitted(), peer.doings(), now, rules);
                if let Some(cut) = verdict {
                    peer.cut();
                    *ended.entry(cut).or_default() += 1;
                }
            }
        });
        ended
    }

    fn take_refused(&self) -> usize {
        self.with(|connections| std::mem::take(&mut connections.refused))
    }
}

/// What is watched, and what it goes by.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) register: Register,
    pub(super) answers: Budget,
    pub(super) received: Budget,
    pub(super) bounds: Bounds,
    pub(super) connections: Arc<Semaphore>,
}

impl Watch {
    /// Watches until `ended`.
    pub(super) async fn keep(self, ended: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut now = Duration::ZERO;
        while ended.run_until_cancelled(ticks.tick()).await.is_some() {
            // Late ticks make it more patient, never less.
            now = now.saturating_add(TICK);
            for (cut, connections) in self.register.look(now, self.rules()) {
                warn!(connections, "connections were cut off: {}", cut.as_str());
            }
            let refused = self.register.take_refused();
            if 0 < refused {
                let limit = self.bounds.connections;
                warn!(refused, limit, "connections were refused: there are limits.connections");
            }
        }
    }

    fn rules(&self) -> Rules {
        let Bounds { handshake, stall, idle, .. } = self.bounds;
        let patience = |budget: &Budget| {
            if budget.is_wanted() { stall.min(STALL_WHILE_WANTED) } else { stall }
        };
        Rules {
            handshake,
            stall,
            answer_stall: patience(&self.answers),
            message_stall: patience(&self.received),
            idle: (self.connections.available_permits() == 0).then_some(idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        handshake: secs(5),
        stall: secs(30),
        answer_stall: secs(30),
        message_stall: secs(30),
        idle: None,
    };

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// When a connection is ended that does this at each second, and why.
    fn fate(rules: Rules, doings: impl Fn(u64) -> Doings) -> Option<(u64, Cut)> {
        let mut record = Record::new(Duration::ZERO);
        (0..1_000).find_map(|second| {
            let cut = record.judge(Admitted::Within, doings(second), secs(second), rules)?;
            Some((second, cut))
        })
    }

    fn spoken() -> Doings {
        Doings { read: 1_000, ..Doings::default() }
    }

    #[test]
    fn one_who_says_nothing_or_half_a_greeting_is_not_waited_for() {
        let half = Doings { read: GREETING - 1, ..Doings::default() };
        assert_eq!(fate(RULES, |_| half), Some((5, Cut::NeverSpoke)));
        assert_eq!(fate(RULES, |_| spoken()), None, "it may rest as long as there is room");
    }

    #[test]
    fn a_reader_that_takes_its_answers_slowly_may_and_one_that_does_not_may_not() {
        let owed = Doings { owed: 1, ..spoken() };
        assert_eq!(fate(RULES, |_| owed), Some((30, Cut::LeavesAnswers)));
        let slow = |second| Doings { written: second * LEAST / 30 + second, ..owed };
        assert_eq!(fate(RULES, slow), None);
        let only_pings = |second| Doings { written: second * 17, ..owed };
        assert_eq!(fate(RULES, only_pings), Some((30, Cut::LeavesAnswers)));
    }

    #[test]
    fn time_begins_when_there_is_something_to_take() {
        let from_100 = |second| Doings { owed: usize::from(100 < second), ..spoken() };
        assert_eq!(fate(RULES, from_100), Some((130, Cut::LeavesAnswers)));
    }

    #[test]
    fn who_holds_what_others_want_is_ended_sooner() {
        let wanted = Rules { answer_stall: secs(2), ..RULES };
        assert_eq!(fate(wanted, |_| Doings { owed: 1, ..spoken() }).unwrap().0, 2);
    }

    #[test]
    fn half_a_message_is_not_kept_for_ever() {
        let half = Doings { incomplete: 1, ..spoken() };
        assert_eq!(fate(RULES, |_| half), Some((30, Cut::LeavesMessages)));
        let slow = |second| Doings { read: second * LEAST, ..half };
        assert_eq!(fate(Rules { handshake: secs(900), ..RULES }, slow), None);
    }

    #[test]
    fn a_socket_that_takes_nothing_is_closed() {
        let blocked = Doings { blocked: true, ..spoken() };
        assert_eq!(fate(RULES, |_| blocked), Some((30, Cut::TakesNothing)));
        let slow = |second| Doings { written: second, ..blocked };
        assert_eq!(fate(RULES, slow), None);
    }

    #[test]
    fn one_who_rests_makes_room_for_others_when_there_is_none() {
        let full = Rules { idle: Some(secs(600)), ..RULES };
        let until_100 = |second| Doings { requests: usize::from(second <= 100), ..spoken() };
        assert_eq!(fate(full, until_100), Some((700, Cut::Rests)));
    }

    #[test]
    fn one_too_many_stays_no_longer_than_to_hear_so() {
        let mut record = Record::new(Duration::ZERO);
        let mut judge = |now| record.judge(Admitted::Beyond, spoken(), now, RULES);
        assert_eq!(judge(secs(4)), None);
        assert_eq!(judge(secs(5)), Some(Cut::Beyond));
    }

    #[test]
    fn a_connection_that_is_gone_is_looked_at_no_more() {
        let register = Register::default();
        let peer = Peer::of_own(0);
        let registered = register.add(peer.clone());
        register.look(Duration::ZERO, RULES);
        drop(registered);
        assert_eq!(register.look(secs(60), RULES), BTreeMap::new());
        let _registered = register.add(peer);
        register.look(secs(60), RULES);
        assert_eq!(register.look(secs(65), RULES), [(Cut::NeverSpoke, 1)].into());
    }
}
