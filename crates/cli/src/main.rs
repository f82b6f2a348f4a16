//! `dohle`: the operator's tool, and the lab.
//!
//! Its nouns talk to servers and never start one, `lab` and `bench` aside. Text becomes domain
//! values in [`args`], one function of [`command`] acts on them, and [`output`] alone prints.
//!
//! A new noun is a variant of [`args::Noun`], a file in `command/`, and the line in
//! [`command::run`] that joins them.

mod args;
mod avro;
mod command;
mod duration;
mod exit;
mod format;
mod input;
mod lookup;
mod offsets;
mod output;
mod session;

use std::process::ExitCode;

use clap::Parser as _;
use daemon::clock::Clock;
use tokio::signal::ctrl_c;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::Session;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut output = Output::new(args.common.output, args.common.chatter());
    let result = execute(args, &mut output);
    output.finish(result).into()
}

fn execute(args: Args, output: &mut Output) -> Result<(), Failure> {
    daemon::telemetry::init_quiet()
        .map_err(|error| Failure::usage(format!("DOHLE_LOG is no filter: {error}")))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(async {
        let interrupted = daemon::shutdown::on_signal()?;
        let session =
            Session { common: args.common, clock: Clock::new(), interrupted: interrupted.clone() };
        // On a thread of the runtime: this one may be stuck in writing to a pipe that nobody reads.
        let insisting = tokio::spawn(second_interrupt(interrupted));
        let result = command::run(args.noun, &session, output).await;
        insisting.abort();
        result
    });
    // A read from a terminal may be under way, which nothing can interrupt.
    runtime.shutdown_background();
    result
}

/// The first Ctrl-C asks to finish, the second one insists.
#[expect(clippy::exit, reason = "the main thread may be stuck in a write that nothing interrupts")]
async fn second_interrupt(first: CancellationToken) {
    first.cancelled().await;
    if ctrl_c().await.is_ok() {
        std::process::exit(Exit::Interrupted.code().into());
    }
}
