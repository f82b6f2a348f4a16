use std::sync::Arc;

use disk::Disk;
use types::{LogId, Timestamp};

use super::producers::Snapshot;
use super::{Folder, Log, SegmentStage};
use crate::checkpoint::RecoveryPoint;
use crate::duty::Background;
use crate::error::StorageFault;
use crate::index::Seal;
use crate::name::LogKey;
use crate::room::Room;
use crate::segment::Segment;

/// What is to be done for one log, by any thread, while its writer goes on.
#[derive(Debug)]
pub(crate) struct LogUpkeep<D: Disk> {
    log: LogKey,
    id: LogId,
    point: RecoveryPoint,
    /// Oldest first, and how many changes of each this covers.
    unsynced: Vec<(Arc<Segment<D>>, u64)>,
    names: Option<(Arc<Folder>, u64)>,
    /// To be given their indexes once they are synced.
    closed: Vec<(Arc<Segment<D>>, Seal)>,
    /// What was known of producers before a segment, to be stored once all of it is synced.
    snapshots: Vec<(Arc<Segment<D>>, Snapshot)>,
}

/// What was done for one log.
#[derive(Debug)]
pub(crate) struct LogUpkept<D: Disk> {
    pub(crate) log: LogKey,
    pub(crate) id: LogId,
    /// How far its files are synced now; `None` if not all that was asked for was there to sync.
    pub(crate) point: Option<RecoveryPoint>,
    cuts: u64,
    synced: Vec<(Arc<Segment<D>>, u64)>,
    names: Option<u64>,
    sealed: Vec<Arc<Segment<D>>>,
    remembered: Vec<Arc<Segment<D>>>,
    /// Why not all of it was done.
    pub(crate) fault: Option<StorageFault>,
}

impl<D: Disk> LogUpkeep<D> {
    /// Makes durable what the log held when this was asked for, then stores indexes.
    pub(crate) fn run(mut self, disk: &D) -> LogUpkept<D> {
        let mut done = LogUpkept {
            log: self.log,
            id: self.id,
            point: None,
            cuts: self.point.cuts,
            synced: Vec::new(),
            names: None,
            sealed: Vec::new(),
            remembered: Vec::new(),
            fault: None,
        };
        match self.sync(disk, &mut done) {
            Ok(Background::Done) => {
                done.point = Some(self.point);
                done.fault = self.store(&mut done).err();
            }
            Ok(Background::Retired) => {}
            Err(fault) => done.fault = Some(fault),
        }
        done
    }

    fn sync(&mut self, disk: &D, done: &mut LogUpkept<D>) -> Result<Background, StorageFault> {
        for (segment, covered) in self.unsynced.drain(..) {
            if segment.sync_in_background()? == Background::Retired {
                return Ok(Background::Retired);
            }
            done.synced.push((segment, covered));
        }
        if let Some((folder, covered)) = &self.names {
            if folder.sync_in_background(disk)? == Background::Retired {
                return Ok(Background::Retired);
            }
            done.names = Some(*covered);
        }
        Ok(Background::Done)
    }

    fn store(&mut self, done: &mut LogUpkept<D>) -> Result<(), StorageFault> {
        for (segment, snapshot) in self.snapshots.drain(..) {
            if segment.store_snapshot(&snapshot)? == Background::Done {
                done.remembered.push(segment);
            }
        }
        for (segment, seal) in self.closed.drain(..) {
            if segment.store_index_in_background(seal)? == Background::Done {
                done.sealed.push(segment);
            }
        }
        Ok(())
    }
}

impl<D: Disk> Log<D> {
    /// Closes a segment that is old enough, and forgets producers that have been idle for long, as
    /// well as the memory for appends to a log that is.
    pub(crate) fn age(&mut self, now: Timestamp) {
        self.producers.expire(now);
        if let Some(last) = self.segments.last() {
            last.piece.segment.file().release_unused();
        }
        if self.segments.last().is_some_and(|last| last.is_due(&self.config, now)) {
            self.roll();
        }
    }

    /// How far the files are synced.
    pub(crate) fn point(&self) -> RecoveryPoint {
        RecoveryPoint { cuts: self.meta.current().cuts, end: self.synced_end }
    }

    /// What has to be done so that recovery has little to scan and the journal nothing to keep of
    /// this log; `None` if that is so already. What is known of producers waits in memory while there is
    /// no room: it is needed once records are deleted, which then stores it, and no round may have
    /// used up what there is for that.
    pub(crate) fn upkeep(&self, room: Room) -> Option<LogUpkeep<D>> {
        let dirty = self.segments.iter().filter(|tracked| !tracked.changes.are_synced());
        let unsynced: Vec<_> = dirty
            .map(|tracked| (Arc::clone(&tracked.piece.segment), tracked.changes.so_far()))
            .collect();
        let names =
            (!self.names.are_synced()).then(|| (Arc::clone(&self.folder), self.names.so_far()));
        let id = self.id();
        let closed = self.segments.iter().filter(|tracked| tracked.stage == SegmentStage::Closed);
        let closed: Vec<_> = closed
            .map(|tracked| {
                let piece = &tracked.piece;
                let seal = Seal {
                    log_id: id,
                    segment_len: piece.len,
                    end: piece.end,
                    newest: piece.newest,
                    written: piece.written,
                };
                (Arc::clone(&piece.segment), seal)
            })
            .collect();
        let has_room = !matches!(room, Room::Critical { .. });
        let snapshots: Vec<_> = (self.segments.iter())
            .filter_map(|tracked| {
                let snapshot = tracked.snapshot.as_ref().filter(|_| has_room)?;
                Some((Arc::clone(&tracked.piece.segment), Arc::clone(snapshot)))
            })
            .collect();
        let nothing_to_store = closed.is_empty() && snapshots.is_empty();
        if unsynced.is_empty() && names.is_none() && nothing_to_store {
            return None;
        }
        let point = RecoveryPoint { end: self.end, ..self.point() };
        Some(LogUpkeep { log: self.key, id, point, unsynced, names, closed, snapshots })
    }

    /// Takes note of what was done. Nothing of it is believed of a log that was cut since, or of
    /// another life.
    pub(crate) fn upkept(&mut self, done: &LogUpkept<D>) {
        if done.id != self.id() || done.cuts != self.meta.current().cuts {
            return;
        }
        let same = |segment: &Arc<Segment<D>>, other: &Arc<Segment<D>>| Arc::ptr_eq(segment, other);
        for tracked in &mut self.segments {
            let segment = &tracked.piece.segment;
            if let Some((_, covered)) = done.synced.iter().find(|(other, _)| same(segment, other)) {
                tracked.changes.synced(*covered);
            }
            if done.sealed.iter().any(|other| same(segment, other)) {
                segment.release_index();
                tracked.stage = SegmentStage::Sealed;
            }
            if done.remembered.iter().any(|other| same(segment, other)) {
                tracked.snapshot = None;
            }
        }
        if let Some(covered) = done.names {
            self.names.synced(covered);
        }
        if let Some(point) = done.point {
            self.synced_end = self.synced_end.max(point.end);
            self.durable_end = self.durable_end.max(self.synced_end);
            self.publish();
        }
    }
}
