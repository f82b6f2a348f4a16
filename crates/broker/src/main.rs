//! `dohle-broker`: the broker as a process.

use std::process::ExitCode;

use broker::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let life = daemon::run("broker", async || Config::from_command_line()?.build().await);
    match daemon::threads::beside_a_writer("broker") {
        Ok(threads) => threads.block_on(life),
        Err(error) => {
            eprintln!("dohle-broker: the system gives no threads: {error}");
            ExitCode::FAILURE
        }
    }
}
