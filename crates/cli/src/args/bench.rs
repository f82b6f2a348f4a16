use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

/// `dohle bench ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Append batches to a commit log; beside it, the same bytes to a plain file
    Append(Load),
    /// Produce to a broker; beside it, a plain TCP copy that checks, appends and acknowledges too
    Produce(Networked),
    /// Consume from a broker; beside it, a plain server that reads its file into a socket
    Consume(Networked),
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

/// What is measured over the network.
#[derive(Clone, Debug, Args)]
pub(crate) struct Networked {
    /// What, and for how long.
    #[command(flatten)]
    pub(crate) load: Load,
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

fn size(text: &str) -> Result<u32, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let bytes = text.split_at_checked(digits).and_then(|(number, unit)| {
        let scale = match unit {
            "" => 1,
            "k" | "K" => 1 << 10,
            "m" | "M" => 1 << 20,
            _ => return None,
        };
        number.parse::<u32>().ok()?.checked_mul(scale)
    });
    bytes
        .filter(|bytes| (1..=LARGEST).contains(bytes))
        .ok_or_else(|| "write 1 to 32m: bytes, or with k or m behind them".to_owned())
}

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
}
