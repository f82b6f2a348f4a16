use std::io;
use std::time::Duration;

use hdfs_native::HdfsError;
use lake::LakePath;
use thiserror::Error;

use super::super::{Operation, StoreError};
use super::HdfsUrl;

/// What is wrong and what to do about it, in one line.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct Words(String);

/// What was asked, of which HDFS.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) operation: Operation,
    pub(super) path: &'a LakePath,
    pub(super) url: &'a HdfsUrl,
}

impl Words {
    pub(super) fn silence(url: &HdfsUrl, waited: Duration) -> Self {
        let (place, waited) = (url.authority_url(), waited.as_secs());
        Self(format!(
            "{place} gave no answer within {waited} s; see whether the NameNode and the DataNodes there run or hang"
        ))
    }

    pub(super) fn no_directory() -> Self {
        Self("it is a file, not a directory".into())
    }

    pub(super) fn directory() -> Self {
        Self("it is a directory, not a file".into())
    }

    pub(super) fn broken() -> Self {
        Self("an earlier write failed".into())
    }

    pub(super) fn still_open(there: usize, len: usize) -> Self {
        Self(format!(
            "only {there} of its {len} bytes can be read: somebody has it open for writing, or died while doing so; wait, or close it with `hdfs debug recoverLease -path`"
        ))
    }

    pub(super) fn other_length(there: u64, written: u64) -> Self {
        Self(format!("HDFS has {there} bytes of the {written} that were written"))
    }
}

impl Asked<'_> {
    pub(super) fn failed(self, words: Words) -> StoreError {
        let (operation, path) = (self.operation, self.path.clone());
        StoreError::Failed { operation, path, source: Box::new(words) }
    }

    pub(super) fn unknown(self, words: Words) -> StoreError {
        let (operation, path) = (self.operation, self.path.clone());
        StoreError::Unknown { operation, path, source: Box::new(words) }
    }

    pub(super) fn unavailable(self, words: Words) -> StoreError {
        let (operation, path) = (self.operation, self.path.clone());
        StoreError::Unavailable { operation, path, source: Box::new(words) }
    }

    /// What an error of hdfs-native says about the call.
    pub(super) fn answered(self, error: HdfsError) -> StoreError {
        tracing::debug!(path = %self.path, ?error, "HDFS: {}", self.operation);
        match error {
            HdfsError::FileNotFound(_) => StoreError::NotFound { path: self.path.clone() },
            HdfsError::AlreadyExists(said) => self.name_is_taken(&said),
            HdfsError::RPCError(class, said) => self.refused(&class, &said),
            HdfsError::IOError(error) => self.cut_off(&error),
            HdfsError::DataTransferError(said) => self.no_datanode(&said),
            // A block that the DataNode has not reported yet, a reply that is none, or a server
            // that gave the connection up: it may have been done.
            error @ (HdfsError::OperationFailed(_)
            | HdfsError::InvalidRPCResponse(_)
            | HdfsError::FatalRPCError(..)) => self.unknown(Words(first_line(&error.to_string()))),
            error @ (HdfsError::ChecksumError
            | HdfsError::InvalidPath(_)
            | HdfsError::InvalidArgument(_)
            | HdfsError::UrlParseError(_)
            | HdfsError::BlocksNotFound(_)
            | HdfsError::IsADirectoryError(_)
            | HdfsError::TrashNotEnabled
            | HdfsError::UnsupportedErasureCodingPolicy(_)
            | HdfsError::ErasureCodingError(_)
            | HdfsError::UnsupportedFeature(_)
            | HdfsError::InternalError(_)
            | HdfsError::SASLError(_)
            | HdfsError::GSSAPIError(..)
            | HdfsError::NoSASLMechanism
            | HdfsError::XmlParseError(_)) => self.failed(Words(first_line(&error.to_string()))),
        }
    }

    /// Two exceptions of the NameNode have become one here; only its words tell them apart.
    fn name_is_taken(self, said: &str) -> StoreError {
        let path = self.path.clone();
        if said.starts_with("Failed to CREATE_FILE ") {
            StoreError::BeingWritten { path }
        } else {
            StoreError::AlreadyExists { path }
        }
    }

    /// The NameNode's exception, whose text is followed by a stack trace.
    fn refused(self, class: &str, said: &str) -> StoreError {
        let (operation, path, place) =
            (self.operation, self.path.clone(), self.url.authority_url());
        let said = first_line(said);
        let name = simple_name(class);
        match name {
            "FileNotFoundException" => StoreError::NotFound { path },
            "AccessControlException" | "AuthorizationException" => {
                let words = Words(format!(
                    "{said}; run as a user that may (HADOOP_USER_NAME), or have the owner of {} let this one in",
                    self.url.path()
                ));
                StoreError::Denied { operation, path, source: Box::new(words) }
            }
            "SafeModeException" | "RetriableException" => self.unavailable(Words(format!(
                "the NameNode of {place} is in safe mode; wait until it has left it, or see `hdfs dfsadmin -safemode get`"
            ))),
            "StandbyException" => self.unavailable(Words(format!(
                "the NameNode of {place} is in standby; name the nameservice instead, with its NameNodes in HADOOP_CONF_DIR"
            ))),
            _ if name.ends_with("QuotaExceededException")
                || name == "QuotaByStorageTypeExceededException" =>
            {
                let words = Words(format!(
                    "{said}; remove files, or have the quota raised with `hdfs dfsadmin -setQuota` or `-setSpaceQuota`"
                ));
                StoreError::Full { operation, path, source: Box::new(words) }
            }
            _ if said.contains(" could only be written to ") => self.unavailable(Words(format!(
                "no DataNode of {place} takes the block; see with `hdfs dfsadmin -report` whether they run and have room"
            ))),
            _ => self.failed(Words(format!("{name}: {said}"))),
        }
    }

    fn cut_off(self, error: &io::Error) -> StoreError {
        let place = self.url.authority_url();
        if is_broken(error) {
            return self.unknown(Words(format!("the connection to {place} broke ({error})")));
        }
        let words = if matches!(self.operation, Operation::Write | Operation::Close) {
            format!(
                "a DataNode of {place}, or its NameNode, does not answer ({error}); see `hdfs dfsadmin -report` whether they run"
            )
        } else {
            format!(
                "the NameNode of {place} does not answer ({error}); check the address and that it runs"
            )
        };
        self.unavailable(Words(words))
    }

    fn no_datanode(self, said: &str) -> StoreError {
        let (place, said) = (self.url.authority_url(), first_line(said));
        self.unavailable(Words(format!(
            "no DataNode of {place} that has or takes the block answers ({said}); see `hdfs dfsadmin -report`"
        )))
    }
}

