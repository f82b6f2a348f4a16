use std::collections::BTreeMap;
use std::time::Duration;

use lake::commit::PartitionCommit;
use lake::{LakePath, RunId};
use types::TopicName;

use crate::quarantine::QuarantineReason;
use crate::recover::Recovered;

/// What one run over one topic did: source against loaded.
#[derive(Clone, Debug)]
pub struct Report {
    /// The topic.
    pub topic: TopicName,
    /// The run.
    pub run_id: RunId,
    /// Where the topic's rows lie.
    pub directory: LakePath,
    /// The commit it made; `None` if there was nothing new.
    pub committed: Option<Committed>,
    /// What it finished for runs before it.
    pub recovered: Recovered,
    /// Where the time went.
    pub timings: Timings,
}

/// What a commit holds.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its sequence number.
    pub seq: u64,
    /// How each partition's offsets were accounted for.
    pub partitions: Vec<PartitionCommit>,
    /// Files of rows.
    pub data_files: u64,
    /// Files of quarantined payloads.
    pub quarantine_files: u64,
    /// Directories that got files.
    pub directories: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Quarantined records, by reason.
    pub quarantined: BTreeMap<QuarantineReason, u64>,
    /// Time to read ran out: the next run goes on from there.
    pub cut_short: bool,
}

/// Sums over the partitions of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Offsets covered.
    pub offsets: u64,
    /// Records that became rows.
    pub rows: u64,
    /// Records in quarantine.
    pub quarantined: u64,
    /// Records without a value, left out.
    pub tombstones: u64,
    /// Offsets without a record.
    pub holes: u64,
    /// Offsets that retention took before they were landed.
    pub lost: u64,
}

impl Committed {
    /// The partitions, summed up. `offsets` is the sum of `rows`, `quarantined`, `tombstones` and
    /// `holes`: otherwise there would be no commit.
    pub fn totals(&self) -> Totals {
        self.partitions.iter().fold(Totals::default(), |sum, moved| Totals {
            offsets: sum.offsets + moved.offsets(),
            rows: sum.rows + moved.rows,
            quarantined: sum.quarantined + moved.quarantined,
            tombstones: sum.tombstones + moved.tombstones,
            holes: sum.holes + moved.holes,
            lost: sum.lost + moved.gap.map_or(0, |gap| gap.to.distance_from(gap.from)),
        })
    }
}

/// How long each phase of a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Finishing what earlier runs left.
    pub recover: Duration,
    /// Asking the source and planning.
    pub plan: Duration,
    /// Reading, and writing files to staging.
    pub stage: Duration,
    /// Making the commit.
    pub commit: Duration,
    /// Moving files to where readers look.
    pub publish: Duration,
    /// Deleting what is left in staging.
    pub clean: Duration,
}
