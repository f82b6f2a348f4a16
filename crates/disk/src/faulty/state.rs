use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Operation;
use super::misfortune::{Fate, Misfortune, without_power};
use super::node::{DirectoryNode, FileNode, Loss, Node, NodeId};
use super::random::Random;
use crate::{Entry, EntryKind, LockError, Space};

const ROOT: NodeId = 0;

#[derive(Debug)]
pub(super) struct State {
    random: Random,
    nodes: BTreeMap<NodeId, Node>,
    /// The path each file was last opened or created under: what planned faults are matched with.
    opened_as: BTreeMap<NodeId, PathBuf>,
    locks: BTreeMap<PathBuf, u64>,
    misfortune: Misfortune,
    capacity: Option<u64>,
    /// Bytes that cannot be read.
    spoilt: Vec<(NodeId, u64)>,
    /// Grows at each loss of power; handles of an earlier life are dead.
    life: u64,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            nodes: BTreeMap::from([(ROOT, Node::Directory(DirectoryNode::default()))]),
            opened_as: BTreeMap::new(),
            locks: BTreeMap::new(),
            misfortune: Misfortune::default(),
            capacity: None,
            spoilt: Vec::new(),
            life: 0,
        }
    }

    pub(super) fn life(&self) -> u64 {
        self.life
    }

    pub(super) fn lose_power(&mut self) {
        let loss = Loss::draw(&mut self.random);
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.lose_power(loss, &mut self.random),
                Node::Directory(directory) => directory.lose_power(loss, &mut self.random),
            }
        }
        self.locks.clear();
        self.opened_as.clear();
        self.misfortune = Misfortune::default();
        self.life += 1;
    }

    pub(super) fn misfortune(&mut self) -> &mut Misfortune {
        &mut self.misfortune
    }

    pub(super) fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    pub(super) fn rot(&mut self, path: &Path, position: u64) -> io::Result<()> {
        let node = self.find(path)?;
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        let file = self.file_node(node)?;
        let Some(byte) = file.visible().get(position).map(|byte| byte ^ 0x10) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        file.write(position, &[byte]);
        file.sync();
        Ok(())
    }

    pub(super) fn spoil(&mut self, path: &Path, position: u64) -> io::Result<()> {
        let node = self.find(path)?;
        self.spoilt.push((node, position));
        Ok(())
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        let id = self.create(path, Node::File(FileNode::default()))?;
        self.opened_as.insert(id, path.to_path_buf());
        Ok(id)
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.create(path, Node::Directory(DirectoryNode::default())).map(drop)
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (parent, name) = self.parent(path)?;
        if self.directory(parent)?.visible().contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if let Fate::Fails(error) = self.fate(Operation::Create, path) {
            return Err(error);
        }
        let id = self.nodes.last_key_value().map_or(ROOT, |(last, _)| last + 1);
        self.nodes.insert(id, node);
        self.directory(parent)?.link(name, id);
        Ok(id)
    }

    pub(super) fn open(&mut self, path: &Path) -> io::Result<NodeId> {
        self.misfortune.check_power()?;
        let id = self.find(path)?;
        self.file_node(id)?;
        self.opened_as.insert(id, path.to_path_buf());
        Ok(id)
    }

    pub(super) fn list(&mut self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.misfortune.check_power()?;
        let id = self.find(dir)?;
        let names = self.directory(id)?.visible().clone();
        let kind = |id: &NodeId| match self.nodes.get(id) {
            Some(Node::Directory(_)) => EntryKind::Directory,
            Some(Node::File(_)) | None => EntryKind::File,
        };
        Ok(names.iter().map(|(name, id)| Entry { name: name.clone(), kind: kind(id) }).collect())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        self.file_node(id)?;
        self.unlink(path)
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        if !self.directory(id)?.visible().is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.unlink(path)
    }

    fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        if let Fate::Fails(error) = self.fate(Operation::Remove, path) {
            return Err(error);
        }
        self.directory(parent)?.unlink(name);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        if parent != to_parent {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        self.find(from)?;
        if let Ok(replaced) = self.find(to)
            && let Ok(directory) = self.directory(replaced)
            && !directory.visible().is_empty()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if let Fate::Fails(error) = self.fate(Operation::Rename, from) {
            return Err(error);
        }
        self.directory(parent)?.rename(from_name, to_name);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        let id = self.find(dir)?;
        if self.misfortune.planned(Operation::OpenDir, dir).is_some() {
            return Err(Errno::MFILE.into());
        }
        let fate = self.fate(Operation::SyncDir, dir);
        let loss = Loss::draw(&mut self.random);
        let Some(Node::Directory(node)) = self.nodes.get_mut(&id) else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        match fate {
            Fate::Succeeds => {
                node.sync();
                Ok(())
            }
            Fate::Fails(error) => {
                node.fail_sync(loss, &mut self.random);
                Err(error)
            }
        }
    }

    pub(super) fn space(&mut self, dir: &Path) -> io::Result<Space> {
        self.misfortune.check_power()?;
        self.find(dir)?;
        Ok(Space { free: self.room(), total: self.capacity.unwrap_or(u64::MAX) })
    }

    pub(super) fn lock(&mut self, path: &Path) -> Result<u64, LockError> {
        if self.locks.contains_key(path) {
            return Err(LockError::Held { path: path.to_path_buf(), holder: None });
        }
        self.misfortune
            .check_power()
            .map_err(|source| LockError::Io { path: path.to_path_buf(), source })?;
        self.locks.insert(path.to_path_buf(), self.life);
        Ok(self.life)
    }

    pub(super) fn unlock(&mut self, path: &Path, life: u64) {
        if self.locks.get(path) == Some(&life) {
            self.locks.remove(path);
        }
    }

    pub(super) fn read(
        &mut self,
        node: NodeId,
        life: u64,
        buffer: &mut [u8],
        position: u64,
    ) -> io::Result<usize> {
        self.check_life(life)?;
        self.misfortune.check_power()?;
        let path = self.path_of(node);
        if let Some(error) = self.misfortune.planned(Operation::Read, &path) {
            return Err(error);
        }
        let spoilt = self.spoilt.iter().filter(|(spoilt, at)| *spoilt == node && position <= *at);
        let readable = spoilt.map(|(_, at)| at - position).min();
        if readable == Some(0) {
            return Err(io::Error::other("the medium cannot be read there"));
        }
        let readable = readable.and_then(|readable| usize::try_from(readable).ok());
        let short = self.random.one_in(4).then(|| self.random.below(buffer.len()).max(1));
        let file = self.file_node(node)?;
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(file.visible().len());
        let (_, rest) = file.visible().split_at(start);
        let bounds = [short, readable].into_iter().flatten();
        let read = bounds.fold(rest.len().min(buffer.len()), usize::min);
        for (target, byte) in buffer.iter_mut().zip(rest.iter().take(read)) {
            *target = *byte;
        }
        Ok(read)
    }

    pub(super) fn write(
        &mut self,
        node: NodeId,
        life: u64,
        bytes: &[u8],
        position: u64,
    ) -> io::Result<()> {
        self.check_life(life)?;
        let at = usize::try_from(position).unwrap_or(usize::MAX);
        let mut fate = self.fate(Operation::Write, &self.path_of(node));
        let end = position.saturating_add(bytes.len() as u64);
        let grows = end.saturating_sub(self.file_node(node)?.visible().len() as u64);
        let room = self.room();
        if grows > room && matches!(fate, Fate::Succeeds) {
            fate = Fate::Fails(io::ErrorKind::StorageFull.into());
        }
        let torn = self.random.below(bytes.len() + 1);
        let file = self.file_node(node)?;
        match fate {
            Fate::Succeeds => {
                file.write(at, bytes);
                Ok(())
            }
            Fate::Fails(error) => {
                let fits = bytes.len() as u64 - grows.saturating_sub(room).min(bytes.len() as u64);
                let torn = torn.min(usize::try_from(fits).unwrap_or(usize::MAX));
                let (written, _) = bytes.split_at(torn);
                file.write(at, written);
                Err(error)
            }
        }
    }

    pub(super) fn sync_data(&mut self, node: NodeId, life: u64) -> io::Result<()> {
        self.check_life(life)?;
        let fate = self.fate(Operation::SyncData, &self.path_of(node));
        let loss = Loss::draw(&mut self.random);
        let Some(Node::File(file)) = self.nodes.get_mut(&node) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        match fate {
            Fate::Succeeds => {
                file.sync();
                Ok(())
            }
            Fate::Fails(error) => {
                file.fail_sync(loss, &mut self.random);
                Err(error)
            }
        }
    }

    pub(super) fn forget_cached(&mut self, node: NodeId, life: u64) -> io::Result<()> {
        self.check_life(life)?;
        self.file_node(node)?.forget_cached();
        Ok(())
    }

    pub(super) fn set_len(&mut self, node: NodeId, life: u64, len: u64) -> io::Result<()> {
        self.check_life(life)?;
        if let Fate::Fails(error) = self.fate(Operation::SetLen, &self.path_of(node)) {
            return Err(error);
        }
        self.file_node(node)?.set_len(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    pub(super) fn len(&mut self, node: NodeId, life: u64) -> io::Result<u64> {
        self.check_life(life)?;
        self.misfortune.check_power()?;
        Ok(self.file_node(node)?.visible().len() as u64)
    }

    fn fate(&mut self, operation: Operation, path: &Path) -> Fate {
        self.misfortune.fate(operation, path)
    }

    fn check_life(&self, life: u64) -> io::Result<()> {
        if life == self.life { Ok(()) } else { Err(without_power()) }
    }

    fn path_of(&self, node: NodeId) -> PathBuf {
        self.opened_as.get(&node).cloned().unwrap_or_default()
    }

    fn parent(&mut self, path: &Path) -> io::Result<(NodeId, OsString)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        self.directory(parent)?;
        Ok((parent, name.to_os_string()))
    }

    fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut id = ROOT;
        for part in path.components().filter(|part| matches!(part, std::path::Component::Normal(_)))
        {
            let Some(Node::Directory(directory)) = self.nodes.get(&id) else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            id = *directory.visible().get(part.as_os_str()).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(id)
    }

    fn directory(&mut self, id: NodeId) -> io::Result<&mut DirectoryNode> {
        match self.nodes.get_mut(&id) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file_node(&mut self, id: NodeId) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used(ROOT)))
    }

    pub(super) fn used_in_all(&self) -> u64 {
        self.used(ROOT)
    }

    /// Bytes of every file below a directory.
    fn used(&self, id: NodeId) -> u64 {
        match self.nodes.get(&id) {
            Some(Node::File(file)) => file.visible().len() as u64,
            Some(Node::Directory(directory)) => {
                directory.visible().values().map(|child| self.used(*child)).sum()
            }
            None => 0,
        }
    }
}
