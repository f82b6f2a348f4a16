//! `dohle-sink`: scheduled runs of the sink as a process.

use std::process::ExitCode;

use sink::service::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    daemon::run("sink", async || Config::from_command_line()?.build()).await
}
