//! Two registries on one coordinator: equal, and never of two minds.

#![expect(clippy::unwrap_used, reason = "a test; its helpers are not marked as such")]
#![expect(clippy::indexing_slicing, reason = "a test; its helpers are not marked as such")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use client::registry::{Deletion, RegistryClient};
use client::{Question, probe};
use e2e::Process;
use futures::future::join_all;
use tempfile::TempDir;
use tokio::time::sleep;
use types::SchemaId;

mod lossy;
mod outages;

/// A coordinator, and where registries find it.
struct Lab {
    dir: TempDir,
    coordinator: Process,
    address: SocketAddr,
}

impl Lab {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = start(dir.path(), "coordinator", "coordinator", any(), "");
        let address = coordinator.address("coordinator");
        Self { dir, coordinator, address }
    }

    /// `kill -9`, a pause, and another life on the same data.
    async fn crash(self, pause: Duration) -> Self {
        let Self { dir, coordinator, address } = self;
        coordinator.kill();
        sleep(pause).await;
        let coordinator = start(dir.path(), "coordinator", "coordinator", address, "");
        Self { dir, coordinator, address }
    }

    /// A registry that comes to the coordinator by `address`, once it is ready.
    async fn registry_by(&self, name: &str, address: SocketAddr) -> (Process, RegistryClient) {
        let (process, url) = registry(self.dir.path(), name, address);
        await_ready(&url).await;
        (process, RegistryClient::new(&url).unwrap())
    }

    async fn registry(&self, name: &str) -> (Process, RegistryClient) {
        self.registry_by(name, self.address).await
    }
}

