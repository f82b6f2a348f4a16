use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Phase, Progress};

/// One bar on standard error, and nothing at all where that is no terminal.
#[derive(Debug)]
pub struct Bars {
    bar: ProgressBar,
}

impl Bars {
    /// A bar that is not shown yet.
    pub fn new() -> Self {
        Self { bar: ProgressBar::hidden() }
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for Bars {
    fn begin(&self, phase: Phase, total: u64) {
        let (what, unit) = match phase {
            Phase::Stage => ("reading", "records"),
            Phase::Publish => ("publishing", "files"),
            Phase::Verify => ("verifying", "files"),
        };
        let template = format!(
            "{what:>10} [{{bar:40}}] {{human_pos}}/{{human_len}} {unit} {{per_sec}} {{eta}}"
        );
        self.bar.reset();
        self.bar.set_length(total);
        // A broken template would only cost the looks.
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.bar.set_style(style);
        }
        // Draws only on a terminal.
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }

    fn advance(&self, done: u64) {
        self.bar.inc(done);
    }

    fn end(&self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}
