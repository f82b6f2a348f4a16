use std::fs;

/// The most memory that a process has had so far, in bytes.
pub(crate) fn high_water(process: u32) -> usize {
    of_status(process, "VmHWM:")
}

/// The memory that a process has now, in bytes.
pub(crate) fn resident(process: u32) -> usize {
    of_status(process, "VmRSS:")
}

fn of_status(process: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kibibytes: usize = line.split_whitespace().next().unwrap().parse().unwrap();
    kibibytes * 1024
}
