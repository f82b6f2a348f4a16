//! `dohle produce`: lines in, records out.

mod encoder;
mod outbox;
mod pace;

use std::io;

use bytes::Bytes;
use client::{Acks, Producer, ProducerConfig, ProducerRecord};
use record::{Compression, Header};
use tokio::sync::mpsc;
use types::PartitionId;

use self::encoder::Encoder;
use self::outbox::{LineFailure, Outbox};
use self::pace::Pace;
use crate::args::produce::{AcksArg, CompressionArg, LineShape, Produce};
use crate::exit::{Exit, Failure};
use crate::input::{EmptyValue, Line, LineFormat, lines};
use crate::output::{Output, counted};
use crate::session::Session;

/// Sends every line of the input.
///
/// A line that is no record is told with its number, and the rest is sent, unless `--fail-fast`;
/// either way the exit code says that not all was sent.
///
/// # Errors
///
/// The cluster or the registry cannot be reached, or not every line was acknowledged.
pub(crate) async fn run(
    produce: Produce,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let input = lines(produce.file.as_deref()).map_err(|error| {
        let path = produce.file.as_deref().unwrap_or("stdin".as_ref());
        Failure::from(error).within(&path.display().to_string())
    })?;
    let encoder = Encoder::open(produce.avro.as_ref(), &produce.topic, session).await?;
    let producer = session.client().await?.producer(config(&produce))?;
    let mut desk = Desk {
        lines: input,
        line_format: line_format(&produce),
        encoder,
        outbox: Outbox::new(&produce, output),
        pace: Pace::of(&produce),
        produce,
        producer,
        unsent: 0,
    };
    let ended = desk.send_all(session, output).await;
    desk.finish(ended, session, output).await
}

/// Everything between a line and its acknowledgement.
struct Desk {
    produce: Produce,
    lines: mpsc::Receiver<io::Result<Line>>,
    line_format: LineFormat,
    encoder: Encoder,
    producer: Producer,
    outbox: Outbox,
    pace: Pace,
    /// Lines that were no records, or that no broker will take.
    unsent: u64,
}

impl Desk {
    async fn send_all(&mut self, session: &Session, output: &mut Output) -> Result<(), Failure> {
        loop {
            let sync_and_waiting = self.produce.sync && !self.outbox.is_empty();
            tokio::select! {
                () = session.interrupted.cancelled() => {
                    return Err(Failure::Told(Exit::Interrupted));
                }
                Some(answer) = self.outbox.next() => {
                    let told = self.outbox.tell(answer, output);
                    self.judge(told, output)?;
                }
                line = next_line(&mut self.lines, &mut self.pace),
                    if self.outbox.has_room() && !sync_and_waiting =>
                {
                    let Some(line) = line? else { return Ok(()) };
                    self.pace.spend();
                    // A full buffer may keep it waiting for a minute.
                    let sent = tokio::select! {
                        sent = self.send(&line) => sent,
                        () = session.interrupted.cancelled() => {
                            return Err(Failure::Told(Exit::Interrupted));
                        }
                    };
                    self.judge(sent, output)?;
                }
            }
        }
    }

    async fn send(&mut self, line: &Line) -> Result<(), LineFailure> {
        let number = line.number;
        if self.is_skipped(line) {
            return Ok(());
        }
        let record = self.record(line).map_err(|problem| LineFailure::Line { number, problem })?;
        let delivery = self.producer.send(record).await;
        self.outbox.add(number, delivery.map_err(|error| LineFailure::of(number, error))?);
        Ok(())
    }

    /// A blank line is an empty record where lines are text, and nothing where they are JSON.
    fn is_skipped(&self, line: &Line) -> bool {
        let is_json =
            self.line_format == LineFormat::Json || matches!(self.encoder, Encoder::Avro { .. });
        is_json && line.bytes.trim_ascii().is_empty()
    }

    fn record(&self, line: &Line) -> Result<ProducerRecord, String> {
        let input = self.line_format.read(&line.bytes).map_err(|error| error.to_string())?;
        let fixed_headers = self.produce.header.iter().map(|(name, value)| Header {
            key: Bytes::copy_from_slice(name.as_bytes()),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        });
        let fixed_key = self.produce.key.as_ref();
        Ok(ProducerRecord {
            topic: self.produce.topic.clone(),
            partition: self.produce.partition.map(PartitionId::new).or(input.partition),
            key: input.key.or_else(|| fixed_key.map(|key| Bytes::copy_from_slice(key.as_bytes()))),
            value: self.encoder.encode(input.value)?,
            headers: input.headers.into_iter().chain(fixed_headers).collect(),
            timestamp: input.timestamp,
        })
    }

    /// Goes on after a line that cannot be sent, unless told otherwise; never after anything else.
    fn judge(
        &mut self,
        result: Result<(), LineFailure>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        match result {
            Ok(()) => Ok(()),
            Err(LineFailure::Line { number, problem }) => {
                output.error(&format!("line {number}: {problem}"));
                self.unsent += 1;
                if self.produce.fail_fast { Err(Failure::Told(Exit::Other)) } else { Ok(()) }
            }
            Err(LineFailure::Cluster(failure)) => Err(failure),
        }
    }

    /// Waits for what was sent, and tells how it went.
    async fn finish(
        mut self,
        ended: Result<(), Failure>,
        session: &Session,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let drained = if session.interrupted.is_cancelled() {
            let drain = self.drain(output);
            tokio::time::timeout(session.common.timeout, drain).await.unwrap_or(Ok(()))
        } else {
            self.drain(output).await
        };
        output.note(&self.outbox.summary());
        if 0 < self.unsent {
            output.note(&format!("{} not sent", counted(self.unsent, "line")));
        }
        // What happened first is what there is to tell.
        ended.and(drained)?;
        self.producer.close().await?;
        if 0 < self.unsent { Err(Failure::Told(Exit::Other)) } else { Ok(()) }
    }

    async fn drain(&mut self, output: &mut Output) -> Result<(), Failure> {
        let mut first = Ok(());
        while let Some(answer) = self.outbox.next().await {
            let told = self.outbox.tell(answer, output);
            first = first.and(self.judge(told, output));
        }
        first
    }
}

/// The next line, not before the pace allows it. Waiting may be broken off.
async fn next_line(
    lines: &mut mpsc::Receiver<io::Result<Line>>,
    pace: &mut Pace,
) -> io::Result<Option<Line>> {
    pace.wait().await;
    lines.recv().await.transpose()
}

fn line_format(produce: &Produce) -> LineFormat {
    match produce.format {
        LineShape::Text => LineFormat::Text {
            key_separator: produce.key_separator.clone(),
            empty: if produce.tombstone { EmptyValue::Tombstone } else { EmptyValue::Empty },
        },
        LineShape::Json => LineFormat::Json,
    }
}

fn config(produce: &Produce) -> ProducerConfig {
    ProducerConfig {
        acks: match produce.acks {
            AcksArg::None => Acks::None,
            AcksArg::Leader => Acks::Leader,
            AcksArg::All => Acks::All,
        },
        compression: match produce.compression {
            CompressionArg::None => Compression::None,
            CompressionArg::Gzip => Compression::Gzip,
            CompressionArg::Snappy => Compression::Snappy,
            CompressionArg::Lz4 => Compression::Lz4,
            CompressionArg::Zstd => Compression::Zstd,
        },
        ..ProducerConfig::default()
    }
}
