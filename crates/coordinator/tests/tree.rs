//! The tree as its callers see it, through the client: over gRPC, in this process, and in one that
//! is killed.

#![expect(clippy::unwrap_used, reason = "a test; its helpers are not marked as such")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use client::tree::{
    Change, Expectation, Lifetime, Missing, Naming, News, NodePath, NodeVersion, Operation, Scope,
    Transacted, TreeClient, TreeError, Wanted,
};
use coordinator::{Config, RunError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::{Coded as _, Reason, Revision};

const SECOND: Duration = Duration::from_secs(1);
const EVERYTHING: Scope = Scope { subtree: true, with_data: true };

struct Running {
    tree: TreeClient,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

fn start(dir: &Path) -> Running {
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: dir.join("coordinator"),
        checkpoint_entries: 5,
        feed_bytes: 20_000,
        ..Config::default()
    };
    let app = config.build().unwrap();
    let tree = TreeClient::new([app.address().to_string()], 10 * SECOND);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(app.run(shutdown.clone()));
    Running { tree, shutdown, task }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn path(text: &str) -> NodePath {
    NodePath::new(text).unwrap()
}

async fn create(tree: &TreeClient, at: &str, data: &str) -> Result<String, TreeError> {
    tree.create(&path(at), data.to_owned(), Lifetime::Persistent, Naming::Given).await
}

#[track_caller]
fn reason<T: std::fmt::Debug>(result: Result<T, TreeError>) -> Reason {
    result.unwrap_err().reason()
}

#[tokio::test]
async fn nodes_are_made_read_set_and_deleted_by_version() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let tree = &running.tree;
    assert_eq!(create(tree, "/test", "sample").await.unwrap(), "/test");
    assert_eq!(tree.get(&path("/test")).await.unwrap().0, "sample");
    let set = tree.set(&path("/test"), "bar", Some(NodeVersion::new(0))).await.unwrap();
    assert_eq!((set.version, set.data_length), (NodeVersion::new(1), 3));
    assert!(set.created < set.modified);
    assert_eq!(tree.stat(&path("/test")).await.unwrap(), set);
    assert_eq!(tree.children(&path("/")).await.unwrap(), ["test"]);
    create(tree, "/test/below", "").await.unwrap();

    let stale = tree.set(&path("/test"), "baz", Some(NodeVersion::new(0))).await;
    assert_eq!(reason(stale), Reason::BadVersion);
    assert_eq!(reason(create(tree, "/test", "").await), Reason::NodeExists);
    assert_eq!(reason(create(tree, "/no/such", "").await), Reason::NoNode);
    assert_eq!(reason(tree.delete(&path("/test"), None).await), Reason::NotEmpty);
    assert_eq!(reason(tree.delete(&path("/"), None).await), Reason::InvalidRequest);
    let refused = tree.get(&path("/nope")).await.unwrap_err();
    assert_eq!(refused.to_string(), "Node does not exist: /nope");

    assert_eq!(tree.delete_all(&path("/test")).await.unwrap(), 2);
    assert!(tree.children(&path("/")).await.unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_node_holds_a_mebibyte_and_no_more_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let full = "x".repeat(1024 * 1024);
    create(&running.tree, "/full", &full).await.unwrap();
    let refused = create(&running.tree, "/more", &format!("{full}x")).await;
    assert_eq!(reason(refused), Reason::InvalidRequest);
    // Beyond what a checkpoint is taken after.
    for n in 0..6 {
        create(&running.tree, &format!("/n{n}"), "").await.unwrap();
    }
    running.stop().await;
    let running = start(dir.path());
    assert_eq!(running.tree.get(&path("/full")).await.unwrap().0, full);
    running.stop().await;
}

#[tokio::test]
async fn a_transaction_is_done_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let tree = &running.tree;
    create(tree, "/a", "1").await.unwrap();
    let check = |data: &'static str| Operation::Check {
        path: path("/a"),
        expected: Expectation::Data(data.into()),
    };
    let put = |at: &str| Operation::Put { path: path(at), data: "new".into() };
    let delete = Operation::Delete { path: path("/none"), version: None, missing: Missing::Fine };
    let refused = tree.multi(&[put("/b"), check("2"), put("/a")]).await.unwrap();
    let Transacted::Refused { operation, cause } = refused else { panic!("{refused:?}") };
    assert_eq!((operation, cause.reason()), (1, Reason::BadVersion));
    assert_eq!(reason(tree.get(&path("/b")).await), Reason::NoNode);
    let done = tree.multi(&[put("/b"), check("1"), put("/a"), delete]).await.unwrap();
    let Transacted::Done(results) = done else { panic!("{done:?}") };
    let versions: Vec<_> =
        results.iter().map(|(_, stat)| stat.map(|stat| stat.version.get())).collect();
    assert_eq!(versions, [Some(0), Some(0), Some(1), None]);
    running.stop().await;
}

