//! The store's law, as far as one process can see it. Every store passes it; the tests of HDFS
//! include this file.

use bytes::Bytes;
use lake::LakePath;
use sink::store::{EntryKind, FileStore, FileWriter, StoreError};
use tokio::task::JoinSet;

fn at(path: &str) -> LakePath {
    LakePath::new(path).unwrap()
}

async fn write<S: FileStore>(store: &S, path: &str, bytes: &'static [u8]) {
    let mut writer = store.create(&at(path)).await.unwrap();
    let (front, back) = bytes.split_at(bytes.len() / 2);
    writer.write(Bytes::from_static(front)).await.unwrap();
    writer.write(Bytes::from_static(back)).await.unwrap();
    writer.close().await.unwrap();
}

fn is_taken<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::AlreadyExists { .. } | StoreError::BeingWritten { .. }))
}

fn is_missing<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound { .. }))
}

pub(crate) async fn holds_the_law<S: FileStore>(store: &S) {
    // Parents are never made by the way.
    assert!(is_missing(&store.create(&at("a/b/file")).await));
    store.make_directories(&at("a/b")).await.unwrap();
    store.make_directories(&at("a/b")).await.unwrap();

    write(store, "a/b/file", b"0123456789").await;
    assert!(is_taken(&store.create(&at("a/b/file")).await));
    assert_eq!(store.stat(&at("a/b/file")).await.unwrap(), Some(EntryKind::File { len: 10 }));
    assert_eq!(store.stat(&at("a/b")).await.unwrap(), Some(EntryKind::Directory));
    assert_eq!(store.stat(&at("a/c")).await.unwrap(), None);

    assert_eq!(&store.read(&at("a/b/file"), 0, 100).await.unwrap()[..], b"0123456789");
    assert_eq!(&store.read(&at("a/b/file"), 4, 3).await.unwrap()[..], b"456");
    assert!(store.read(&at("a/b/file"), 10, 3).await.unwrap().is_empty());
    assert!(is_missing(&store.read(&at("a/b/none"), 0, 1).await));

    // A name is taken as soon as there is a writer.
    let open = store.create(&at("a/b/open")).await.unwrap();
    assert!(is_taken(&store.create(&at("a/b/open")).await));
    open.close().await.unwrap();
    assert!(is_taken(&store.create(&at("a/b/open")).await));
    assert_eq!(store.stat(&at("a/b/open")).await.unwrap(), Some(EntryKind::File { len: 0 }));
    assert!(store.read(&at("a/b/open"), 0, 1).await.unwrap().is_empty());
    store.delete(&at("a/b/open")).await.unwrap();

    // Names are atomic, and a rename replaces nothing.
    write(store, "a/b/other", b"x").await;
    assert!(is_taken(&store.rename(&at("a/b/file"), &at("a/b/other")).await));
    assert!(is_missing(&store.rename(&at("a/b/file"), &at("a/none/file")).await));
    assert!(is_missing(&store.rename(&at("a/b/none"), &at("a/b/new")).await));
    store.rename(&at("a/b/file"), &at("a/file")).await.unwrap();
    assert!(is_missing(&store.read(&at("a/b/file"), 0, 1).await));
    assert!(is_missing(&store.rename(&at("a/b/file"), &at("a/file")).await));

    // A directory moves with all it holds, and never into one that is there.
    store.make_directories(&at("trash")).await.unwrap();
    store.rename(&at("a/b"), &at("trash/b")).await.unwrap();
    assert_eq!(&store.read(&at("trash/b/other"), 0, 9).await.unwrap()[..], b"x");
    assert!(is_missing(&store.create(&at("a/b/late")).await));
    store.make_directories(&at("a/b")).await.unwrap();
    assert!(is_taken(&store.rename(&at("trash/b"), &at("a/b")).await));
    assert!(is_taken(&store.rename(&at("trash/b"), &at("a/file")).await));
    assert!(is_taken(&store.rename(&at("a/file"), &at("trash/b")).await));
    write(store, "a/b/resident", b"x").await;
    assert!(is_taken(&store.rename(&at("trash/b"), &at("a/b")).await));

    let names = store.list(&at("a")).await.unwrap();
    let names: Vec<&str> = names.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["b", "file"]);
    assert!(is_missing(&store.list(&at("none")).await));
    assert!(store.list(&at("a/file")).await.is_err());

    store.sync_directory(&at("a")).await.unwrap();
    store.sync_directory(&LakePath::root()).await.unwrap();
    store.delete(&at("trash")).await.unwrap();
    store.delete(&at("trash")).await.unwrap();
    store.delete(&at("a/file")).await.unwrap();
    assert_eq!(store.stat(&at("a/file")).await.unwrap(), None);
}

/// Of many that rename to one name, one wins.
pub(crate) async fn lets_one_win<S: FileStore>(store: &S) {
    store.make_directories(&at("race")).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            let own = format!("race/own-{number}");
            write(&store, &own, b"record").await;
            store.rename(&at(&own), &at("race/taken")).await
        });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| is_taken(result)).count(), 19);
}
