use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::byte_count;

/// `dohle bench ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Measure everything that has a gate, and fail if something is below its own
    All(All),
    /// Append batches to commit logs; beside it, the same bytes to plain files
    Append(Appended),
    /// Produce to a broker; beside it, a plain TCP copy that checks, appends and acknowledges too
    Produce(Networked),
    /// Consume from a broker; beside it, a plain server that reads its file into a socket
    Consume(Networked),
    /// Start a broker of many partitions, leave it alone, kill it, and start it again
    Partitions(Partitions),
}

/// What is measured, and for how long.
#[derive(Clone, Debug, Args)]
pub(crate) struct Load {
    /// How often each side has its turn
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// How long a turn is; it ends sooner with --records, or after 1 GiB
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
    /// End a turn after so many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: Option<u64>,
    /// Bytes of a record's value: 100, 16k, 1m (k = 1024)
    #[arg(long, value_name = "BYTES", default_value = "1k", value_parser = size)]
    pub(crate) size: u32,
    /// Bytes of a full batch
    #[arg(long, value_name = "BYTES", default_value = "1m", value_parser = size)]
    pub(crate) batch_bytes: u32,
    /// Records a second while latencies are taken
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,
    /// When a record counts as stored; both unless given, for consume page-cache
    #[arg(long, value_enum)]
    pub(crate) durability: Option<DurabilityArg>,
    /// Where a folder for the data is made, and removed at the end; a disk, not a RAM disk
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) dir: PathBuf,
}

impl Load {
    /// How long a turn is.
    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }
}

/// What is appended to.
#[derive(Clone, Debug, Args)]
pub(crate) struct Appended {
    /// What, and for how long.
    #[command(flatten)]
    pub(crate) load: Load,
    /// Logs of one directory, each of which gets a batch before all are synced together
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) partitions: u32,
}

/// What is measured over the network.
#[derive(Clone, Debug, Args)]
pub(crate) struct Networked {
    /// What, and for how long.
    #[command(flatten)]
    pub(crate) load: Load,
    /// Of which cluster.
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// A broker of many partitions.
#[derive(Clone, Debug, Args)]
pub(crate) struct Partitions {
    /// How many, in topics of at most a thousand
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) count: u32,
    /// How long the broker is watched while nobody asks it for anything
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = turn)]
    pub(crate) idle: Duration,
    /// Where a folder for the data is made, and removed at the end
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) dir: PathBuf,
}

/// All rows of the table.
#[derive(Clone, Debug, Args)]
pub(crate) struct All {
    /// How often each side has its turn
    #[arg(long, value_name = "N", default_value_t = 9,
          value_parser = clap::value_parser!(u32).range(5..=1000))]
    pub(crate) rounds: u32,
    /// How long a turn is: 300ms, 2s; it ends sooner after 1 GiB
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = turn)]
    pub(crate) turn: Duration,
    /// What is in the log whose speed is compared with an empty one's: 512m, 20g
    #[arg(long, value_name = "BYTES", default_value = "2g", value_parser = data)]
    pub(crate) data: u64,
    /// Turns of 200 ms and 256 MiB in the log: for a first look
    #[arg(long, conflicts_with_all = ["turn", "data"])]
    pub(crate) quick: bool,
    /// Only the rows whose names begin so: produce,durable-1000
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Where a folder for the data is made, and removed at the end: a disk, not a RAM disk, with room
    /// for what a row keeps until it is over, up to 2 GiB a round and --data
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) dir: PathBuf,
}

impl All {
    /// How long a turn is.
    pub(crate) const fn turn(&self) -> Duration {
        if self.quick { Duration::from_millis(200) } else { self.turn }
    }

    /// Bytes in the log that is not empty.
    pub(crate) const fn data(&self) -> u64 {
        if self.quick { 256 << 20 } else { self.data }
    }
}

/// Which cluster is measured.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Cluster {
    /// Measure the running cluster that -B names, instead of one in this process
    #[arg(long)]
    pub(crate) running: bool,
    /// With --running: the broker's process on this host, to count its CPU too
    #[arg(long, value_name = "PID", requires = "running")]
    pub(crate) server_pid: Option<u32>,
}

/// When a record counts as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// Once the operating system has it
    PageCache,
    /// Once it is on the disk
    Fsync,
}

const LARGEST: u32 = 32 << 20;
const MOST_DATA: u64 = 1 << 40;

fn size(text: &str) -> Result<u32, String> {
    byte_count(text)
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|bytes| (1..=LARGEST).contains(bytes))
        .ok_or_else(|| "write 1 to 32m: bytes, or with k or m behind them".to_owned())
}

fn data(text: &str) -> Result<u64, String> {
    byte_count(text)
        .filter(|bytes| (1 << 20..=MOST_DATA).contains(bytes))
        .ok_or_else(|| "write 1m to 1024g: bytes, or with k, m or g behind them".to_owned())
}

fn turn(text: &str) -> Result<Duration, String> {
    let turn = crate::duration::parse(text).map_err(|error| error.to_string())?;
    if (SHORTEST_TURN..=LONGEST_TURN).contains(&turn) {
        Ok(turn)
    } else {
        Err("a turn takes 10ms to 1h".to_owned())
    }
}

const SHORTEST_TURN: Duration = Duration::from_millis(10);
const LONGEST_TURN: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        assert_eq!(size("100"), Ok(100));
        assert_eq!(size("16k"), Ok(16 * 1024));
        assert_eq!(size("1m"), Ok(1024 * 1024));
        for text in ["", "0", "k", "1g", "33m", "99999999999", "-1", "1.5k"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn data_may_be_more_than_a_record() {
        assert_eq!(data("20g"), Ok(20 << 30));
        for text in ["", "g", "1k", "1025g", "99999999999999999999g", "1.5g"] {
            assert!(data(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_turn_has_a_length() {
        assert_eq!(turn("300ms"), Ok(Duration::from_millis(300)));
        for text in ["", "1ms", "2h", "1"] {
            assert!(turn(text).is_err(), "{text:?}");
        }
    }
}
