use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use client::{ClientError, Delivery, RecordMetadata};
use serde::Serialize;
use types::{Coded as _, Offset, PartitionId, Reason, TopicName};

use crate::args::produce::Produce;
use crate::exit::Failure;
use crate::output::{Output, Style, counted};

/// Lines on their way. More wait in the input.
const MAX_IN_FLIGHT: usize = 100_000;
/// A summary names no more partitions than fit on a few lines.
const MAX_NAMED_PARTITIONS: usize = 12;

/// Why a line did not arrive.
#[derive(Debug)]
pub(super) enum LineFailure {
    /// It is the line's fault; others may fare better.
    Line {
        /// Counted from 1.
        number: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// No other would fare better.
    Cluster(Failure),
}

impl LineFailure {
    /// What a failure to send line `number` means.
    pub(super) fn of(number: u64, error: ClientError) -> Self {
        if matches!(error.reason(), Reason::InvalidRecord | Reason::MessageTooLarge) {
            Self::Line { number, problem: error.to_string() }
        } else if let ClientError::OutcomeUnknown { topic_partition: of, .. } = &error {
            let next = format!("consume {} -p {} -o -5 -e", of.topic, of.partition);
            Self::Cluster(Failure::from(error).next(next))
        } else {
            Self::Cluster(Failure::from(error))
        }
    }
}

/// The records that were handed over and are not acknowledged yet, in the order of their lines.
#[derive(Debug)]
pub(super) struct Outbox {
    topic: TopicName,
    in_flight: VecDeque<(u64, Delivery)>,
    told: Told,
    acknowledged: u64,
    /// How many lines were handed over and failed, and the first of them.
    failed: u64,
    first_failed: u64,
    partitions: BTreeMap<PartitionId, Span>,
}

/// The offsets that one partition gave out. Others may have written in between.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: Offset,
    last: Offset,
}

/// How each acknowledgement is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// A JSON object on stdout.
    Json,
    /// A note, for someone who types the lines.
    Note,
    /// Only in the summary.
    Not,
}

/// The answer for one line.
#[derive(Debug)]
pub(super) struct Answer {
    number: u64,
    result: Result<RecordMetadata, ClientError>,
}

#[derive(Serialize)]
struct Acknowledgement<'a> {
    line: u64,
    topic: &'a str,
    partition: u32,
    offset: Option<u64>,
}

impl Outbox {
    /// An empty one.
    pub(super) fn new(produce: &Produce, output: &Output) -> Self {
        let typed = produce.file.is_none() && io::stdin().is_terminal();
        let told = match output.style() {
            Style::Json => Told::Json,
            Style::Table if produce.sync || typed => Told::Note,
            Style::Table => Told::Not,
        };
        Self {
            topic: produce.topic.clone(),
            in_flight: VecDeque::new(),
            told,
            acknowledged: 0,
            failed: 0,
            first_failed: u64::MAX,
            partitions: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < MAX_IN_FLIGHT
    }

    /// Keeps an eye on a line's delivery.
    pub(super) fn add(&mut self, number: u64, delivery: Delivery) {
        self.in_flight.push_back((number, delivery));
    }

    /// The answer for the oldest line; `None` if there is no line. Waiting may be broken off.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        let (number, delivery) = self.in_flight.front_mut()?;
        let answer = Answer { number: *number, result: delivery.await };
        self.in_flight.pop_front();
        Some(answer)
    }

    /// Tells an answer, and counts it.
    ///
    /// # Errors
    ///
    /// The record did not arrive, or stdout cannot be written to.
    pub(super) fn tell(&mut self, answer: Answer, output: &mut Output) -> Result<(), LineFailure> {
        let Answer { number, result } = answer;
        let metadata = result.map_err(|error| {
            self.failed += 1;
            self.first_failed = self.first_failed.min(number);
            LineFailure::of(number, error)
        })?;
        self.count(&metadata);
        let partition = metadata.topic_partition.partition.get();
        match self.told {
            Told::Json => {
                let topic = self.topic.as_str();
                let offset = metadata.offset.map(Offset::get);
                let line = Acknowledgement { line: number, topic, partition, offset };
                output.json(&line).map_err(|error| LineFailure::Cluster(error.into()))?;
            }
            Told::Note => output.note(&match metadata.offset {
                Some(offset) => format!("{}-{partition} @ {offset}", self.topic),
                None => format!("{}-{partition}, not acknowledged", self.topic),
            }),
            Told::Not => {}
        }
        Ok(())
    }

    fn count(&mut self, metadata: &RecordMetadata) {
        self.acknowledged += 1;
        let Some(offset) = metadata.offset else { return };
        let span = self
            .partitions
            .entry(metadata.topic_partition.partition)
            .or_insert(Span { first: offset, last: offset });
        span.first = span.first.min(offset);
        span.last = span.last.max(offset);
    }

    /// How many records went where.
    pub(super) fn summary(&self) -> String {
        let mut text = format!("{} sent to {}", counted(self.acknowledged, "record"), self.topic);
        for (position, (partition, span)) in
            self.partitions.iter().take(MAX_NAMED_PARTITIONS).enumerate()
        {
            let between = if position == 0 { ": " } else { ", " };
            let Span { first, last } = span;
            write!(text, "{between}partition {partition} @ {first}..={last}").unwrap_or_default();
        }
        let waiting = u64::try_from(self.in_flight.len()).unwrap_or(u64::MAX);
        let first = self.in_flight.front().map_or(u64::MAX, |(number, _)| *number);
        let (missing, first) = (self.failed + waiting, self.first_failed.min(first));
        if 0 < missing {
            let missing = counted(missing, "line");
            write!(text, "; {missing} not acknowledged, the first is line {first}")
                .unwrap_or_default();
        }
        text
    }
}
