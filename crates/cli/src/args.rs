//! The command line. Text becomes domain values here, and nowhere behind.

use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use types::TopicName;

use crate::output::{Chatter, Style};

pub(crate) mod bench;
pub(crate) mod broker;
pub(crate) mod cluster;
pub(crate) mod consume;
pub(crate) mod healthcheck;
pub(crate) mod lab;
pub(crate) mod produce;
pub(crate) mod schema;
pub(crate) mod sink;
pub(crate) mod topic;
pub(crate) mod tree;

const EXIT_CODES: &str = "\
Exit codes:
    0  done                          5  exists already, or incompatible schema
    1  anything else                 6  denied
    2  wrong command line            75 another sink run was first
    3  not found                     130 Ctrl-C
    4  a service cannot be reached

Data goes to stdout, everything else to stderr.";

/// Talks to a Dohle cluster, and runs a small one for learning.
#[derive(Debug, Parser)]
#[command(name = "dohle", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// What every command understands.
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to do.
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// What every command understands.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Brokers to begin with; one that answers is enough
    #[arg(
        short = 'B',
        long,
        global = true,
        value_name = "HOST:PORT,..",
        env = "DOHLE_BOOTSTRAP_SERVER",
        default_value = "localhost:9192",
        value_delimiter = ',',
        visible_aliases = ["broker-list", "brokers"],
        value_parser = address
    )]
    pub(crate) bootstrap_server: Vec<String>,
    /// The schema registry
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "DOHLE_REGISTRY",
        default_value = "http://localhost:8081",
        value_parser = registry_url
    )]
    pub(crate) registry: String,
    /// A coordinator, for the commands that talk to one directly
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "DOHLE_COORDINATOR",
        default_value = "localhost:7070",
        value_parser = address
    )]
    pub(crate) coordinator: String,
    /// How results are shown
    #[arg(long, global = true, value_enum, default_value_t = Style::Table)]
    pub(crate) output: Style,
    /// How long to wait for an answer: 500ms, 10s, 2m
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = crate::duration::parse
    )]
    pub(crate) timeout: Duration,
    /// Do not ask before destroying something
    #[arg(short = 'y', long, global = true)]
    pub(crate) yes: bool,
    /// Say nothing on stderr but errors
    #[arg(short = 'q', long, global = true)]
    pub(crate) quiet: bool,
}

impl Common {
    pub(crate) const fn chatter(&self) -> Chatter {
        if self.quiet { Chatter::Quiet } else { Chatter::Usual }
    }
}

/// What there is to act on.
#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// Create, list, describe, alter and delete topics
    #[command(subcommand)]
    Topic(topic::Verb),
    /// Send records, a line each
    Produce(produce::Produce),
    /// Read records
    Consume(consume::Consume),
    /// Describe the cluster and its health
    #[command(subcommand)]
    Cluster(cluster::Verb),
    /// Look after what brokers store
    #[command(subcommand)]
    Broker(broker::Verb),
    /// Describe the coordinators' quorum
    #[command(subcommand)]
    Coordinator(cluster::CoordinatorVerb),
    /// Read, change and watch the coordinators' tree, with zkCli's words
    #[command(subcommand)]
    Tree(tree::Verb),
    /// Register, read and check schemas
    #[command(subcommand)]
    Schema(schema::Verb),
    /// Land topics in a data lake, exactly once
    #[command(subcommand)]
    Sink(sink::Verb),
    /// Run a whole cluster in this process, with a short demo
    Lab(lab::Lab),
    /// Measure how fast it is here, beside the plainest thing that does the same
    #[command(subcommand)]
    Bench(bench::Verb),
    /// Ask a service whether it runs, or can be used; for a container's health check
    Healthcheck(healthcheck::Healthcheck),
    /// Print a script that completes commands in a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// A topic's name.
pub(crate) fn topic_name(text: &str) -> Result<TopicName, String> {
    TopicName::new(text).map_err(|error| error.to_string())
}

/// A number of bytes, with k, m or g behind it for multiples of 1,024.
fn byte_count(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = match unit {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

/// `host:port`.
fn address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':');
    let fits = parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if fits { Ok(text.to_owned()) } else { Err("an address is host:port".to_owned()) }
}

/// The URL without slashes at its end.
fn registry_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("the registry's address begins with http:// or https://".to_owned())
    }
}

/// `name=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn common_options_stand_before_and_behind_the_noun() {
        for line in [
            "dohle -B a:1,b:2 --output json topic list",
            "dohle topic list -B a:1,b:2 --output json",
        ] {
            let args = parse(line).unwrap();
            assert_eq!(args.common.bootstrap_server, ["a:1", "b:2"]);
            assert_eq!(args.common.output, Style::Json);
        }
    }

    #[test]
    fn an_address_without_a_port_is_refused() {
        assert!(parse("dohle -B localhost topic list").is_err());
        assert!(parse("dohle -B :9192 topic list").is_err());
        assert!(parse("dohle -B localhost:99999 topic list").is_err());
    }

    #[test]
    fn a_relative_offset_is_no_option() {
        for offset in ["-5", "+5", "-10:-2", ":end", "@-1h"] {
            assert!(parse(&format!("dohle consume t -o {offset}")).is_ok(), "{offset}");
        }
    }

    #[test]
    fn offset_and_from_beginning_exclude_each_other() {
        assert!(parse("dohle consume t --from-beginning -o 5").is_err());
    }
}
