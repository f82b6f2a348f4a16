use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;

/// The longest line, in bytes: no broker takes a larger batch.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// Lines read ahead.
const LINES_AHEAD: usize = 1024;

/// One line of input, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    /// What it says.
    pub(crate) bytes: Bytes,
}

/// Reads the lines of a file, or of stdin.
///
/// A thread of its own reads, since nothing can interrupt a read from a terminal: it ends with the
/// input or with the process.
///
/// # Errors
///
/// The file cannot be opened. Later errors come as the last item.
pub(crate) fn lines(file: Option<&Path>) -> io::Result<mpsc::Receiver<io::Result<Line>>> {
    let reader: Box<dyn BufRead + Send> = match file {
        Some(path) => Box::new(BufReader::new(File::open(path)?)),
        None => Box::new(BufReader::new(io::stdin())),
    };
    let (lines, receiver) = mpsc::channel(LINES_AHEAD);
    thread::Builder::new().name("lines".to_owned()).spawn(move || {
        for line in (Lines { reader, number: 0 }) {
            if lines.blocking_send(line).is_err() {
                // Nobody wants more.
                break;
            }
        }
    })?;
    Ok(receiver)
}

struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<io::Result<Line>> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        self.number += 1;
        if bytes.pop_if(|last| *last == b'\n').is_some() {
            bytes.pop_if(|last| *last == b'\r');
        } else if MAX_LINE_BYTES <= u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
            let message = format!("line {} is longer than 64 MiB", self.number);
            return Some(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        Some(Ok(Line { number: self.number, bytes: Bytes::from(bytes) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Vec<String> {
        Lines { reader: text.as_bytes(), number: 0 }
            .map(|line| String::from_utf8(line.unwrap().bytes.into()).unwrap())
            .collect()
    }

    #[test]
    fn blank_lines_are_lines_and_the_end_of_the_input_is_none() {
        assert_eq!(read("a\n\nb\n"), ["a", "", "b"]);
        assert_eq!(read("a\r\nb"), ["a", "b"]);
        assert_eq!(read(""), [""; 0]);
        assert_eq!(read("\n"), [""]);
    }

    #[test]
    fn a_carriage_return_inside_a_line_is_kept() {
        assert_eq!(read("a\rb\n"), ["a\rb"]);
    }
}
