//! A lake in memory that uses every freedom the store's law leaves it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lake::LakePath;
use sink::store::{Entry, EntryKind, FileStore, FileWriter, Operation, StoreError};
use tokio::sync::Semaphore;

/// What happens to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before it.
    KillBefore,
    /// The process dies after it took effect.
    KillAfter,
    /// It takes effect, and the answer is lost.
    LoseReply,
    /// It gets lost itself.
    LoseRequest,
    /// It is refused.
    Fail,
}

/// One process's view of the lake. Its operations are counted, and one of them may go wrong.
#[derive(Clone, Debug)]
pub(crate) struct FaultyStore {
    lake: Arc<Mutex<Lake>>,
    process: Arc<Process>,
}

#[derive(Debug, Default)]
struct Lake {
    live: Tree,
    /// What a power loss leaves, before `pending`.
    lasting: Tree,
    /// Changes of names that were not synced, in order.
    pending: Vec<Change>,
}

type Tree = BTreeMap<String, Node>;

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(Arc<Mutex<Content>>),
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    closed: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Make(String, Node),
    /// With what was moved: a file may get its lasting name before its first one would last.
    Rename(String, String, Node),
    Delete(String),
}

#[derive(Debug, Default)]
struct Process {
    operations: AtomicU64,
    fault: Mutex<Option<(u64, Fault)>>,
    dead: AtomicBool,
    gate: Mutex<Option<Arc<Gate>>>,
}

/// Stops a process before one operation, until it is let go.
#[derive(Debug)]
pub(crate) struct Gate {
    stop_at: fn(Operation, &LakePath) -> bool,
    reached: Semaphore,
    go: Semaphore,
}

impl Gate {
    /// Waits until the process stands at the gate.
    pub(crate) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets the process go to the next operation that the gate stops.
    pub(crate) fn pass(&self) {
        self.go.add_permits(1);
    }

    pub(crate) fn open(&self) {
        self.go.add_permits(1_000);
    }
}

enum Outcome {
    Proceed,
    Refuse(StoreError),
    ThenRefuse(StoreError),
}

impl FaultyStore {
    pub(crate) fn new() -> Self {
        let mut lake = Lake::default();
        lake.live.insert(String::new(), Node::Directory);
        lake.lasting.insert(String::new(), Node::Directory);
        Self { lake: Arc::new(Mutex::new(lake)), process: Arc::default() }
    }

    /// The same lake, seen by another process.
    pub(crate) fn another_process(&self) -> Self {
        Self { lake: Arc::clone(&self.lake), process: Arc::default() }
    }

    /// Lets operation number `at`, from 0, go wrong.
    pub(crate) fn fault(&self, at: u64, fault: Fault) {
        *self.process.fault.lock().unwrap() = Some((at, fault));
    }

