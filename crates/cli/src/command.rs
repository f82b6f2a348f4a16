//! What each noun does. One file for each: values in, [`Output`] out.

mod bench;
mod broker;
mod cluster;
mod consume;
mod healthcheck;
mod lab;
mod produce;
mod schema;
mod sink;
mod topic;
mod tree;

use clap::CommandFactory as _;

use crate::args::sink::Verb;
use crate::args::{Args, Noun};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::Session;

/// Does what the command line asks for. Ctrl-C ends whatever does not end by itself.
///
/// # Errors
///
/// It cannot be done, or was interrupted.
pub(crate) async fn run(noun: Noun, session: &Session, output: &mut Output) -> Result<(), Failure> {
    match noun {
        // These have something to finish before they leave, and watch for Ctrl-C themselves.
        Noun::Produce(produce) => produce::run(produce, session, output).await,
        Noun::Consume(consume) => consume::run(consume, session, output).await,
        Noun::Sink(Verb::Run(land)) => sink::land(&land, session, output).await,
        Noun::Lab(lab) => lab::run(lab, session, output).await,
        Noun::Tree(verb) => tree::run(verb, session, output).await,
        Noun::Bench(verb) => bench::run(verb, session, output).await,
        Noun::Topic(verb) => or_interrupted(session, topic::run(verb, session, output)).await,
        Noun::Cluster(verb) => or_interrupted(session, cluster::run(verb, session, output)).await,
        Noun::Broker(verb) => or_interrupted(session, broker::run(verb, session, output)).await,
        Noun::Coordinator(verb) => {
            or_interrupted(session, cluster::coordinator(&verb, session, output)).await
        }
        Noun::Sink(Verb::Verify(verify)) => {
            or_interrupted(session, sink::verify(&verify, session, output)).await
        }
        Noun::Sink(Verb::History(history)) => {
            or_interrupted(session, sink::history(&history, session, output)).await
        }
        Noun::Schema(verb) => or_interrupted(session, schema::run(verb, session, output)).await,
        Noun::Healthcheck(check) => {
            or_interrupted(session, healthcheck::run(&check, session, output)).await
        }
        Noun::Completion { shell } => completion(shell, output),
    }
}

/// The work, unless Ctrl-C comes first.
async fn or_interrupted(
    session: &Session,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::select! {
        result = work => result,
        () = session.interrupted.cancelled() => Err(Failure::Told(Exit::Interrupted)),
    }
}

fn completion(shell: clap_complete::Shell, output: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "dohle", &mut script);
    Ok(output.bytes(&script)?)
}
