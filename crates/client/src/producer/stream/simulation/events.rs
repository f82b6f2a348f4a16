//! What can happen, and how likely it is.

use proptest::prelude::*;
use proptest::sample::Index;

/// What the log does to a request that reaches it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// As its rules have it.
    Takes,
    /// It has no room, leads no more, or the like; nothing is written.
    Refuses,
    /// It takes it, and the acks do not come in time.
    TakesAndTimesOut,
    /// It will never take one of the batches, and so none of the request.
    RefusesForGood,
    /// It takes it, and its answer does not come.
    TakesAndIsNotHeard,
}

/// How a connection ends for its client.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// What is on its way may still arrive, unheard, and what has not left may leave.
    Breaks,
    /// The broker answers what it has read, and reads no more.
    ShutsDown,
    /// It goes on, but the sender uses another one from now on.
    IsReplaced,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// The user hands over a batch of so many records.
    Batch(u32),
    /// A stream takes up so many attempts, and sends what may leave.
    TakeUp(Index, usize),
    /// The transport takes the oldest request of a connection.
    Leave(Index),
    /// The oldest request of a connection reaches the log.
    Arrive(Index, Turn),
    /// A stream hears an answer: refusals may overtake others.
    Hear(Index, Index),
    /// The sender looks at so many answers.
    Look(usize),
    End(Index, End),
    /// Time passes.
    Wait(u64),
    /// What is on its way on connections that ended is gone for good.
    Settle,
    /// Another producer writes.
    Other,
    /// The broker dies; so much of what was not durable is gone, in parts of all of it.
    Die(Index),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        12 => Just(Turn::Takes),
        2 => Just(Turn::Refuses),
        1 => Just(Turn::TakesAndTimesOut),
        1 => Just(Turn::RefusesForGood),
        1 => Just(Turn::TakesAndIsNotHeard),
    ]
}

fn how() -> impl Strategy<Value = End> {
    prop_oneof![3 => Just(End::Breaks), 1 => Just(End::ShutsDown), 1 => Just(End::IsReplaced)]
}

fn event() -> impl Strategy<Value = Event> {
    let some = || 1..4_usize;
    prop_oneof![
        10 => (1..4_u32).prop_map(Event::Batch),
        10 => (any::<Index>(), some()).prop_map(|(at, count)| Event::TakeUp(at, count)),
        10 => any::<Index>().prop_map(Event::Leave),
        12 => (any::<Index>(), turn()).prop_map(|(at, turn)| Event::Arrive(at, turn)),
        8 => any::<(Index, Index)>().prop_map(|(at, reply)| Event::Hear(at, reply)),
        8 => some().prop_map(Event::Look),
        2 => (any::<Index>(), how()).prop_map(|(at, how)| Event::End(at, how)),
        2 => (0..30_u64).prop_map(Event::Wait),
        1 => Just(Event::Settle),
        4 => Just(Event::Other),
        1 => any::<Index>().prop_map(Event::Die),
    ]
}

/// What a network and a broker do that pass.
pub(super) fn passing_event() -> impl Strategy<Value = Event> {
    event().prop_map(|event| {
        if let Event::Arrive(connection, Turn::RefusesForGood) = event {
            return Event::Arrive(connection, Turn::TakesAndTimesOut);
        }
        // All of them together are shorter than the delivery timeout.
        if matches!(event, Event::Wait(_)) { Event::Wait(1) } else { event }
    })
}

pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 1..250)
}

pub(super) fn retries() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(u32::MAX), 1 => 0..3_u32]
}
