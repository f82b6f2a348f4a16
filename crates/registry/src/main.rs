//! `dohle-registry`: the schema registry as a process.

use std::process::ExitCode;

use registry::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    daemon::run("registry", async || Config::from_command_line()?.build()).await
}
