//! CPU time: of this process, of some of its threads, of another process.

use std::fs;
use std::io;
use std::ops::Sub;
use std::time::Duration;

use daemon::process::cpu_time;
use rustix::param::clock_ticks_per_second;

/// The name of threads of this process that belong to neither side, such as one that keeps the disk
/// busy. They must live for as long as a turn is measured. Linux keeps 15 bytes of a name.
pub const ASIDE_THREADS: &str = "bench-aside";

/// Where the side that serves runs.
#[derive(Clone, Debug)]
pub enum Server {
    /// In this process; threads with this name belong to the client.
    BesideClient(&'static str),
    /// In a process of its own on this host.
    Process(u32),
    /// Where its CPU time cannot be seen.
    Elsewhere,
}

/// CPU time spent, in user and kernel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// By the side that asks.
    pub client: Duration,
    /// By the side that serves, where that can be seen.
    pub server: Option<Duration>,
}

impl CpuTime {
    /// Spent so far.
    ///
    /// # Errors
    ///
    /// The server's process has gone, or the system does not tell.
    pub fn read(server: &Server) -> io::Result<Self> {
        let own = cpu_time();
        match server {
            Server::BesideClient(name) => {
                Ok(Self::split(own, own_threads(name)?, own_threads(ASIDE_THREADS)?))
            }
            Server::Process(pid) => {
                let path = format!("/proc/{pid}/stat");
                let stat = fs::read_to_string(&path).map_err(|error| {
                    io::Error::new(error.kind(), format!("no CPU time from {path}: {error}"))
                })?;
                let ticks = ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
                let server = Duration::from_secs(ticks)
                    / u32::try_from(clock_ticks_per_second()).unwrap_or(100);
                Ok(Self { client: own, server: Some(server) })
            }
            Server::Elsewhere => Ok(Self { client: own, server: None }),
        }
    }

    /// The server's is what is left of a process's.
    const fn split(process: Duration, client: Duration, aside: Duration) -> Self {
        let server = process.saturating_sub(client).saturating_sub(aside);
        Self { client, server: Some(server) }
    }

    /// Of both sides, as far as seen.
    pub fn total(self) -> Duration {
        self.client.saturating_add(self.server.unwrap_or_default())
    }
}

/// What was spent between two readings.
impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        let server = self.server.zip(earlier.server);
        Self {
            client: self.client.saturating_sub(earlier.client),
            server: server.map(|(later, earlier)| later.saturating_sub(earlier)),
        }
    }
}

/// Of the living threads of this process that are called `name`.
fn own_threads(name: &str) -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir("/proc/self/task")? {
        let folder = thread?.path();
        // A thread may end while it is looked at.
        let Ok(comm) = fs::read_to_string(folder.join("comm")) else { continue };
        if comm.trim_end() == name
            && let Ok(stat) = fs::read_to_string(folder.join("schedstat"))
        {
            total += on_cpu(&stat).ok_or(io::ErrorKind::InvalidData)?;
        }
    }
    Ok(total)
}

/// The first number of a `schedstat`: nanoseconds on a CPU.
fn on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Clock ticks in user and kernel mode, fields 14 and 15 of a `/proc/PID/stat`.
fn ticks(stat: &str) -> Option<u64> {
    // Field 2 is the program's name in brackets and may hold anything.
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut times = behind_name.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let kernel: u64 = times.next()?.parse().ok()?;
    user.checked_add(kernel)
}

#[cfg(test)]
mod tests {
    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    #[test]
    fn a_program_s_name_cannot_shift_the_fields() {
        let stat = "42 (a) R 9 (b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("42 (a) S 1 2"), None);
    }

    #[test]
    fn a_thread_s_time_is_the_first_number() {
        assert_eq!(on_cpu("1500 20 3\n"), Some(Duration::from_nanos(1500)));
        assert_eq!(on_cpu("\n"), None);
    }

    /// Runs `look` while a thread of this name is there that has worked for some time.
    fn beside_a_worker<T>(name: &str, look: impl FnOnce() -> T) -> T {
        let (done, joined) = std::sync::mpsc::channel::<()>();
        let (told, tell) = std::sync::mpsc::channel();
        let worker = std::thread::Builder::new().name(name.to_owned());
        let worker = worker
            .spawn(move || {
                while own_thread() < WORK {}
                told.send(()).unwrap();
                joined.recv().unwrap();
            })
            .unwrap();
        tell.recv().unwrap();
        let seen = look();
        done.send(()).unwrap();
        worker.join().unwrap();
        seen
    }

    const WORK: Duration = Duration::from_millis(20);

    fn own_thread() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
    }

    #[test]
    fn work_of_named_threads_is_the_client_s() {
        let server = Server::BesideClient("bench-test");
        let before = CpuTime::read(&server).unwrap();
        let after = beside_a_worker("bench-test", || CpuTime::read(&server).unwrap());
        assert!((after - before).client > WORK / 2, "{before:?} {after:?}");
    }

    #[test]
    fn work_of_threads_aside_is_nobody_s() {
        let aside = beside_a_worker(ASIDE_THREADS, || own_threads(ASIDE_THREADS).unwrap());
        assert!(aside > WORK / 2, "{aside:?}");
        let second = Duration::from_secs(1);
        let split = CpuTime::split(10 * second, 3 * second, 2 * second);
        assert_eq!(split, CpuTime { client: 3 * second, server: Some(5 * second) });
    }

    #[test]
    fn another_process_is_read_by_its_id() {
        let server = Server::Process(std::process::id());
        assert!(CpuTime::read(&server).unwrap().server.is_some());
        let gone = CpuTime::read(&Server::Process(u32::MAX)).unwrap_err();
        assert!(gone.to_string().contains("4294967295"), "{gone}");
    }
}
