//! `dohle-coordinator`: the coordinator as a process.

use std::process::ExitCode;

use coordinator::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    daemon::run("coordinator", async || -> Result<_, Box<dyn std::error::Error>> {
        Ok(Config::from_command_line()?.build()?)
    })
    .await
}
