//! Shows what was measured: on stdout; complaints on stderr.

use std::io::{self, Write as _};

use measure::{Score, Verdict};
use serde::Serialize;

use crate::Style;
use crate::error::PeerError;
use crate::rounds::{Plan, Scores};

#[derive(Serialize)]
struct Report<'a> {
    nats_version: &'a str,
    rounds: u32,
    turn_ms: u128,
    record_bytes: u32,
    rows: &'a [Score],
}

/// Shows the table, or one JSON document.
///
/// # Errors
///
/// Stdout cannot be written to.
pub(crate) fn show(plan: &Plan, scores: &Scores, style: Style) -> io::Result<()> {
    let report = Report {
        nats_version: &scores.nats_version,
        rounds: plan.rounds,
        turn_ms: plan.turn.as_millis(),
        record_bytes: plan.record_bytes,
        rows: &scores.rows,
    };
    let text = match style {
        Style::Json => serde_json::to_string(&report)? + "\n",
        Style::Table => {
            let Plan { record_bytes, rounds, .. } = plan;
            let version = &scores.nats_version;
            format!("{record_bytes} B records, {rounds} rounds, NATS {version}\n")
                + &table(&scores.rows)
        }
    };
    io::stdout().lock().write_all(text.as_bytes())
}

/// Whether a row is.
pub(crate) fn is_below_gate(scores: &Scores) -> bool {
    scores.rows.iter().any(|score| score.verdict == Verdict::BelowGate)
}

/// Says why nothing was measured.
pub(crate) fn complain(error: &PeerError) {
    // Nothing can be done about a stderr that nobody reads.
    writeln!(io::stderr(), "error: {error}").ok();
}

fn table(rows: &[Score]) -> String {
    let head = Score::HEAD.map(str::to_uppercase);
    let lines: Vec<_> = [head].into_iter().chain(rows.iter().map(Score::cells)).collect();
    let mut text = String::new();
    for line in &lines {
        let mut padded = String::new();
        for (column, cell) in line.iter().enumerate() {
            let widths = lines.iter().filter_map(|line| Some(line.get(column)?.chars().count()));
            let width = widths.max().unwrap_or(0);
            padded.extend([format!("{cell:width$}"), "  ".to_owned()]);
        }
        text.push_str(padded.trim_end());
        text.push('\n');
    }
    text
}
