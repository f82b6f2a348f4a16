//! `dohle-broker`: the broker as a process.

use std::process::ExitCode;

use broker::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    daemon::run("broker", async || Config::from_command_line()?.build().await).await
}
