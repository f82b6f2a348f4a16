use std::error::Error;

/// An error with its causes in one line, for a message that crosses the wire: a client cannot ask
/// for the source.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use commit_log::{Action, AppendError, StorageFault};

    use super::*;

    #[test]
    fn a_full_disk_is_told_with_the_file_and_the_systems_words() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let path = PathBuf::from("/data/0.log");
        let full =
            AppendError::Full { source: StorageFault { action: Action::Write, path, source } };
        let line = with_causes(&full);
        assert!(line.starts_with("the disk is full"), "{line}");
        assert!(line.contains(": cannot write to /data/0.log: "), "{line}");
    }
}
