use chrono::DateTime;
use client::{Admin, LogDamage, ScrubbedDamage};
use cluster::Broker;
use serde::Serialize;
use types::{BrokerId, Timestamp, TopicPartition};

use crate::args::broker::Scrub;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Show, Table, counted};
use crate::session::Session;

/// One damaged stretch of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DamageRow {
    topic: String,
    partition: u32,
    broker: u32,
    /// The records that were there; the end is exclusive. Equal if no record is concerned.
    first_offset: u64,
    end_offset: u64,
    file: String,
    first_byte: u64,
    end_byte: u64,
    /// Times of the whole records around them, in milliseconds.
    after_ms: Option<i64>,
    before_ms: Option<i64>,
    problem: String,
    /// What to do about it.
    advice: String,
}

impl DamageRow {
    pub(crate) fn new(of: &TopicPartition, broker: BrokerId, damage: LogDamage) -> Self {
        Self {
            topic: of.topic.to_string(),
            partition: of.partition.get(),
            broker: broker.get(),
            first_offset: damage.offsets.start.get(),
            end_offset: damage.offsets.end.get(),
            file: damage.file,
            first_byte: damage.bytes.start,
            end_byte: damage.bytes.end,
            after_ms: damage.after.map(Timestamp::as_millis),
            before_ms: damage.before.map(Timestamp::as_millis),
            problem: damage.problem,
            advice: if damage.offsets.is_empty() {
                "no record is lost; it may stay as it is".to_owned()
            } else {
                format!("bring the file back from a copy, or read on at {}", damage.offsets.end)
            },
        }
    }

    fn hits_records(&self) -> bool {
        self.first_offset < self.end_offset
    }

    fn offsets(&self) -> String {
        if !self.hits_records() {
            return "none".to_owned();
        }
        format!("{}:{}", self.first_offset, self.end_offset)
    }

    fn times(&self) -> String {
        let time = |millis: Option<i64>| {
            let time = millis.and_then(DateTime::from_timestamp_millis);
            time.map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()).unwrap_or_default()
        };
        format!("{}..{}", time(self.after_ms), time(self.before_ms))
    }
}

/// What is damaged, a line each. Offsets are a range that `dohle consume -o` takes.
pub(crate) fn damage_table(rows: &[DamageRow]) -> Table {
    let mut table = Table::new([
        "topic",
        "partition",
        "broker",
        "offsets",
        "between",
        "file",
        "bytes",
        "problem",
        "what to do",
    ]);
    for row in rows {
        table.row([
            row.topic.clone(),
            row.partition.to_string(),
            row.broker.to_string(),
            row.offsets(),
            row.times(),
            row.file.clone(),
            format!("{}..{}", row.first_byte, row.end_byte),
            row.problem.clone(),
            row.advice.clone(),
        ]);
    }
    table
}

/// What scrubs of some brokers found.
#[derive(Debug, Default, Serialize)]
struct Report {
    brokers: Vec<u32>,
    segments: u64,
    bytes: u64,
    damage: Vec<DamageRow>,
    /// How much more was found.
    unlisted: u64,
}

impl Show for Report {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        let brokers: Vec<_> = self.brokers.iter().map(u32::to_string).collect();
        facts.fact("brokers", brokers.join(", "));
        facts.fact("segments", self.segments);
        facts.fact("bytes", self.bytes);
        let found = self.damage.len() as u64 + self.unlisted;
        facts.fact("damage", if found == 0 { "none".to_owned() } else { found.to_string() });
        let mut tables = vec![facts];
        if !self.damage.is_empty() {
            tables.push(damage_table(&self.damage));
        }
        tables
    }
}