#[tokio::test]
async fn concurrent_increments_by_compare_and_set_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    create(&running.tree, "/counter", "0").await.unwrap();
    let increments = (0..8).map(|_| {
        let tree = running.tree.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                loop {
                    let (data, stat) = tree.get(&path("/counter")).await.unwrap();
                    let count: u64 = String::from_utf8_lossy(&data).parse().unwrap();
                    let next = (count + 1).to_string();
                    match tree.set(&path("/counter"), next, Some(stat.version)).await {
                        Ok(_) => break,
                        Err(error) => assert_eq!(error.reason(), Reason::BadVersion),
                    }
                }
            }
        })
    });
    for increment in increments.collect::<Vec<_>>() {
        increment.await.unwrap();
    }
    let (data, stat) = running.tree.get(&path("/counter")).await.unwrap();
    assert_eq!((data.as_ref(), stat.version.get()), (b"160".as_slice(), 160));
    running.stop().await;
}

#[tokio::test]
async fn children_are_listed_by_prefix_and_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let made = (0..25).map(|n| Operation::create(path(&format!("/n{n:02}")), format!("{n}")));
    assert!(matches!(running.tree.multi(&made.collect::<Vec<_>>()).await, Ok(Transacted::Done(_))));
    let mut wanted = Wanted { prefix: "n1".into(), limit: 4, with_data: true, ..Wanted::default() };
    let mut found = Vec::new();
    loop {
        let listing = running.tree.list(&path("/"), &wanted).await.unwrap();
        wanted.after = listing.children.last().unwrap().name.clone();
        found.extend(listing.children.into_iter().map(|child| child.data));
        if !listing.more {
            break;
        }
    }
    let expected: Vec<_> = (10..20).map(|n| n.to_string()).collect();
    assert_eq!(found, expected);
    running.stop().await;
}

#[tokio::test]
async fn numbered_nodes_are_numbered_apart_for_each_parent_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for _life in 0..3 {
        let running = start(dir.path());
        create(&running.tree, "/queue", "").await.ok();
        for _ in 0..4 {
            let at = path("/queue/n-");
            let numbered = running.tree.create(&at, "", Lifetime::Persistent, Naming::Sequential);
            made.push(numbered.await.unwrap());
        }
        running.stop().await;
    }
    let expected: Vec<_> = (0..12).map(|n| format!("/queue/n-{n:010}")).collect();
    assert_eq!(made, expected);
}

