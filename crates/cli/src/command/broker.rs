//! `dohle broker`: what brokers store, and whether it is still what was written.

mod scrub;

use crate::args::broker::Verb;
use crate::exit::Failure;
use crate::output::Output;
use crate::session::Session;

pub(super) use self::scrub::{DamageRow, damage_table};

/// Does what the verb says.
///
/// # Errors
///
/// A broker does not answer; or, asked for damage, there is some.
pub(crate) async fn run(verb: Verb, session: &Session, output: &mut Output) -> Result<(), Failure> {
    match verb {
        Verb::Scrub(scrub) => scrub::run(&scrub, session, output).await,
    }
}