/// Has brokers read their logs, one after the other, and shows what they find.
pub(super) async fn run(
    scrub: &Scrub,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let admin = session.client().await?.admin();
    let known = admin.describe_cluster().await?.brokers;
    let mut report = Report::default();
    let mut done = Ok(());
    for broker in chosen(known, &scrub.brokers)? {
        done = read(&admin, &broker, scrub, &mut report, output).await.map_err(|error| {
            Failure::from(error).within(&format!("broker {} at {}", broker.id, broker.endpoint))
        });
        if done.is_err() {
            break;
        }
    }
    if done.is_ok() || !report.damage.is_empty() {
        // What was found before it was broken off is worth knowing.
        output.show(&report)?;
    }
    done?;
    if report.damage.is_empty() && report.unlisted == 0 {
        return Ok(());
    }
    Err(damaged(&report.damage))
}

fn damaged(rows: &[DamageRow]) -> Failure {
    let failure = Failure::new(
        Exit::Other,
        "some of what is stored is damaged, all else is served; docs/damage.md says how to go on",
    );
    match rows.iter().find(|row| row.hits_records()) {
        Some(DamageRow { topic, partition, end_offset, .. }) => {
            failure.next(format!("consume {topic} -p {partition} -o {end_offset}"))
        }
        None => failure,
    }
}

/// The brokers named, or all that serve.
fn chosen(known: Vec<Broker>, named: &[u32]) -> Result<Vec<Broker>, Failure> {
    if named.is_empty() {
        return Ok(known.into_iter().filter(Broker::is_alive).collect());
    }
    let find = |id: &u32| {
        let found = known.iter().find(|broker| broker.id.get() == *id).cloned();
        let message = || format!("there is no broker {id}");
        found.ok_or_else(|| Failure::new(Exit::NotFound, message()).next("cluster info"))
    };
    named.iter().map(find).collect()
}

async fn read(
    admin: &Admin,
    broker: &Broker,
    scrub: &Scrub,
    report: &mut Report,
    output: &mut Output,
) -> Result<(), client::ClientError> {
    let mut news = admin.scrub_logs(broker, &scrub.topics, scrub.rate).await?;
    let mut last = None;
    while let Some(told) = news.next().await? {
        if last.is_none() {
            let segments = counted(told.segments, "sealed segment");
            output.note(&format!("broker {} reads {segments}, {} bytes", broker.id, told.bytes));
        }
        if let Some(ScrubbedDamage { topic_partition, damage, unlisted }) = told.found {
            for damage in damage {
                report.damage.push(DamageRow::new(&topic_partition, broker.id, damage));
            }
            report.unlisted += unlisted;
        }
        last = Some((told.segments_done, told.bytes_done));
    }
    let (segments, bytes) = last.unwrap_or_default();
    report.brokers.push(broker.id.get());
    report.segments += segments;
    report.bytes += bytes;
    Ok(())
}

#[cfg(test)]
mod tests {
    use types::{Offset, PartitionId, TopicName};

    use super::*;

    fn row(end: u64) -> DamageRow {
        let of = TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0));
        let damage = LogDamage {
            file: "/data/0.log".to_owned(),
            bytes: 70..90,
            offsets: Offset::new(3)..Offset::new(end),
            after: Some(Timestamp::from_millis(0)),
            before: None,
            problem: "rot".to_owned(),
        };
        DamageRow::new(&of, BrokerId::new(1), damage)
    }

    #[test]
    fn a_line_says_what_to_seek_when_it_was_and_what_to_do() {
        let lost = row(5);
        assert_eq!(lost.offsets(), "3:5");
        assert_eq!(lost.times(), "1970-01-01T00:00:00.000Z..");
        assert_eq!(lost.advice, "bring the file back from a copy, or read on at 5");
        assert_eq!(row(3).offsets(), "none");
        assert_eq!(row(3).advice, "no record is lost; it may stay as it is");
    }

    #[test]
    fn the_next_command_reads_on_behind_the_first_loss() {
        let next = |rows: &[DamageRow]| match damaged(rows) {
            Failure::Error { next, .. } => next,
            Failure::Told(_) => None,
        };
        assert_eq!(next(&[row(3), row(5)]).as_deref(), Some("consume t -p 0 -o 5"));
        assert_eq!(next(&[row(3)]), None);
    }
}
