//! The store's law, as far as one process can see it. Every store passes it.

use bytes::Bytes;
use lake::LakePath;
use sink::store::{EntryKind, FileStore, FileWriter, LocalStore, StoreError};

use crate::faulty::FaultyStore;

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
    matches!(result, Err(StoreError::AlreadyExists { .. }))
}

fn is_missing<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound { .. }))
}

async fn holds_the_law<S: FileStore>(store: &S) {
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

    let names = store.list(&at("a")).await.unwrap();
    let names: Vec<&str> = names.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["b", "file"]);
    assert!(is_missing(&store.list(&at("none")).await));

    store.sync_directory(&at("a")).await.unwrap();
    store.sync_directory(&LakePath::root()).await.unwrap();
    store.delete(&at("trash")).await.unwrap();
    store.delete(&at("trash")).await.unwrap();
    store.delete(&at("a/file")).await.unwrap();
    assert_eq!(store.stat(&at("a/file")).await.unwrap(), None);
}

#[tokio::test]
async fn the_store_in_memory_holds_the_law() {
    holds_the_law(&FaultyStore::new()).await;
}

#[tokio::test]
async fn a_local_directory_holds_the_law() {
    let directory = tempfile::tempdir().unwrap();
    holds_the_law(&LocalStore::new(directory.path())).await;
}

#[tokio::test]
async fn of_many_that_rename_to_one_name_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new(directory.path());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            let own = format!("own-{number}");
            write(&store, &own, b"record").await;
            store.rename(&at(&own), &at("taken")).await
        });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| is_taken(result)).count(), 19);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_answered_for() {
    let hanging = FaultyStore::new();
    let _never_opened = hanging.gate(|_, _| true);
    let store = sink::store::Deadline::new(hanging, std::time::Duration::from_secs(30));
    assert!(matches!(store.list(&at("a")).await, Err(StoreError::Unknown { .. })));
}
