//! Coordinators that end, and answers that are lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::registry::{Deletion, RegistryClient};
use client::{ProbeError, Question, probe};
use tokio::time::{sleep, timeout};
use types::SchemaId;

use super::{Lab, await_ready, register_everywhere, registry, schema, start};
use crate::lossy::Lossy;

/// Longer than a registry waits for a coordinator.
const BEYOND_PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_registry_without_its_coordinator_says_so_and_comes_back_by_itself() {
    let Lab { dir, coordinator, address } = Lab::start();
    coordinator.kill();
    // Begun before there is any.
    let (mut process, url) = registry(dir.path(), "one", address);
    let client = RegistryClient::new(&url).unwrap();
    for life in 0..2 {
        let said = process.await_line("coordinators do not answer");
        assert!(said.contains(&address.to_string()), "{said}");
        let ready = probe(&url, Question::Ready, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(ready, ProbeError::NotReady { .. }), "{ready}");
        probe(&url, Question::Alive, Duration::from_secs(5)).await.unwrap();
        let refused = client.subjects().await.unwrap_err().to_string();
        let words = ["no coordinator answers at", &address.to_string(), "check that they are up"];
        assert!(words.iter().all(|word| refused.contains(word)), "{refused}");

        let coordinator = start(dir.path(), "coordinator", "coordinator", address, "");
        await_ready(&url).await;
        process.await_line("coordinators answer");
        client.register("s", &schema(0, life)).await.unwrap();
        assert_eq!(client.versions("s").await.unwrap().len(), life + 1);
        coordinator.kill();
        // The registry looks once a second.
        while probe(&url, Question::Ready, Duration::from_secs(5)).await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_coordinator_that_crashes_amid_registrations_is_waited_for() {
    let mut lab = Lab::start();
    let (_one, one) = lab.registry("one").await;
    let (_other, other) = lab.registry("other").await;
    for round in 0..3 {
        let subjects = 4 * round..4 * (round + 1);
        let before = u32::try_from(subjects.start * 10).unwrap();
        let clients = [&one, &other];
        let registering = register_everywhere(&clients, subjects, 10, before);
        let crashing = async {
            sleep(Duration::from_millis(150)).await;
            lab.crash(Duration::from_millis(300)).await
        };
        lab = tokio::join!(registering, crashing).1;
    }
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_made_once_and_told_as_made() {
    const CHANGES: usize = 20;
    let lab = Lab::start();
    let lossy = Lossy::to(lab.address).await;
    let (_one, one) = lab.registry_by("one", lossy.address).await;
    let (_other, other) = lab.registry_by("other", lossy.address).await;
    let done = AtomicBool::new(false);
    let losing = async {
        for pause in [150, 310, 190, 440, 230].into_iter().cycle() {
            if done.load(Ordering::Relaxed) {
                return;
            }
            sleep(Duration::from_millis(pause)).await;
            lossy.lose_answers();
        }
    };
    let changing = async {
        register_everywhere(&[&one, &other], 0..3, 8, 0).await;
        // One after the other, so that nobody else stands in the way: each is done, and seen as done.
        for change in 0..CHANGES {
            let (one, other) = if change % 2 == 0 { (&one, &other) } else { (&other, &one) };
            let expected = SchemaId::new(25 + u32::try_from(change).unwrap());
            assert_eq!(one.register("t", &schema(9, change)).await.unwrap(), expected);
            let version = other.latest("t").await.unwrap().version;
            one.delete_version("t", version, Deletion::Soft).await.unwrap();
            assert_eq!(other.versions("t").await.unwrap_or_default(), [0; 0]);
            other.delete_version("t", version, Deletion::Permanent).await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(losing, changing);
}

#[tokio::test]
async fn a_registry_whose_coordinator_is_gone_ends_when_told_to() {
    let lab = Lab::start();
    let (process, client) = lab.registry("one").await;
    client.register("s", r#""int""#).await.unwrap();
    lab.coordinator.kill();
    let waiting = tokio::spawn(async move { client.subjects().await });
    sleep(Duration::from_millis(300)).await;
    let ended = tokio::task::spawn_blocking(move || process.terminate());
    let ended = timeout(BEYOND_PATIENCE, ended).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    waiting.await.unwrap().unwrap_err();
}
