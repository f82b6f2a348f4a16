//! The broker's process.

use std::path::PathBuf;
use std::process::ExitCode;

use broker::Config;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stores partitions and serves them over gRPC.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// A TOML file; what the environment says as `DOHLE_BROKER_<KEY>` overrides it.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Args { config } = Args::parse();
    let build = async || Config::load(config.as_deref())?.build().await;
    daemon::run("broker", build).await
}