#[tokio::test]
async fn ephemeral_nodes_go_with_their_session() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let tree = &running.tree;
    let make = async |at: &str, lifetime| tree.create(&path(at), "", lifetime, Naming::Given).await;
    let closed = tree.session(60 * SECOND).await.unwrap();
    make("/closed", Lifetime::Ephemeral(closed.id())).await.unwrap();
    let below = make("/closed/below", Lifetime::Persistent).await;
    assert_eq!(reason(below), Reason::NoChildrenForEphemerals);
    let stat = tree.stat(&path("/closed")).await.unwrap();
    assert_eq!(stat.owner, Some(closed.id()));

    // Kept alive for longer than its timeout; then dropped, and nobody gives a sign of life.
    let silent = tree.session(SECOND).await.unwrap();
    let lost = silent.id();
    make("/silent", Lifetime::Ephemeral(silent.id())).await.unwrap();
    let mut watch = tree.watch(&path("/silent"), EVERYTHING, None).await.unwrap();
    let (_, News::Snapshot { .. }) = watch.next().await.unwrap() else { panic!("no snapshot") };
    tokio::time::sleep(3 * SECOND).await;
    assert!(tree.stat(&path("/silent")).await.is_ok() && !silent.lost().is_cancelled());
    drop(silent);
    let (_, news) = tokio::time::timeout(10 * SECOND, watch.next()).await.unwrap().unwrap();
    assert_eq!(news, News::Changes(vec![Change::Deleted { path: "/silent".into() }]));
    let after = make("/late", Lifetime::Ephemeral(lost)).await;
    assert_eq!(reason(after), Reason::SessionExpired);

    closed.close().await.unwrap();
    assert_eq!(reason(tree.stat(&path("/closed")).await), Reason::NoNode);
    running.stop().await;
}

/// Follows a watch until it has everything up to `until`.
async fn follow(
    tree: &TreeClient,
    copy: &mut BTreeMap<String, Vec<u8>>,
    after: Option<Revision>,
    until: Revision,
) -> Result<Revision, TreeError> {
    let mut watch = tree.watch(&path("/w"), EVERYTHING, after).await?;
    let mut last = after.unwrap_or(Revision::ZERO);
    while last < until {
        let (revision, news) = watch.next().await?;
        let whole = !matches!(news, News::Snapshot { complete: false, .. });
        match news {
            News::Snapshot { nodes, .. } => {
                copy.extend(nodes.into_iter().map(|node| (node.path, node.data.to_vec())));
            }
            News::Changes(changes) => {
                assert!(last < revision);
                for change in changes {
                    match change {
                        Change::Created(node) | Change::Changed(node) => {
                            copy.insert(node.path, node.data.to_vec());
                        }
                        Change::Deleted { path } => drop(copy.remove(&path)),
                    }
                }
            }
            News::Progress => {}
        }
        if whole {
            last = revision;
        }
    }
    Ok(last)
}

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let tree = &running.tree;
    for at in ["/w", "/w/old", "/w-neighbour", "/other"] {
        create(tree, at, "data").await.unwrap();
    }
    let mut copy = BTreeMap::new();
    let made = tree.stat(&path("/other")).await.unwrap().created;
    let last = follow(tree, &mut copy, None, made).await.unwrap();
    assert_eq!(copy.keys().collect::<Vec<_>>(), ["/w", "/w/old"]);

    tree.delete(&path("/w/old"), None).await.unwrap();
    create(tree, "/w/new", "1").await.unwrap();
    create(tree, "/w-neighbour/below", "").await.unwrap();
    let set = tree.set(&path("/w/new"), "2", None).await.unwrap().modified;
    let last = follow(tree, &mut copy, Some(last), set).await.unwrap();
    let expected = [("/w", "data"), ("/w/new", "2")];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(path, data)| (path.to_owned(), data.into())).collect();
    assert_eq!(copy, expected);

    // More than the feed holds: whoever stayed away is told so, and begins again.
    for n in 0..30 {
        create(tree, &format!("/big{n}"), &"x".repeat(1_000)).await.unwrap();
    }
    let behind = tree.watch(&path("/w"), EVERYTHING, Some(last)).await;
    assert_eq!(reason(behind), Reason::RevisionOutOfRange);
    let ahead = tree.watch(&path("/w"), EVERYTHING, Some(Revision::new(1_000_000))).await;
    assert_eq!(reason(ahead), Reason::RevisionOutOfRange);
    let mut again = BTreeMap::new();
    follow(tree, &mut again, None, last).await.unwrap();
    assert_eq!(again, expected);
    running.stop().await;
}

