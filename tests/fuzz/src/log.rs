//! Reading a log from its start to its end, as a consumer does who goes on behind what is damaged.

use std::ops::Range;

use commit_log::{LogReader, ReadError};
use disk::Disk;
use record::{Batch, Batches};
use types::Offset;

/// What a log gave.
#[derive(Debug, Default)]
pub struct Walk {
    /// Whole batches; the first may begin before the log's start.
    pub batches: Vec<Batch>,
    /// What lies between them and was said to be damaged.
    pub lost: Vec<Range<Offset>>,
}

/// Reads it at most `max_bytes` at a time. Every answer is held against the promises of
/// [`LogReader::read`]: whole batches, the first of which holds the offset asked for, each one
/// beginning where the one before ended, in epochs that never fall; or which offsets are lost.
pub fn walk<D: Disk>(reader: &LogReader<D>, max_bytes: usize) -> Walk {
    let mut walk = Walk::default();
    let mut at = reader.log_start();
    while at < reader.end() {
        at = match reader.read(at, max_bytes, Offset::MAX) {
            Ok(bytes) => {
                assert!(!bytes.is_empty(), "nothing at {at}, before the end");
                walk.take(Batches::new(bytes), at)
            }
            Err(ReadError::Damaged { lost, .. }) => {
                assert!(lost.contains(&at), "asked for {at}, told of {lost:?}");
                let end = lost.end;
                walk.lost.push(lost);
                end
            }
            Err(error) => panic!("the disk works, and yet: {error:?}"),
        }
    }
    assert!(at <= reader.end(), "{at} is behind the end");
    walk
}

impl Walk {
    /// Takes in an answer that begins at `at`; returns where to go on.
    fn take(&mut self, answer: Batches, mut at: Offset) -> Offset {
        for batch in answer {
            let Ok(batch) = batch else {
                // Its checksum is for whoever reads it. The next read tells how far it went.
                let behind = Offset::new(at.get() + 1);
                self.lost.push(at..behind);
                return behind;
            };
            let (base, end) = (batch.header().base_offset, batch.header().end_offset());
            let is_first = self.batches.is_empty() && self.lost.is_empty();
            assert!(base == at || (is_first && base < at && at < end), "{base} to {end} at {at}");
            if let Some(before) = self.batches.last() {
                assert!(before.header().leader_epoch <= batch.header().leader_epoch);
            }
            self.batches.push(batch);
            at = end;
        }
        at
    }
}
