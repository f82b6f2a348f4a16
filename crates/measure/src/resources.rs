//! What a process holds.

use std::fs;
use std::io;

/// Memory and descriptors of a process on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Bytes of memory that are there for it alone or shared with others (`VmRSS`).
    pub resident_bytes: u64,
    /// Open file descriptors, sockets among them.
    pub open_files: u64,
}

impl Resources {
    /// Held at the moment.
    ///
    /// # Errors
    ///
    /// The process has gone, or belongs to someone else.
    pub fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident_bytes = resident(&status).ok_or(io::ErrorKind::InvalidData)?;
        let open_files = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        Ok(Self { resident_bytes, open_files })
    }
}

/// From the line of `/proc/PID/status` that tells it in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_told_in_kib() {
        assert_eq!(resident("VmHWM:\t 9 kB\nVmRSS:\t    3 kB\n"), Some(3072));
        assert_eq!(resident("Name: x\n"), None);
    }

    #[test]
    fn this_process_holds_something() {
        let held = Resources::of(std::process::id()).unwrap();
        assert!(0 < held.resident_bytes && 2 < held.open_files, "{held:?}");
    }
}
