//! Commands from stdin, a line each. What fails is told, and the next line is read.

use std::io;
use std::time::Duration;

use clap::Parser as _;
use client::tree::TreeClient;

use super::perform;
use crate::args::tree::{Line, LineVerb};
use crate::exit::{Exit, Failure};
use crate::output::{Output, typed};
use crate::session::Session;

/// Reads and does until the end of stdin, `quit` or Ctrl-C.
///
/// # Errors
///
/// No coordinator answers, the session was lost, or the last command that failed.
pub(super) async fn run(
    tree: &TreeClient,
    timeout: Duration,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let owner = tree.session(timeout).await?;
    let mut last = Ok(());
    loop {
        let line = typed(|line| io::stdin().read_line(line));
        let line = tokio::select! {
            line = line => line?,
            () = owner.lost().cancelled() => {
                let message = "the session is over, and its ephemeral nodes are gone";
                return Err(Failure::new(Exit::Unreachable, message));
            }
            () = session.interrupted.cancelled() => {
                last = Err(Failure::Told(Exit::Interrupted));
                break;
            }
        };
        if line.is_empty() {
            break;
        }
        let words = words(&line);
        if words.is_empty() {
            continue;
        }
        let verb = match Line::try_parse_from(words) {
            Ok(Line { verb: LineVerb::Verb(verb) }) => verb,
            Ok(Line { verb: LineVerb::Quit }) => break,
            Err(error) => {
                output.note(error.to_string().trim_end());
                if error.use_stderr() {
                    last = Err(Failure::Told(Exit::Usage));
                }
                continue;
            }
        };
        let done = tokio::select! {
            done = perform(verb, tree, Some(owner.id()), output) => done,
            () = session.interrupted.cancelled() => Err(Failure::Told(Exit::Interrupted)),
        };
        if let Err(failure) = done {
            let exit = failure.exit();
            output.finish(Err(failure));
            last = Err(Failure::Told(exit));
            if exit == Exit::Interrupted {
                break;
            }
        }
    }
    // If it cannot be closed, it ends by itself.
    owner.close().await.ok();
    last
}

/// The words of a line. Quotes, single or double, hold together what they enclose.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.trim().chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (Some(_) | None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words("  ls /\n"), ["ls", "/"]);
        assert_eq!(words("set /a 'x  y' \"\""), ["set", "/a", "x  y", ""]);
        assert_eq!(words("set /a it\"'\"s"), ["set", "/a", "it's"]);
        assert!(words(" \n").is_empty());
    }
}
