//! Figures of the process itself, by the names that Prometheus's client libraries give them.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};

use crate::vitals::{Figure, Kind, Sample};

/// What the system tells. What it does not tell is left out.
pub(crate) fn figures(service: &'static str) -> Vec<Figure> {
    let labels =
        vec![("service", service.to_owned()), ("version", env!("CARGO_PKG_VERSION").to_owned())];
    let mut figures = vec![Figure {
        name: "dohle_build_info",
        help: "Which service and version this is",
        kind: Kind::Gauge,
        samples: vec![Sample { labels, value: 1.0 }],
    }];
    let help = "CPU time of the process in user and kernel mode, in seconds";
    figures.push(Figure::counter("process_cpu_seconds", help, cpu_time().as_secs_f64()));
    if let Some(bytes) = resident_bytes() {
        let help = "Resident memory of the process, in bytes";
        figures.push(Figure::gauge("process_resident_memory_bytes", help, bytes));
    }
    if let Ok(files) = open_files() {
        let help = "Open file descriptors of the process, sockets among them";
        figures.push(Figure::gauge("process_open_fds", help, files));
    }
    figures
}

/// CPU time of this process so far, in user and kernel mode.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn resident_bytes() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * whole(page_size() as u64))
}

fn open_files() -> io::Result<f64> {
    Ok(whole(fs::read_dir("/proc/self/fd")?.count() as u64))
}

#[expect(clippy::cast_precision_loss, reason = "figures of a process are far below 2^53")]
const fn whole(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_of_this_process() {
        let names: Vec<_> = figures("x").iter().map(|figure| figure.name).collect();
        let expected = [
            "dohle_build_info",
            "process_cpu_seconds",
            "process_resident_memory_bytes",
            "process_open_fds",
        ];
        assert_eq!(names, expected);
        assert!(resident_bytes().unwrap() > 100_000.0);
    }
}
