//! Every store holds the law.

use lake::LakePath;
use sink::store::{FileStore, LocalStore, StoreError};

use crate::faulty::FaultyStore;
use crate::law::{holds_the_law, lets_one_win};

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
    lets_one_win(&LocalStore::new(directory.path())).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_answered_for() {
    let hanging = FaultyStore::new();
    let _never_opened = hanging.gate(|_, _| true);
    let store = sink::store::Deadline::new(hanging, std::time::Duration::from_secs(30));
    assert!(matches!(store.list(&LakePath::root()).await, Err(StoreError::Unknown { .. })));
}
