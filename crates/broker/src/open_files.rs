//! Connections and segments share one limit of the system's.

use tracing::warn;

use crate::config::Limits;

/// Of the open files that this process may have, this part is left to the logs.
const FOR_LOGS: u64 = 4;

/// Raises the limit as far as it goes, and has the broker take no more connections than leave room
/// for its files: without, the logs would be what fails.
pub(crate) fn prepare(limits: &mut Limits) {
    let open_files = match daemon::open_files::raise() {
        Ok(Some(open_files)) => open_files,
        Ok(None) => return,
        Err(error) => {
            warn!(error = %error, "the limit of open files could not be raised");
            return;
        }
    };
    let room = room(open_files);
    if room < limits.connections {
        warn!(
            open_files,
            connections = room,
            wanted = limits.connections,
            "the limit of open files (ulimit -n, LimitNOFILE=) leaves room for fewer connections \
             than limits.connections"
        );
        limits.connections = room;
    }
}

fn room(open_files: u64) -> usize {
    let room = open_files.saturating_sub(open_files.div_ceil(FOR_LOGS)).max(1);
    usize::try_from(room).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_open_files_is_left_to_the_logs() {
        assert_eq!([1, 1_024, 20_000].map(room), [1, 768, 15_000]);
    }
}
