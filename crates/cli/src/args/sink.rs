use clap::Subcommand;

/// `dohle sink ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {}
