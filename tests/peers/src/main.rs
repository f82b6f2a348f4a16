//! Measures Dohle beside what people use now, by turns in one run: NATS `JetStream` so far.
//!
//! ```text
//! cargo run --release -p peers                 # needs nats-server, as Debian has it
//! cargo run -p peers -- --smoke                # does it still talk to it?
//! ```
//!
//! Both sides keep one stream in files without syncing each write, and have one producer and one
//! consumer. The client of NATS is [`nats`], a few lines that write prepared bytes: it spends less
//! than any real one, so that the server is what is measured. Ours is the real client.

mod error;
mod nats;
mod ours;
mod report;
mod rounds;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use daemon::clock::Clock;

use crate::error::PeerError;
use crate::rounds::Plan;

/// As in the shipped programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Dohle beside NATS `JetStream`.
#[derive(Debug, Parser)]
struct Args {
    /// How often each side has its turns
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..))]
    rounds: u32,
    /// How long a turn is, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..))]
    turn_ms: u64,
    /// Bytes of a record
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    size: u32,
    /// One short round, held to nothing but that all records arrive
    #[arg(long)]
    smoke: bool,
    /// Where NATS is
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    nats_server: PathBuf,
    /// Where a folder for the data is made, and removed at the end; a disk, not a RAM disk
    #[arg(long, value_name = "PATH", default_value = ".")]
    dir: PathBuf,
    /// How the result is shown
    #[arg(long, value_enum, default_value_t = Style::Table)]
    output: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Style {
    Table,
    Json,
}

const SMOKE_TURN: Duration = Duration::from_millis(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<ExitCode, PeerError> {
    let plan = Plan {
        clock: Clock::new(),
        rounds: if args.smoke { 1 } else { args.rounds },
        turn: if args.smoke { SMOKE_TURN } else { Duration::from_millis(args.turn_ms) },
        record_bytes: args.size,
    };
    let folder = tempfile::Builder::new().prefix("dohle-peers-").tempdir_in(&args.dir)?;
    let scores = rounds::measure(&plan, &args.nats_server, folder.path()).await?;
    report::show(&plan, &scores, args.output)?;
    let is_fine = args.smoke || !report::is_below_gate(&scores);
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
