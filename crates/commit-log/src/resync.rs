//! The way back into a segment behind bytes that are not the batch that belongs there.
//!
//! Damage is confined: what lies behind it is found again, so that one bad byte costs one batch and
//! not the rest of the segment. Nothing is found by looks alone. Payloads are anybody's bytes and may
//! hold whole batches, so that a place counts only if the headers from there on lead, one by one, to
//! a place that is known otherwise: an entry of the index, or the segment's end. Where several
//! batches between two such places do not tell where they end, what lies between them is given up,
//! too: better that than to take a payload for records.

use disk::DiskFile;
use record::BatchHeader;
use types::Offset;

use crate::name::SegmentName;
use crate::scan::{Window, check_header};

/// Where a batch begins, or would: its first byte and its first offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) offset: Offset,
}

/// Batches that lead one to the other for so long are believed without a known place at their end:
/// an index that is damaged too knows none. More than lie between two of its entries.
const LONG_CHAIN: usize = 256;

/// A segment in which the way is sought.
#[derive(Debug)]
pub(crate) struct Resync<'a, F> {
    pub(crate) file: &'a F,
    pub(crate) name: SegmentName,
    /// Bytes of the segment.
    pub(crate) len: u64,
}

impl<F: DiskFile> Resync<'_, F> {
    /// Where to go on behind `bad`, at which no whole batch of that offset lies: at `known` at the
    /// latest, a place behind it where one begins. What lies between is lost.
    ///
    /// What cannot be read on the way holds no batch.
    pub(crate) fn way_back(&self, bad: Place, known: Place) -> Place {
        self.behind_its_length(bad, known).or_else(|| self.search(bad, known)).unwrap_or(known)
    }

    /// Where the batch says it ends, if a batch begins there with the offset that follows: then only
    /// its body is damaged, or a field that tells neither.
    fn behind_its_length(&self, bad: Place, known: Place) -> Option<Place> {
        let mut window = self.window();
        let bytes = window.get(bad.position, record::HEADER_LEN).ok()?;
        let header = BatchHeader::parse(&bytes).ok()?;
        let records = u64::from(header.last_offset_delta) + 1;
        let behind = Place {
            position: bad.position.checked_add(header.total_len() as u64)?,
            offset: bad.offset.checked_add(records)?,
        };
        if behind == known {
            return Some(known);
        }
        let fits = behind.position < known.position && behind.offset < known.offset;
        (fits && self.is_whole(behind)).then_some(behind)
    }

    /// Whether a whole batch lies at `place`.
    pub(crate) fn is_whole(&self, place: Place) -> bool {
        let mut window = self.window();
        let header = window.header(self.name, place.position, Some(place.offset));
        let Ok(Some(Ok(header))) = header else { return false };
        matches!(window.check_sum(place.position, &header), Ok(Ok(())))
    }

    /// The first whole batch behind `bad` from which headers lead to `known`.
    fn search(&self, bad: Place, known: Place) -> Option<Place> {
        let mut window = self.window();
        let mut probe = self.window();
        let mut position = bad.position.checked_add(1)?;
        while position < known.position {
            let bytes = window.get(position, record::HEADER_LEN).ok()?;
            if let Ok(header) = check_header(self.name, &bytes, None, u64::MAX)
                && (bad.offset..known.offset).contains(&header.base_offset)
            {
                let place = Place { position, offset: header.base_offset };
                if self.leads_to(&mut probe, place, known) && self.is_whole(place) {
                    return Some(place);
                }
            }
            position += 1;
        }
        None
    }

    fn leads_to(&self, window: &mut Window<'_, F>, mut place: Place, known: Place) -> bool {
        for _ in 0..LONG_CHAIN {
            if place == known {
                return true;
            }
            match self.behind(window, place) {
                Some(behind) => place = behind,
                None => return false,
            }
        }
        true
    }

    /// The place behind the batch at `place`, as its header tells it.
    fn behind(&self, window: &mut Window<'_, F>, place: Place) -> Option<Place> {
        let header = window.header(self.name, place.position, Some(place.offset)).ok()??.ok()?;
        let position = place.position.checked_add(header.total_len() as u64)?;
        Some(Place { position, offset: header.end_offset() })
    }

    fn window(&self) -> Window<'_, F> {
        Window::new(self.file, self.len)
    }
}
