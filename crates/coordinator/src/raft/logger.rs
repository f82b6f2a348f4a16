use slog::{Drain, Level, Logger, Never, OwnedKVList, Record, o};
use tracing::{debug, error, info, trace, warn};

/// raft speaks slog; this hands what it says to tracing.
pub(super) fn logger() -> Logger {
    Logger::root(Tracing, o!())
}

struct Tracing;

impl Drain for Tracing {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _context: &OwnedKVList) -> Result<(), Never> {
        let said = record.msg();
        match record.level() {
            Level::Critical | Level::Error => error!(target: "raft", %said, "raft"),
            Level::Warning => warn!(target: "raft", %said, "raft"),
            Level::Info => info!(target: "raft", %said, "raft"),
            Level::Debug => debug!(target: "raft", %said, "raft"),
            Level::Trace => trace!(target: "raft", %said, "raft"),
        }
        Ok(())
    }
}
