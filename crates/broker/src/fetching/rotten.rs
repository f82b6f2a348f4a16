use bytes::Bytes;
use commit_log::scrub::Finding;
use record::{Batch, BatchHeader};
use types::Offset;
use wire::bounds::Held;

use super::{FetchError, Fetching, end_of};
use crate::partition::Partition;
use crate::scrubbing::KnownLog;

impl Fetching {
    /// What was read, up to the first batch that a scrub found damaged and that is damaged still.
    ///
    /// A finding is no reason to refuse: the file may have been brought back since, or the disk have
    /// failed but once. It is a reason to compute the checksum, which a broker does not for others.
    pub(super) fn without_rot(
        &self,
        partition: &Partition,
        from: Offset,
        read: Option<(Bytes, Held)>,
    ) -> Result<Option<(Bytes, Held)>, FetchError> {
        if self.scrubs.known().of(partition.key()).is_none_or(KnownLog::is_sound) {
            return Ok(read);
        }
        let Some((batches, held)) = read else { return Ok(None) };
        // Bytes that are no batches are told by whoever looks for their end.
        let end = end_of(&batches).ok().flatten().unwrap_or(from);
        let losses = self.scrubs.known().losses(partition.key(), from..end);
        match first_rotten(&batches, &losses) {
            None => Ok(Some((batches, held))),
            Some((0, loss)) => {
                let (file, at) = (loss.file.display(), loss.bytes.start);
                Err(FetchError::Lost {
                    partition: partition.name().clone(),
                    offsets: loss.offsets.clone(),
                    what: format!("{file} at byte {at}: {}", loss.kind),
                })
            }
            // The next fetch comes upon it first. The memory is held whole until then.
            Some((position, _loss)) => Ok(Some((batches.slice(..position), held))),
        }
    }
}

/// Where the first of these batches lies that is not whole, of those that hold records of `losses`;
/// and of which loss.
fn first_rotten<'a>(batches: &Bytes, losses: &'a [Finding]) -> Option<(usize, &'a Finding)> {
    let mut position = 0;
    while !losses.is_empty()
        && let Some(rest) = batches.get(position..).filter(|rest| !rest.is_empty())
        && let Ok(header) = BatchHeader::parse(rest)
    {
        let (first, behind) = (header.base_offset, header.end_offset());
        let end = position.saturating_add(header.total_len()).min(batches.len());
        let mut losses = losses.iter();
        let loss = losses.find(|loss| first < loss.offsets.end && loss.offsets.start < behind);
        if let Some(loss) = loss
            && Batch::verify(batches.slice(position..end)).is_err()
        {
            return Some((position, loss));
        }
        position = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use commit_log::scrub::FindingKind;

    use super::*;
    use crate::led_partition::{EPOCH, batch};

    /// A batch of one record at each of the offsets 0, 1 and 2.
    fn three() -> [Vec<u8>; 3] {
        let whole = batch("a");
        [0, 1, 2].map(|base| {
            let header = whole.placed_header(Offset::new(base), EPOCH);
            [&header[..], &whole.body()].concat()
        })
    }

    fn loss(start: u64, end: u64) -> Finding {
        Finding {
            file: PathBuf::from("/data/0.log"),
            bytes: 0..1,
            offsets: Offset::new(start)..Offset::new(end),
            after: None,
            before: None,
            kind: FindingKind::Missing,
        }
    }

    #[track_caller]
    fn check(rotten: &[usize], losses: &[Finding], expected: Option<(usize, &Finding)>) {
        let mut batches = three();
        for number in rotten {
            *batches[*number].last_mut().unwrap() ^= 1;
        }
        let expected = expected.map(|(number, loss)| (number * batches[0].len(), loss));
        assert_eq!(first_rotten(&Bytes::from(batches.concat()), losses), expected);
    }

    #[test]
    fn a_batch_that_a_scrub_found_damaged_is_given_to_nobody() {
        let losses = [loss(1, 2), loss(2, 3)];
        check(&[1, 2], &losses, Some((1, &losses[0])));
        check(&[2], &losses, Some((2, &losses[1])));
    }

    #[test]
    fn a_batch_that_is_whole_again_is_given() {
        check(&[], &[loss(0, 3)], None);
        let losses = [loss(0, 2)];
        check(&[1], &losses, Some((1, &losses[0])));
    }

    #[test]
    fn what_no_scrub_found_is_left_to_the_reader() {
        check(&[0], &[], None);
        check(&[0], &[loss(1, 2)], None);
    }
}
