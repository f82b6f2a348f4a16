use std::time::Duration;

use bytes::Bytes;
use lake::LakePath;
use sink::store::{FileStore, FileWriter, StoreError};
use tokio::time::sleep;

use crate::law::{holds_the_law, lets_one_win};
use crate::server::Hdfs;

/// Reads a file's beginning until that is refused.
async fn refusal<S: FileStore>(store: &S, path: &LakePath) -> StoreError {
    for _ in 0..600 {
        match store.read(path, 0, 10).await {
            Ok(bytes) => assert_eq!(&bytes[..], b"0123456789", "a short file"),
            Err(error) => return error,
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("a file that is open was read for a minute");
}

fn at(path: &str) -> LakePath {
    LakePath::new(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn hdfs_holds_the_law() {
    let hdfs = Hdfs::start();
    let store = hdfs.store("/some/where/lake").await;
    assert_eq!(store.stat(&LakePath::root()).await.unwrap(), None, "looking makes nothing");
    store.make_directories(&LakePath::root()).await.unwrap();
    holds_the_law(&store).await;
    lets_one_win(&store).await;

    // A file that another process has open is told apart, and what is read of it is no short file.
    store.make_directories(&at("open")).await.unwrap();
    let mut writer = store.create(&at("open/file")).await.unwrap();
    writer.write(Bytes::from_static(b"0123456789")).await.unwrap();
    let other = hdfs.store("/some/where/lake").await;
    let taken = other.create(&at("open/file")).await.map(|_| ());
    assert!(matches!(taken, Err(StoreError::BeingWritten { .. })), "{taken:?}");
    writer.close().await.unwrap();
    let taken = other.create(&at("open/file")).await.map(|_| ());
    assert!(matches!(taken, Err(StoreError::AlreadyExists { .. })), "{taken:?}");

    // hdfs-native reads a file that somebody appends to as if it were empty.
    let appender = hdfs.append_forever("/some/where/lake/open/file");
    let refused = refusal(&other, &at("open/file")).await.to_string();
    assert!(refused.contains("only 0 of its 10 bytes can be read"), "{refused}");
    assert!(refused.contains("recoverLease"), "{refused}");
    drop(appender);

    // More than a packet, more than a piece.
    let large: Bytes = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
    let mut writer = store.create(&at("open/large")).await.unwrap();
    for piece in large.chunks(1_000_003) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.close().await.unwrap();
    let back = store.read(&at("open/large"), 1_234_567, 1_000_000).await.unwrap();
    assert_eq!(back, large.slice(1_234_567..2_234_567));
}
