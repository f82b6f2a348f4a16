//! `dohle`: the operator's tool, and the lab.
//!
//! Its nouns talk to servers and never start one, `lab` aside. Text becomes domain values in
//! [`args`], one function of [`command`] acts on them, and [`output`] alone prints.

mod args;
mod avro;
mod duration;
mod exit;
mod format;
mod input;
mod offsets;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::output::Output;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut output = Output::new(args.common.output, args.common.chatter());
    output.finish(Ok(())).into()
}
