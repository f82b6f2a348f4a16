use disk::{Disk, is_out_of_space, replace_atomically};
use types::Timestamp;

use super::{Log, SegmentStage};
use crate::error::{Action, StorageFault};
use crate::index::{self, Seal};
use crate::meta::Meta;

impl<D: Disk> Log<D> {
    /// Closes a segment that is old enough, makes everything durable, seals what is closed, and
    /// moves the recovery point up: recovery then has little to scan.
    pub(crate) fn upkeep(&mut self, now: Timestamp) -> Result<(), StorageFault> {
        if self.segments.last().is_some_and(|last| last.is_due(&self.config, now)) {
            self.roll();
        }
        self.settle()
    }

    /// As [`Log::upkeep`], whatever the time.
    pub(crate) fn settle(&mut self) -> Result<(), StorageFault> {
        self.sync()?;
        self.seal()?;
        let meta = self.meta.current();
        if meta.recovery_point < self.durable_end {
            let recovery_point = self.durable_end;
            self.meta.write(&self.folder, Meta { recovery_point, ..meta })?;
        }
        Ok(())
    }

    /// Stores the indexes of closed segments. Recovery believes a segment that has one, so the
    /// segments must be durable.
    fn seal(&mut self) -> Result<(), StorageFault> {
        let log_id = self.id();
        let closed =
            self.segments.iter_mut().filter(|tracked| tracked.stage == SegmentStage::Closed);
        for tracked in closed {
            let piece = &tracked.piece;
            let seal =
                Seal { log_id, segment_len: piece.len, end: piece.end, newest: piece.newest };
            let bytes = piece.segment.with_index(|index| index::encode(index, seal))?;
            let path = piece.segment.index_path();
            replace_atomically(&self.disk, &path, &bytes).map_err(|source| {
                // Which step it was is not told; all but a full disk may have been the sync.
                let action = if is_out_of_space(&source) { Action::Write } else { Action::Sync };
                action.failed(&path)(source)
            })?;
            piece.segment.release_index();
            tracked.stage = SegmentStage::Sealed;
        }
        Ok(())
    }
}