fn start(dir: &Path, service: &str, name: &str, listen: SocketAddr, more: &str) -> Process {
    let (file, data) = (dir.join(format!("{name}.toml")), dir.join(name));
    let text = format!("listen = \"{listen}\"\ndata_dir = \"{}\"\n{more}", data.display());
    fs::write(&file, text).unwrap();
    let arguments = ["--config".as_ref(), file.as_os_str()];
    Process::start(&format!("dohle-{service}"), arguments, &[service])
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn registry(dir: &Path, name: &str, coordinator: SocketAddr) -> (Process, String) {
    let process =
        start(dir, "registry", name, any(), &format!("coordinators = [\"{coordinator}\"]\n"));
    let url = format!("http://{}", process.address("registry"));
    (process, url)
}

async fn await_ready(url: &str) {
    while probe(url, Question::Ready, Duration::from_secs(5)).await.is_err() {
        sleep(Duration::from_millis(100)).await;
    }
}

/// A record that may follow those of lower versions.
fn schema(subject: usize, version: usize) -> String {
    let fields: Vec<_> = (0..=version)
        .map(|n| format!(r#"{{"name":"f{n}","type":["null","int"],"default":null}}"#))
        .collect();
    format!(r#"{{"type":"record","name":"S{subject}","fields":[{}]}}"#, fields.join(","))
}

/// Registers every schema of some subjects through all registries at once. Each gets one id, and the
/// ids are dense behind `before`; each subject has a version for each of its schemas.
async fn register_everywhere(
    clients: &[&RegistryClient],
    subjects: std::ops::Range<usize>,
    versions: usize,
    before: u32,
) {
    let mut registrations = Vec::new();
    for subject in subjects.clone() {
        for version in 0..versions {
            for client in clients {
                registrations.push(async move {
                    let (name, text) = (format!("s{subject}-value"), schema(subject, version));
                    let id = client.register(&name, &text).await.unwrap();
                    (subject, version, id.get())
                });
            }
        }
    }
    let mut ids: BTreeMap<(usize, usize), BTreeSet<u32>> = BTreeMap::new();
    for (subject, version, id) in join_all(registrations).await {
        ids.entry((subject, version)).or_default().insert(id);
    }
    assert!(ids.values().all(|same| same.len() == 1), "one content, one id: {ids:?}");
    let all: BTreeSet<u32> = ids.values().flatten().copied().collect();
    let dense: BTreeSet<u32> = (before + 1..).take(subjects.len() * versions).collect();
    assert_eq!(all, dense);
    for subject in subjects {
        let name = format!("s{subject}-value");
        let expected: Vec<u32> = (1..).take(versions).collect();
        let mut seen = BTreeSet::new();
        for client in clients {
            assert_eq!(client.versions(&name).await.unwrap(), expected);
        }
        for version in expected {
            seen.insert(clients[0].version(&name, version).await.unwrap().id);
        }
        assert_eq!(seen.len(), versions, "a version for each schema");
    }
}

#[tokio::test]
async fn concurrent_registrations_through_two_registries_never_share_an_id_or_a_version() {
    let lab = Lab::start();
    let (_one, one) = lab.registry("one").await;
    let (_other, other) = lab.registry("other").await;
    register_everywhere(&[&one, &other], 0..4, 12, 0).await;
}

#[tokio::test]
async fn what_one_registry_wrote_the_other_reads_at_once() {
    let lab = Lab::start();
    let (_one, one) = lab.registry("one").await;
    let (_other, other) = lab.registry("other").await;
    let clients = [one, other];
    for version in 0..30 {
        let (writer, reader) = (&clients[version % 2], &clients[(version + 1) % 2]);
        let text = schema(0, version);
        let id = writer.register("s", &text).await.unwrap();
        let latest = reader.latest("s").await.unwrap();
        assert_eq!((latest.id, latest.version as usize), (id, version + 1));
        assert_eq!(reader.schema(id).await.unwrap(), text);
    }
}

#[tokio::test]
async fn what_one_registry_deleted_or_set_counts_for_the_other_at_once() {
    let lab = Lab::start();
    let (_one, one) = lab.registry("one").await;
    let (_other, other) = lab.registry("other").await;
    for round in 0..3 {
        let (one, other) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        for version in 0..3 {
            one.register("s", &schema(0, version)).await.unwrap();
        }
        assert_eq!(other.latest("s").await.unwrap().schema, schema(0, 2));
        one.delete_version("s", 3, Deletion::Soft).await.unwrap();
        assert_eq!(other.latest("s").await.unwrap().schema, schema(0, 1));
        assert_eq!(other.versions("s").await.unwrap(), [1, 2]);
        other.delete_subject("s", Deletion::Soft).await.unwrap();
        one.latest("s").await.unwrap_err();
        one.delete_subject("s", Deletion::Permanent).await.unwrap();
        assert_eq!(other.subjects().await.unwrap(), [""; 0]);

        other.register("t", r#"{"type":"record","name":"T","fields":[]}"#).await.unwrap();
        one.set_compatibility(Some("t"), "NONE").await.unwrap();
        other.register("t", r#""string""#).await.unwrap();
        other.set_compatibility(Some("t"), "FULL").await.unwrap();
        one.register("t", r#""int""#).await.unwrap_err();
        one.delete_subject("t", Deletion::Soft).await.unwrap();
        other.delete_subject("t", Deletion::Permanent).await.unwrap();
        assert_eq!(one.compatibility(Some("t")).await.unwrap(), "BACKWARD");
    }
}

/// A schema with so many quotes in its text.
fn quoting(name: &str, quotes: usize) -> String {
    let doc = r#"\""#.repeat(quotes);
    format!(r#"{{"type":"record","name":"{name}","doc":"{doc}","fields":[]}}"#)
}

#[tokio::test]
async fn what_is_too_large_for_one_change_is_refused_as_a_schema_that_is_too_large() {
    let lab = Lab::start();
    let (_one, one) = lab.registry("one").await;
    let (_other, other) = lab.registry("other").await;
    // Stored as JSON, each quote takes four bytes.
    let fits = quoting("Fits", 270_000);
    let id = one.register("s", &fits).await.unwrap();
    assert_eq!(other.schema(id).await.unwrap(), fits);
    let refused = one.register("t", &quoting("Large", 290_000)).await.unwrap_err();
    let refused = format!("{refused:?}");
    assert!(refused.contains("42209") && refused.contains("1114112"), "{refused}");
    assert_eq!(other.subjects().await.unwrap(), ["s"]);
    assert_eq!(other.register("t", r#""int""#).await.unwrap(), SchemaId::new(id.get() + 1));
}