    /// Stops the process before the first operation that `stop_at` names.
    pub(crate) fn gate(&self, stop_at: fn(Operation, &LakePath) -> bool) -> Arc<Gate> {
        let (reached, go) = (Semaphore::new(0), Semaphore::new(0));
        let gate = Arc::new(Gate { stop_at, reached, go });
        *self.process.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    pub(crate) fn operations(&self) -> u64 {
        self.process.operations.load(Ordering::Relaxed)
    }

    /// Power fails: of the changes of names that were not synced only the first `kept` stay, and
    /// files that were not closed are empty.
    pub(crate) fn power_loss(&self, kept: usize) {
        let mut lake = self.lake.lock().unwrap();
        let pending = std::mem::take(&mut lake.pending);
        for change in pending.into_iter().take(kept) {
            apply(&mut lake.lasting, change);
        }
        // What lies in a directory that did not last is lost.
        let directories = lake.lasting.clone();
        let reachable = |path: &String| {
            let path = LakePath::new(path).ok();
            let above = std::iter::successors(path, LakePath::parent).skip(1);
            above.into_iter().all(|it| directories.contains_key(it.as_str()))
        };
        lake.lasting.retain(|path, _| reachable(path));
        lake.live = lake.lasting.clone();
        for node in lake.live.values() {
            if let Node::File(content) = node {
                let mut content = content.lock().unwrap();
                if !content.closed {
                    content.bytes.clear();
                }
            }
        }
    }

    /// Paths of all files below `directory`.
    pub(crate) fn files(&self, directory: &str) -> Vec<LakePath> {
        let lake = self.lake.lock().unwrap();
        let files = lake.live.iter().filter(|(path, node)| {
            matches!(node, Node::File(_)) && path.starts_with(&format!("{directory}/"))
        });
        files.map(|(path, _)| LakePath::new(path).unwrap()).collect()
    }

    /// The bytes of a file, to be looked at or damaged.
    pub(crate) fn edit<T>(&self, path: &LakePath, edit: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let lake = self.lake.lock().unwrap();
        match lake.live.get(path.as_str()) {
            Some(Node::File(content)) => edit(&mut content.lock().unwrap().bytes),
            Some(Node::Directory) | None => panic!("{path} is no file"),
        }
    }

    async fn before(&self, operation: Operation, path: &LakePath) -> Outcome {
        let gate = self.process.gate.lock().unwrap().clone();
        if let Some(gate) = gate.filter(|gate| (gate.stop_at)(operation, path)) {
            gate.reached.add_permits(1);
            gate.go.acquire().await.unwrap().forget();
        }
        let error = |unknown: bool| {
            let (path, source) = (path.clone(), "injected".into());
            if unknown {
                StoreError::Unknown { operation, path, source }
            } else {
                StoreError::Failed { operation, path, source }
            }
        };
        if self.process.dead.load(Ordering::Relaxed) {
            return Outcome::Refuse(error(false));
        }
        let number = self.process.operations.fetch_add(1, Ordering::Relaxed);
        let fault = *self.process.fault.lock().unwrap();
        match fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault) {
            None => Outcome::Proceed,
            Some(Fault::KillBefore) => {
                self.process.dead.store(true, Ordering::Relaxed);
                Outcome::Refuse(error(false))
            }
            Some(Fault::KillAfter) => {
                self.process.dead.store(true, Ordering::Relaxed);
                Outcome::ThenRefuse(error(false))
            }
            Some(Fault::LoseReply) => Outcome::ThenRefuse(error(true)),
            Some(Fault::LoseRequest) => Outcome::Refuse(error(true)),
            Some(Fault::Fail) => Outcome::Refuse(error(false)),
        }
    }

    async fn run<T>(
        &self,
        operation: Operation,
        path: &LakePath,
        effect: impl FnOnce(&mut Lake) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let outcome = self.before(operation, path).await;
        let mut lake = self.lake.lock().unwrap();
        match outcome {
            Outcome::Proceed => effect(&mut lake),
            Outcome::Refuse(error) => Err(error),
            Outcome::ThenRefuse(error) => effect(&mut lake).and(Err(error)),
        }
    }
}

impl Lake {
    fn change(&mut self, change: Change) {
        apply(&mut self.live, change.clone());
        self.pending.push(change);
    }

    fn vacancy(&self, path: &LakePath) -> Result<(), StoreError> {
        let parent = path.parent().unwrap();
        match self.live.get(parent.as_str()) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) | None => return Err(StoreError::NotFound { path: path.clone() }),
        }
        if self.live.contains_key(path.as_str()) {
            return Err(StoreError::AlreadyExists { path: path.clone() });
        }
        Ok(())
    }

    fn found(&self, path: &LakePath) -> Result<&Node, StoreError> {
        self.live.get(path.as_str()).ok_or(StoreError::NotFound { path: path.clone() })
    }
}

fn apply(tree: &mut Tree, change: Change) {
    match change {
        Change::Make(path, node) => {
            tree.insert(path, node);
        }
        Change::Delete(path) => {
            let below = format!("{path}/");
            tree.retain(|name, _| *name != path && !name.starts_with(&below));
        }
        Change::Rename(from, to, moved) => {
            let below = format!("{from}/");
            let names = tree.keys().filter(|name| **name == from || name.starts_with(&below));
            let names: Vec<String> = names.cloned().collect();
            for name in names {
                if let Some(node) = tree.remove(&name) {
                    tree.insert(name.replacen(&from, &to, 1), node);
                }
            }
            tree.insert(to, moved);
        }
    }
}

fn touches(change: &Change, directory: &str) -> bool {
    let parent = |path: &str| path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
    match change {
        Change::Make(path, _) | Change::Delete(path) => parent(path) == directory,
        Change::Rename(from, to, _) => parent(from) == directory || parent(to) == directory,
    }
}

fn kind(node: &Node) -> EntryKind {
    match node {
        Node::Directory => EntryKind::Directory,
        Node::File(content) => EntryKind::File { len: content.lock().unwrap().bytes.len() as u64 },
    }
}

