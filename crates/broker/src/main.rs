//! `dohle-broker`: the broker as a process.

use std::io;
use std::process::ExitCode;

use broker::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> io::Result<ExitCode> {
    let build = async || Config::from_command_line()?.build().await;
    let life = daemon::run_with_codes("broker", build, broker::exit_code);
    Ok(daemon::threads::beside_a_writer("broker")?.block_on(life))
}
