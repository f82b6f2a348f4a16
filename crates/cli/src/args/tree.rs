use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use client::tree::{NodePath, NodeVersion};

/// `dohle tree ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the children of a node
    Ls {
        /// The node
        #[arg(value_name = "PATH", value_parser = path)]
        path: NodePath,
    },
    /// Print a node's data
    Get {
        /// The node
        #[arg(value_name = "PATH", value_parser = path)]
        path: NodePath,
        /// Print what else is known of it, too
        #[arg(short)]
        stat: bool,
    },
    /// Make a node below one that is there
    Create(Create),
    /// Set a node's data
    Set {
        /// The node
        #[arg(value_name = "PATH", value_parser = path)]
        path: NodePath,
        /// What it shall hold
        data: String,
        /// Only if it is of this version
        #[arg(short, long, value_name = "N", value_parser = version)]
        version: Option<NodeVersion>,
    },
    /// Delete a node
    Delete {
        /// The node
        #[arg(value_name = "PATH", value_parser = path)]
        path: NodePath,
        /// Everything below it, too
        #[arg(short, long, conflicts_with = "version")]
        recursive: bool,
        /// Only if it is of this version
        #[arg(short, long, value_name = "N", value_parser = version)]
        version: Option<NodeVersion>,
    },
    /// Delete a node and everything below it
    #[command(name = "deleteall", visible_alias = "rmr")]
    DeleteAll {
        /// The node
        #[arg(value_name = "PATH", value_parser = path)]
        path: NodePath,
    },
    /// Print what is known of a node beside its data
    Stat {
        /// The node
        #[arg(value_name = "PATH", value_parser = path)]
        path: NodePath,
    },
    /// Print every change of a node and of what lies below it, until Ctrl-C
    Watch {
        /// The node; it need not be there
        #[arg(value_name = "PATH", value_parser = path)]
        path: NodePath,
        /// Not what lies below it
        #[arg(long)]
        node_only: bool,
        /// Leave after so many changes
        #[arg(short = 'n', long, value_name = "N")]
        max_changes: Option<u64>,
    },
    /// Read these commands from stdin, a line each, in one session
    Shell {
        /// How long the session, and with it what `create -e` makes, outlasts this process if it is
        /// killed
        #[arg(long, value_name = "DURATION", default_value = "10s",
              value_parser = crate::duration::parse)]
        session_timeout: Duration,
    },
}

/// `dohle tree create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The node goes when this command, which stays until Ctrl-C, or the shell does
    #[arg(short)]
    pub(crate) ephemeral: bool,
    /// Put ten digits behind the path, which grow from node to node
    #[arg(short)]
    pub(crate) sequential: bool,
    /// Where
    #[arg(value_name = "PATH", value_parser = path)]
    pub(crate) path: NodePath,
    /// What it holds
    #[arg(default_value = "")]
    pub(crate) data: String,
}

/// One line of `dohle tree shell`.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_flag = true)]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) verb: LineVerb,
}

/// What a line can ask for.
#[derive(Debug, Subcommand)]
pub(crate) enum LineVerb {
    #[command(flatten)]
    Verb(Verb),
    /// Leave
    #[command(visible_alias = "close")]
    Quit,
}

fn path(text: &str) -> Result<NodePath, String> {
    NodePath::new(text).map_err(|error| error.to_string())
}

fn version(text: &str) -> Result<NodeVersion, String> {
    text.parse().map(NodeVersion::new).map_err(|_no| "a version is a whole number".to_owned())
}