#[derive(Debug)]
pub(crate) struct FaultyWriter {
    store: FaultyStore,
    path: LakePath,
    content: Arc<Mutex<Content>>,
}

impl FileStore for FaultyStore {
    type Writer = FaultyWriter;

    async fn create(&self, path: &LakePath) -> Result<FaultyWriter, StoreError> {
        let create = |lake: &mut Lake| {
            lake.vacancy(path)?;
            let content = Arc::<Mutex<Content>>::default();
            lake.change(Change::Make(path.to_string(), Node::File(Arc::clone(&content))));
            Ok(content)
        };
        let content = self.run(Operation::Create, path, create).await?;
        Ok(FaultyWriter { store: self.clone(), path: path.clone(), content })
    }

    async fn rename(&self, from: &LakePath, to: &LakePath) -> Result<(), StoreError> {
        let rename = |lake: &mut Lake| {
            let moved = lake.found(from)?.clone();
            lake.vacancy(to)?;
            lake.change(Change::Rename(from.to_string(), to.to_string(), moved));
            Ok(())
        };
        self.run(Operation::Rename, from, rename).await
    }

    async fn make_directories(&self, path: &LakePath) -> Result<(), StoreError> {
        let make = |lake: &mut Lake| {
            let mut missing = Vec::new();
            let mut next = Some(path.clone());
            while let Some(path) = next {
                next = path.parent();
                if !lake.live.contains_key(path.as_str()) {
                    missing.push(path);
                }
            }
            for path in missing.iter().rev() {
                lake.change(Change::Make(path.to_string(), Node::Directory));
            }
            Ok(())
        };
        self.run(Operation::MakeDirectories, path, make).await
    }

    async fn list(&self, path: &LakePath) -> Result<Vec<Entry>, StoreError> {
        let list = |lake: &mut Lake| {
            if let Node::File(_) = lake.found(path)? {
                return Err(StoreError::NotFound { path: path.clone() });
            }
            let entries = lake.live.iter().filter_map(|(name, node)| {
                let place = LakePath::new(name).ok()?;
                let here = place.parent().as_ref() == Some(path);
                here.then(|| Entry { name: place.name().to_owned(), kind: kind(node) })
            });
            Ok(entries.collect())
        };
        self.run(Operation::List, path, list).await
    }

    async fn stat(&self, path: &LakePath) -> Result<Option<EntryKind>, StoreError> {
        let stat = |lake: &mut Lake| Ok(lake.live.get(path.as_str()).map(kind));
        self.run(Operation::Stat, path, stat).await
    }

    async fn read(&self, path: &LakePath, position: u64, max: usize) -> Result<Bytes, StoreError> {
        let read = |lake: &mut Lake| match lake.found(path)? {
            Node::Directory => Err(StoreError::NotFound { path: path.clone() }),
            Node::File(content) => {
                let content = content.lock().unwrap();
                let from = usize::try_from(position).unwrap().min(content.bytes.len());
                let to = from.saturating_add(max).min(content.bytes.len());
                Ok(Bytes::copy_from_slice(&content.bytes[from..to]))
            }
        };
        self.run(Operation::Read, path, read).await
    }

    async fn delete(&self, path: &LakePath) -> Result<(), StoreError> {
        let delete = |lake: &mut Lake| {
            lake.change(Change::Delete(path.to_string()));
            Ok(())
        };
        self.run(Operation::Delete, path, delete).await
    }

    async fn sync_directory(&self, path: &LakePath) -> Result<(), StoreError> {
        let sync = |lake: &mut Lake| {
            lake.found(path)?;
            // These names, and no others: of those the store promises nothing.
            for change in std::mem::take(&mut lake.pending) {
                if touches(&change, path.as_str()) {
                    apply(&mut lake.lasting, change);
                } else {
                    lake.pending.push(change);
                }
            }
            Ok(())
        };
        self.run(Operation::SyncDirectory, path, sync).await
    }
}

impl FileWriter for FaultyWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let write = |_: &mut Lake| {
            self.content.lock().unwrap().bytes.extend_from_slice(&bytes);
            Ok(())
        };
        self.store.run(Operation::Write, &self.path, write).await
    }

    async fn close(self) -> Result<(), StoreError> {
        let close = |_: &mut Lake| {
            self.content.lock().unwrap().closed = true;
            Ok(())
        };
        self.store.run(Operation::Close, &self.path, close).await
    }
}