/// Killed when it goes out of scope.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start_process(dir: &Path) -> (Process, TreeClient) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dohle-coordinator"))
        .env("DOHLE_COORDINATOR_LISTEN", "127.0.0.1:0")
        .env("DOHLE_COORDINATOR_DATA_DIR", dir)
        .env("DOHLE_COORDINATOR_CHECKPOINT_ENTRIES", "3")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let process = Process(child);
    let mut lines = log.lines();
    let listening = lines.find(|line| line.as_ref().unwrap().contains("\"listening\""));
    let listening = listening.unwrap().unwrap();
    let (_, address) = listening.split_once("\"address\":\"").unwrap();
    let (address, _) = address.split_once('"').unwrap();
    // Reads on, so that the process never waits for its log to be taken.
    std::thread::spawn(move || lines.for_each(drop));
    (process, TreeClient::new([address], 10 * SECOND))
}

#[tokio::test]
async fn what_was_answered_is_there_after_kill_9_and_sessions_have_their_whole_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    let mut owner = None;
    for round in 0..6 {
        let (process, tree) = start_process(dir.path());
        let wanted = Wanted { with_data: true, ..Wanted::default() };
        let found = tree.list(&path("/"), &wanted).await.unwrap().children;
        let found: BTreeMap<_, _> = found
            .into_iter()
            .map(|child| (child.name, String::from_utf8(child.data.to_vec()).unwrap()))
            .collect();
        assert_eq!(found, expected, "round {round}");
        let session = if let Some(session) = owner {
            session
        } else {
            // Leaves without a sign of life from now on.
            let session = tree.session(60 * SECOND).await.unwrap();
            *owner.insert(session.id())
        };
        // Ends at another point of the checkpoints' rhythm each time.
        for n in 0..20 + round {
            let (name, data) = (format!("n{round}-{n:03}"), format!("{n}"));
            let goes = n % 5 == 0;
            let lifetime = if goes { Lifetime::Ephemeral(session) } else { Lifetime::Persistent };
            let at = path(&format!("/{name}"));
            tree.create(&at, data.clone(), lifetime, Naming::Given).await.unwrap();
            expected.insert(name.clone(), data);
            if n % 7 == 3 {
                tree.set(&at, "set", Some(NodeVersion::new(0))).await.unwrap();
                expected.insert(name.clone(), "set".to_owned());
            }
            if n % 7 == 5 {
                tree.delete(&at, Some(NodeVersion::new(0))).await.unwrap();
                expected.remove(&name);
            }
        }
        drop(process);
    }
}

/// What is answered to a word.
async fn say(address: std::net::SocketAddr, word: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(word.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn four_letter_words_are_answered_as_zookeeper_does() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        zookeeper_port: Some(0),
        data_dir: dir.path().join("coordinator"),
        ..Config::default()
    };
    let app = config.build().unwrap();
    let words = app.zookeeper_address().unwrap();
    let tree = TreeClient::new([app.address().to_string()], 10 * SECOND);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(app.run(shutdown.clone()));
    create(&tree, "/test", "sample").await.unwrap();
    assert_eq!(say(words, "ruok").await, "imok");
    let srvr = say(words, "srvr\r\n").await;
    assert!(srvr.starts_with("Zookeeper version: "), "{srvr}");
    assert!(srvr.contains("\nMode: standalone\nNode count: 2\n"), "{srvr}");
    assert!(say(words, "stat").await.contains("\nClients:\n /127.0.0.1:"));
    let mntr = say(words, "mntr").await;
    assert!(mntr.contains("\nzk_server_state\tstandalone\nzk_znode_count\t2\n"), "{mntr}");
    assert!(say(words, "what").await.contains("ruok"));
    shutdown.cancel();
    task.await.unwrap().unwrap();
}
