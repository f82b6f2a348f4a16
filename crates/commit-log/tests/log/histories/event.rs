use std::num::NonZeroUsize;

use commit_log::{JournalConfig, Room, UpkeepScope, WriteBufferConfig};
use disk::Operation;
use proptest::prelude::*;
use types::Durability;

use super::LOGS;

const LOW: Room = Room::Low { free: 0, needed: 1 };
const CRITICAL: Room = Room::Critical { free: 0, needed: 1 };

/// One thing that happens. Positions are fractions of what is there, in 256ths.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// One group commit: for each log, how many records in how many batches.
    Step {
        batches: [Vec<u8>; LOGS],
        new_epoch: bool,
    },
    Truncate {
        log: usize,
        to: u8,
    },
    Reset {
        log: usize,
        to: u8,
    },
    Advance {
        log: usize,
        to: u8,
    },
    Roll {
        log: usize,
    },
    Switch {
        log: usize,
        durability: Durability,
    },
    Upkeep {
        later_ms: u16,
    },
    /// A round of upkeep begins, to be run and finished by later events.
    BeginUpkeep {
        scope: UpkeepScope,
    },
    RunUpkeep,
    FinishUpkeep,
    /// Logs are deleted, together, and made again.
    Recreate {
        logs: Vec<usize>,
    },
    Read {
        log: usize,
        from: u8,
        max_bytes: u16,
    },
    Full {
        room: Option<u8>,
    },
    /// A producer sends one of its last batches again.
    Again {
        log: usize,
        producer: usize,
        back: usize,
    },
    /// How much room there is said to be.
    Room(Room),
    /// The ballast is made, or given up.
    Ballast {
        is_kept: bool,
    },
    Kill,
    LosePower,
    /// The next loss of power is followed by another, during the recovery, after so many operations.
    LosePowerTwice {
        operations: u8,
    },
    /// Of the syncs to come, after so many others, one fails. Then the machine goes on, or loses power
    /// as well, and the directory is trusted.
    FailSync {
        operation: Operation,
        after: u8,
        loses_power: bool,
    },
    /// Power is lost after so many operations.
    CutPowerAfter {
        operations: u8,
    },
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let log = 0..LOGS;
    let durability = prop_oneof![Just(Durability::Fsync), Just(Durability::PageCache)];
    let batches = || prop::collection::vec(1_u8..4, 0..4);
    prop_oneof![
        10 => (batches(), batches(), any::<bool>()).prop_map(|(one, other, new_epoch)|
            Event::Step { batches: [one, other], new_epoch }),
        2 => (log.clone(), any::<u8>()).prop_map(|(log, to)| Event::Truncate { log, to }),
        1 => (log.clone(), any::<u8>()).prop_map(|(log, to)| Event::Reset { log, to }),
        2 => (log.clone(), any::<u8>()).prop_map(|(log, to)| Event::Advance { log, to }),
        1 => log.clone().prop_map(|log| Event::Roll { log }),
        1 => (log.clone(), durability).prop_map(|(log, durability)|
            Event::Switch { log, durability }),
        2 => (0_u16..700).prop_map(|later_ms| Event::Upkeep { later_ms }),
        1 => prop::collection::btree_set(log.clone(), 1..=LOGS)
            .prop_map(|logs| Event::Recreate { logs: logs.into_iter().collect() }),
        2 => prop_oneof![Just(UpkeepScope::Everything), Just(UpkeepScope::Journal)]
            .prop_map(|scope| Event::BeginUpkeep { scope }),
        2 => Just(Event::RunUpkeep),
        2 => Just(Event::FinishUpkeep),
        3 => (log.clone(), any::<u8>(), 0_u16..600).prop_map(|(log, from, max_bytes)|
            Event::Read { log, from, max_bytes }),
        3 => (log, 0_usize..2, 0_usize..6).prop_map(|(log, producer, back)|
            Event::Again { log, producer, back }),
        2 => prop::option::of(any::<u8>()).prop_map(|room| Event::Full { room }),
        1 => prop_oneof![2 => Just(Room::Ample), 1 => Just(LOW), 1 => Just(CRITICAL)]
            .prop_map(Event::Room),
        1 => any::<bool>().prop_map(|is_kept| Event::Ballast { is_kept }),
        1 => Just(Event::Kill),
        2 => Just(Event::LosePower),
        2 => (0_u8..60).prop_map(|operations| Event::LosePowerTwice { operations }),
        2 => (0_u8..30).prop_map(|operations| Event::CutPowerAfter { operations }),
        1 => (prop_oneof![Just(Operation::SyncData), Just(Operation::SyncDir)], 0_u8..8, any::<bool>())
            .prop_map(|(operation, after, loses_power)|
                Event::FailSync { operation, after, loses_power }),
    ]
}

/// How the journal is set up; `None` for none.
pub(super) fn journal() -> impl Strategy<Value = Option<JournalConfig>> {
    let buffers = (0_usize..800, 0_usize..2000);
    let config = (2_usize..5, 200_u64..1500, 100_u64..600, 1_usize..3, buffers);
    prop::option::weighted(
        0.8,
        config.prop_map(|(files, file_bytes, large_append_bytes, few_logs, (log_bytes, bytes))| {
            JournalConfig {
                files: NonZeroUsize::new(files).unwrap(),
                file_bytes,
                large_append_bytes,
                few_logs: NonZeroUsize::new(few_logs).unwrap(),
                write_buffers: WriteBufferConfig { log_bytes, bytes },
            }
        }),
    )
}
