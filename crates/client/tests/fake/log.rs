//! The log of one partition in memory, with the brokers' own rules for idempotent producers.

use bytes::Bytes;
use commit_log::{ProducerLimits, ProducerStates, Verdict};
use record::Batch;
use types::{Coded, LeaderEpoch, Offset, Reason, Timestamp};

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) batches: Vec<Batch>,
    /// First offset that readers may have.
    pub(crate) start: u64,
    producers: ProducerStates,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { producers: ProducerStates::new(ProducerLimits::default()), ..Self::default() }
    }

    pub(crate) fn end(&self) -> u64 {
        self.batches.last().map_or(0, |last| last.header().end_offset().get())
    }

    /// Appends batches, or finds them; returns where the first of them lies.
    pub(crate) fn append(&mut self, batches: Bytes) -> Result<u64, Reason> {
        let sent = Batch::split(batches, usize::MAX).unwrap();
        let headers = sent.iter().map(Batch::header);
        let (base, now) = (Offset::new(self.end()), Timestamp::from_millis(0));
        match self.producers.check(headers, base, now) {
            Ok(Verdict::New(note)) => self.producers.settle(note),
            Ok(Verdict::Duplicate { base_offset, .. }) => return Ok(base_offset.get()),
            Err(refusal) => return Err(refusal.reason()),
        };
        for sent in sent {
            let header = sent.placed_header(Offset::new(self.end()), LeaderEpoch::ZERO);
            let placed = [&header[..], &sent.body()].concat();
            self.batches.push(Batch::verify(Bytes::from(placed)).unwrap());
        }
        Ok(base.get())
    }

    /// Loses everything, and whom it came from.
    pub(crate) fn lose_all(&mut self) {
        self.batches.clear();
        self.producers.clear();
    }

    /// The values in the order of the log.
    pub(crate) fn values(&self) -> Vec<String> {
        values(&self.batches)
    }
}

/// The values in batches as they were sent.
pub(crate) fn values_of(batches: Bytes) -> Vec<String> {
    values(&Batch::split(batches, usize::MAX).unwrap())
}

fn values(batches: &[Batch]) -> Vec<String> {
    let records = batches.iter().flat_map(|batch| batch.records().unwrap());
    let value = |record: record::Record| String::from_utf8(record.value.unwrap().to_vec());
    records.map(|record| value(record.unwrap()).unwrap()).collect()
}