/// Whether somebody had been reached before: then it may have been done. Otherwise nothing was.
pub(super) fn is_broken(error: &io::Error) -> bool {
    let unreached = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable
    );
    !unreached && !error.to_string().contains("failed to lookup address")
}

/// Whether the NameNode refuses all changes for now.
pub(super) fn is_safe_mode(error: &HdfsError) -> bool {
    let HdfsError::RPCError(class, _) = error else { return false };
    // Where there are two NameNodes, the first has become the second.
    matches!(simple_name(class), "SafeModeException" | "RetriableException")
}

/// A Java class without its package.
fn simple_name(class: &str) -> &str {
    class.rsplit(['.', '$']).next().unwrap_or(class)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(operation: Operation, error: HdfsError) -> StoreError {
        let url = "hdfs://namenode:8020/lake".parse().unwrap();
        let path = LakePath::new("a/b").unwrap();
        Asked { operation, path: &path, url: &url }.answered(error)
    }

    fn refused(class: &str, said: &str) -> StoreError {
        let said = format!("{said}\n\tat org.apache.hadoop.hdfs.server.Somewhere(Here.java:1)");
        answered(Operation::Create, HdfsError::RPCError(class.to_owned(), said))
    }

    #[test]
    fn missing_has_two_forms() {
        let one = answered(Operation::Stat, HdfsError::FileNotFound("/lake/a/b".into()));
        let other = refused("java.io.FileNotFoundException", "Parent directory doesn't exist: /a");
        assert!(matches!(one, StoreError::NotFound { .. }), "{one}");
        assert!(matches!(other, StoreError::NotFound { .. }), "{other}");
    }

    #[test]
    fn a_name_that_is_taken_is_told_apart_from_one_that_is_being_written() {
        let taken = HdfsError::AlreadyExists("/lease for client 127.0.0.1 already exists".into());
        let taken = answered(Operation::Create, taken);
        assert!(matches!(taken, StoreError::AlreadyExists { .. }), "{taken}");
        let open = HdfsError::AlreadyExists(
            "Failed to CREATE_FILE /a for me on 127.0.0.1 because this file lease is currently owned by you on 127.0.0.1".into(),
        );
        let open = answered(Operation::Create, open);
        assert!(matches!(open, StoreError::BeingWritten { .. }), "{open}");
    }

    #[test]
    fn an_error_is_one_line_that_says_what_to_do() {
        let denied = refused(
            "org.apache.hadoop.security.AccessControlException",
            "Permission denied: user=ann, access=WRITE, inode=\"/\":root:supergroup:drwxr-xr-x",
        );
        assert!(matches!(denied, StoreError::Denied { .. }));
        let safe = refused("org.apache.hadoop.hdfs.server.namenode.SafeModeException", "Cannot");
        assert!(matches!(safe, StoreError::Unavailable { .. }));
        let quota = refused(
            "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException",
            "The DiskSpace quota of /lake is exceeded: quota = 1 B = 1 B",
        );
        assert!(matches!(quota, StoreError::Full { .. }));
        let nodes = refused(
            "java.io.IOException",
            "File /lake/a could only be written to 0 of the 1 minReplication nodes.",
        );
        assert!(matches!(nodes, StoreError::Unavailable { .. }));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let gone = answered(Operation::Stat, HdfsError::IOError(refused));
        assert!(matches!(gone, StoreError::Unavailable { .. }));
        for (error, advice) in [
            (denied, "HADOOP_USER_NAME"),
            (safe, "safe mode"),
            (quota, "setSpaceQuota"),
            (nodes, "dfsadmin -report"),
            (gone, "check the address"),
        ] {
            let text = error.to_string();
            assert!(text.contains(advice), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn what_may_have_been_done_is_not_called_undone() {
        for kind in [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::BrokenPipe,
        ] {
            let error = answered(Operation::Rename, HdfsError::IOError(io::Error::from(kind)));
            assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
        }
    }
}
