use thiserror::Error;

use super::container::{MAGIC, SyncMarker};
use super::take_long;

/// The longest header that is read: schemas are at most a few hundred kilobytes.
const MAX_HEADER: usize = 16 * 1024 * 1024;

/// Counts the rows of a container file from its bytes, in pieces of any size.
///
/// It reads the framing only. A file that is cut at a block boundary is a valid container of fewer
/// rows, which no reader can tell: compare the count with the commit record's.
#[derive(Debug)]
pub struct ContainerScan {
    state: State,
    /// Bytes that the next step cannot do without the ones after them.
    pending: Vec<u8>,
    /// Rows announced so far.
    rows: u64,
    /// Of these, rows of the block that has not ended yet.
    in_block: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    BlockHead(SyncMarker),
    BlockData { left: u64, sync: SyncMarker },
    BlockEnd(SyncMarker),
}

/// Why bytes are no container file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidContainer {
    /// The file does not begin as a container file does.
    #[error("the file does not begin with an Avro header")]
    Header,
    /// A block's count or size cannot be.
    #[error("a block after row {rows} has an impossible count or size")]
    Block {
        /// Rows before it.
        rows: u64,
    },
    /// A block does not end with the file's marker.
    #[error("the block that ends at row {rows} is not followed by the file's sync marker")]
    Marker {
        /// Rows up to and including the block.
        rows: u64,
    },
    /// The file ends within its header or within a block.
    #[error("the file ends within a block, after row {rows}")]
    CutOff {
        /// Rows in whole blocks.
        rows: u64,
    },
}

impl ContainerScan {
    /// A scan at the file's first byte.
    pub fn new() -> Self {
        Self { state: State::Header, pending: Vec::new(), rows: 0, in_block: 0 }
    }

    /// Reads the next bytes of the file.
    ///
    /// # Errors
    ///
    /// [`InvalidContainer`] as soon as the bytes cannot be those of a container file.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), InvalidContainer> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut rest = pending.as_slice();
        while let Some((state, after)) = self.step(rest)? {
            (self.state, rest) = (state, after);
        }
        self.pending = rest.to_vec();
        Ok(())
    }

    /// The rows of the file, once all its bytes were fed.
    ///
    /// # Errors
    ///
    /// [`InvalidContainer::CutOff`] when it ends within a header or block.
    pub fn finish(self) -> Result<u64, InvalidContainer> {
        let whole = matches!(self.state, State::BlockHead(_)) && self.pending.is_empty();
        if whole {
            Ok(self.rows)
        } else {
            Err(InvalidContainer::CutOff { rows: self.rows - self.in_block })
        }
    }

    /// The next state and the bytes after this one; `None` if more are needed.
    fn step<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<(State, &'b [u8])>, InvalidContainer> {
        Ok(match self.state {
            State::Header => match header(bytes)? {
                Some((sync, rest)) => Some((State::BlockHead(sync), rest)),
                None => None,
            },
            State::BlockHead(sync) => {
                let Some((count, size, rest)) = block_head(bytes) else {
                    let impossible = InvalidContainer::Block { rows: self.rows };
                    return if bytes.len() < 20 { Ok(None) } else { Err(impossible) };
                };
                let (Ok(count), Ok(left)) = (u64::try_from(count), u64::try_from(size)) else {
                    return Err(InvalidContainer::Block { rows: self.rows });
                };
                self.rows = self.rows.saturating_add(count);
                self.in_block = count;
                Some((State::BlockData { left, sync }, rest))
            }
            State::BlockData { left: 0, sync } => Some((State::BlockEnd(sync), bytes)),
            State::BlockData { left, sync } => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let Some((skipped, rest)) = bytes.split_at_checked(here) else { return Ok(None) };
                let left = left.saturating_sub(u64::try_from(skipped.len()).unwrap_or(u64::MAX));
                (!skipped.is_empty()).then_some((State::BlockData { left, sync }, rest))
            }
            State::BlockEnd(sync) => match bytes.split_first_chunk() {
                Some((found, rest)) if found == sync.as_bytes() => {
                    self.in_block = 0;
                    Some((State::BlockHead(sync), rest))
                }
                Some(_) => return Err(InvalidContainer::Marker { rows: self.rows }),
                None => None,
            },
        })
    }
}

impl Default for ContainerScan {
    fn default() -> Self {
        Self::new()
    }
}

fn block_head(bytes: &[u8]) -> Option<(i64, i64, &[u8])> {
    let (count, rest) = take_long(bytes)?;
    let (size, rest) = take_long(rest)?;
    Some((count, size, rest))
}

/// The marker and what follows the header; `None` if more bytes are needed.
fn header(bytes: &[u8]) -> Result<Option<(SyncMarker, &[u8])>, InvalidContainer> {
    let (magic, _) = bytes.split_at_checked(MAGIC.len()).unwrap_or((bytes, &[]));
    if !MAGIC.starts_with(magic) || MAX_HEADER < bytes.len() {
        return Err(InvalidContainer::Header);
    }
    Ok(whole_header(bytes))
}

fn whole_header(bytes: &[u8]) -> Option<(SyncMarker, &[u8])> {
    let (_magic, mut rest) = bytes.split_at_checked(MAGIC.len())?;
    loop {
        let (count, after) = take_long(rest)?;
        rest = after;
        if count == 0 {
            let (sync, after) = rest.split_first_chunk()?;
            return Some((SyncMarker::from_bytes(*sync), after));
        }
        if count < 0 {
            (_, rest) = take_long(rest)?;
        }
        for _ in 0..count.unsigned_abs() {
            rest = skip_sized(skip_sized(rest)?)?;
        }
    }
}

fn skip_sized(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = take_long(bytes)?;
    rest.get(usize::try_from(length).ok()?..)
}

#[cfg(test)]
mod tests;
