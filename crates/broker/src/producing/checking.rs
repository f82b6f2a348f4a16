//! Checking what producers send, without keeping a runtime's thread from everyone else.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use record::{Batch, BatchHeader, Compression, RecordError};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Packed bytes that are unpacked on the spot: some tenth of a millisecond of work. A hop to
/// another thread costs a tenth of that.
const MAX_PACKED: usize = 16 * 1024;
/// Bytes that are checked on the spot while none are packed: less than a millisecond of work.
const MAX_PLAIN: usize = 4 * 1024 * 1024;

/// The check of every batch that a client sends.
#[derive(Clone, Debug)]
pub(super) struct Checking {
    /// One permit for each processor: more at once would only take more memory, of which an
    /// unpacking may hold a window of 128 MiB.
    laborious: Arc<Semaphore>,
}

/// The broker is going away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interrupted;

impl Checking {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZeroUsize::get);
        Self { laborious: Arc::new(Semaphore::new(processors)) }
    }

    #[cfg(test)]
    pub(super) const fn processors(&self) -> &Arc<Semaphore> {
        &self.laborious
    }

    /// What [`Batch::split`] says of `bytes`.
    pub(super) async fn split(
        &self,
        bytes: Bytes,
        max_batch_bytes: usize,
    ) -> Result<Result<Vec<Batch>, RecordError>, Interrupted> {
        if !is_laborious(&bytes) {
            return Ok(Batch::split(bytes, max_batch_bytes));
        }
        let laborious = Arc::clone(&self.laborious);
        let permit = laborious.acquire_owned().await.map_err(|_closed| Interrupted)?;
        let split = spawn_blocking(move || {
            let split = Batch::split(bytes, max_batch_bytes);
            // Only now: a caller that gave up does not make room for another.
            drop(permit);
            split
        });
        split.await.map_err(|_interrupted| Interrupted)
    }
}

/// Whether a check of these bytes takes so long that others would notice.
fn is_laborious(bytes: &[u8]) -> bool {
    MAX_PLAIN < bytes.len() || MAX_PACKED < bytes.len() && is_packed(bytes)
}

/// Whether any of the batches is packed, as far as they are batches.
fn is_packed(mut rest: &[u8]) -> bool {
    while let Ok(header) = BatchHeader::parse(rest) {
        if header.compression != Compression::None {
            return true;
        }
        rest = rest.get(header.total_len()..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use record::BatchBuilder;
    use types::{Coded, Reason, Timestamp};

    use super::*;

    /// A batch whose packed size is about that of its value.
    fn batch(codec: Compression, bytes: usize) -> Bytes {
        let noise = |at: u64| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).to_le_bytes();
        let value: Vec<u8> = (0..).flat_map(|at| noise(at * at)).take(bytes).collect();
        let mut builder = BatchBuilder::new(codec);
        builder.push(Timestamp::from_millis(1), None, Some(&value), &[]).unwrap();
        builder.build().unwrap().bytes().clone()
    }

    #[test]
    fn only_what_takes_long_leaves_its_thread() {
        assert!(!is_laborious(&batch(Compression::None, MAX_PACKED * 2)));
        assert!(!is_laborious(&batch(Compression::Zstd, MAX_PACKED / 2)));
        assert!(is_laborious(&batch(Compression::Zstd, MAX_PACKED * 2)));
        let plain_first = [batch(Compression::None, 9), batch(Compression::Lz4, MAX_PACKED * 2)];
        assert!(is_laborious(&plain_first.concat()));
        assert!(is_laborious(&vec![0; MAX_PLAIN + 1]));
    }

    #[tokio::test]
    async fn the_verdict_is_the_same_on_any_thread() {
        let checking = Checking::new();
        for codec in Compression::ALL {
            for bytes in [100, MAX_PACKED * 2] {
                let sent = batch(*codec, bytes);
                let split = checking.split(sent.clone(), sent.len()).await.unwrap();
                assert_eq!(split, Batch::split(sent.clone(), sent.len()), "{codec}");
                let too_large = checking.split(sent.clone(), sent.len() - 1).await.unwrap();
                assert_eq!(too_large.unwrap_err().reason(), Reason::MessageTooLarge, "{codec}");
            }
        }
    }
}
