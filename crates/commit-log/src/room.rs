use crate::config::LogOwner;
use crate::directory::AppendAt;
use crate::error::{AppendError, LogError};

/// How much room the disk has, as whoever looks after it judges.
///
/// What is in a log already is told to its producer whatever the room, and what was journalled is
/// replayed: neither needs any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    #[default]
    Ample,
    /// Too little for records of clients: they are refused, so that there is room for what others
    /// wait for. Taken are copies of what another replica has, or this one would fall out of sync,
    /// and [what the platform itself needs](LogOwner::Platform).
    Low {
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to be for records to be taken.
        needed: u64,
    },
    /// Too little for anything but deleting: no records are taken, and no logs are made.
    Critical {
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to be for records to be taken.
        needed: u64,
    },
}

impl Room {
    /// Whether records are taken at `at` in a log of `owner`.
    pub(crate) const fn for_records(
        self,
        at: AppendAt,
        owner: LogOwner,
    ) -> Result<(), AppendError> {
        match (self, at, owner) {
            (Self::Ample, _, _)
            | (Self::Low { .. }, AppendAt::Exactly(_), _)
            | (Self::Low { .. }, _, LogOwner::Platform) => Ok(()),
            (Self::Low { free, needed }, AppendAt::End, LogOwner::Clients)
            | (Self::Critical { free, needed }, _, _) => {
                Err(AppendError::LowSpace { free, needed })
            }
        }
    }

    pub(crate) const fn for_logs(self) -> Result<(), LogError> {
        match self {
            Self::Ample | Self::Low { .. } => Ok(()),
            Self::Critical { free, needed } => Err(LogError::LowSpace { free, needed }),
        }
    }
}
