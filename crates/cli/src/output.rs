//! The only place that writes to the terminal. Data goes to stdout; everything else, such as
//! progress, acknowledgements and errors, goes to stderr.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::exit::{Exit, Failure};

mod table;

pub(crate) use table::Table;

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Style {
    /// For people.
    Table,
    /// For programs: one JSON document, or one object a line where results come as a stream.
    Json,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chatter {
    /// Notes, warnings and errors.
    Usual,
    /// Errors only.
    Quiet,
}

/// A number of things, in words: `1 record`, `2 records`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// What a person types, read where waiting for it keeps nobody: Ctrl-C must be heard meanwhile.
///
/// # Errors
///
/// Stdin cannot be read, or holds no text.
pub(crate) async fn typed(
    read: impl FnOnce(&mut String) -> io::Result<usize> + Send + 'static,
) -> io::Result<String> {
    let mut text = String::new();
    tokio::task::spawn_blocking(move || read(&mut text).map(|_| text)).await?
}

/// A result that can be shown to people as well as to programs.
pub(crate) trait Show: Serialize {
    /// What people read.
    fn tables(&self) -> Vec<Table>;
}

/// The process's stdout and stderr.
pub(crate) struct Output {
    style: Style,
    chatter: Chatter,
    /// Results shown so far, which blank lines keep apart.
    shown: u64,
    data: Box<dyn Write + Send>,
    notes: Box<dyn Write + Send>,
}

impl Output {
    /// The process's own.
    pub(crate) fn new(style: Style, chatter: Chatter) -> Self {
        let data = io::BufWriter::new(io::stdout());
        Self { style, chatter, shown: 0, data: Box::new(data), notes: Box::new(io::stderr()) }
    }

    /// How results are to be shown.
    pub(crate) const fn style(&self) -> Style {
        self.style
    }

    /// Whether a person watches stderr, who may be shown progress.
    pub(crate) fn is_watched(&self) -> bool {
        self.chatter == Chatter::Usual && io::stderr().is_terminal()
    }

    /// Shows a result.
    ///
    /// # Errors
    ///
    /// Stdout cannot be written to.
    pub(crate) fn show(&mut self, result: &impl Show) -> io::Result<()> {
        match self.style {
            Style::Json => self.json(result),
            Style::Table => {
                for table in result.tables() {
                    if 0 < self.shown {
                        self.data.write_all(b"\n")?;
                    }
                    self.shown += 1;
                    self.data.write_all(table.to_string().as_bytes())?;
                }
                self.data.flush()
            }
        }
    }

    /// Prints one JSON document on one line.
    ///
    /// # Errors
    ///
    /// Stdout cannot be written to.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.data, value)?;
        self.data.write_all(b"\n")?;
        self.data.flush()
    }

    /// Prints one line of text.
    ///
    /// # Errors
    ///
    /// Stdout cannot be written to.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.data.write_all(text.as_bytes())?;
        self.data.write_all(b"\n")?;
        self.data.flush()
    }

    /// Prints bytes as they are. They may stay in a buffer until [`Output::flush`].
    ///
    /// # Errors
    ///
    /// Stdout cannot be written to.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.data.write_all(bytes)
    }

    /// Lets the reader of stdout see all that was printed.
    ///
    /// # Errors
    ///
    /// Stdout cannot be written to.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.data.flush()
    }

    /// Says something beside the data.
    pub(crate) fn note(&mut self, text: &str) {
        if self.chatter == Chatter::Usual {
            self.say(text);
        }
    }

    /// Says that something is not as it should be, although the command goes on.
    pub(crate) fn warn(&mut self, text: &str) {
        self.note(&format!("warning: {text}"));
    }

    /// Says why something failed.
    pub(crate) fn error(&mut self, text: &str) {
        self.say(&format!("error: {text}"));
    }

    /// Asks a person to confirm, if one is there.
    ///
    /// # Errors
    ///
    /// Nobody is there to ask, or the answer is no.
    pub(crate) async fn confirm(&mut self, plan: &str) -> Result<(), Failure> {
        if !io::stdin().is_terminal() {
            let message = format!("{plan}: nobody is there to confirm it; add --yes");
            return Err(Failure::usage(message));
        }
        write!(self.notes, "{plan}. Go on? [y/N] ").and_then(|()| self.notes.flush()).ok();
        let answer = typed(|answer| io::stdin().read_line(answer)).await?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::new(Exit::Other, "nothing was changed")),
        }
    }

    /// Tells a failure that nobody told yet, and with which code to leave.
    pub(crate) fn finish(&mut self, result: Result<(), Failure>) -> Exit {
        let result = result.and_then(|()| Ok(self.data.flush()?));
        match result {
            Ok(()) => Exit::Success,
            Err(Failure::Told(exit)) => exit,
            Err(Failure::Error { exit, message, next }) => {
                self.error(&message);
                if let Some(next) = next {
                    self.say(&format!("try: dohle {next}"));
                }
                exit
            }
        }
    }

    /// Nothing can be done about a stderr that nobody reads.
    fn say(&mut self, text: &str) {
        writeln!(self.notes, "{text}").ok();
    }
}
