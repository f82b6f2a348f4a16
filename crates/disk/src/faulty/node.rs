use std::collections::BTreeMap;
use std::ffi::OsString;

use super::random::Random;

/// What a file or directory is, whatever it is called.
pub(super) type NodeId = u64;

#[derive(Debug)]
pub(super) enum Node {
    File(FileNode),
    Directory(DirectoryNode),
}

/// How a power loss treats what was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// The cache was written back just in time.
    Nothing,
    /// Nothing was written back yet.
    Everything,
    /// Writeback had come anywhere, in any order.
    Anything,
}

impl Loss {
    pub(super) fn draw(random: &mut Random) -> Self {
        match random.below(6) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Anything,
        }
    }

    fn keeps(self, random: &mut Random) -> bool {
        match self {
            Self::Nothing => true,
            Self::Everything => false,
            Self::Anything => random.one_in(2),
        }
    }
}

/// Content as readers see it, content as the platter holds it, and what lies between.
#[derive(Debug, Default)]
pub(super) struct FileNode {
    visible: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Bytes { at: usize, bytes: Vec<u8> },
    Length(usize),
}

impl FileNode {
    pub(super) fn visible(&self) -> &[u8] {
        &self.visible
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        overwrite(&mut self.visible, at, bytes);
        self.unsynced.push(Change::Bytes { at, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.visible.resize(len, 0);
        self.unsynced.push(Change::Length(len));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Bytes { at, bytes } => overwrite(&mut self.durable, at, &bytes),
                Change::Length(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// Any part of what was not synced reaches the platter; the rest never will, although readers
    /// go on seeing it until the power is lost.
    pub(super) fn fail_sync(&mut self, loss: Loss, random: &mut Random) {
        for change in self.unsynced.drain(..) {
            if loss.keeps(random) {
                match change {
                    Change::Bytes { at, bytes } => overwrite(&mut self.durable, at, &bytes),
                    Change::Length(len) => self.durable.resize(len, 0),
                }
            } else if let (Loss::Anything, Change::Bytes { at, bytes }) = (loss, change) {
                match random.below(3) {
                    // Torn: the start of it arrived.
                    0 => {
                        let (start, _) = bytes.split_at(random.below(bytes.len()));
                        overwrite(&mut self.durable, at, start);
                    }
                    // The length arrived, the content did not.
                    1 => {
                        let end = at.saturating_add(bytes.len());
                        if self.durable.len() < end {
                            self.durable.resize(end, 0);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Readers see what is on the platter, and what is still to be written there. The length stays.
    pub(super) fn forget_cached(&mut self) {
        let len = self.visible.len();
        self.visible.clone_from(&self.durable);
        for change in &self.unsynced {
            match change {
                Change::Bytes { at, bytes } => overwrite(&mut self.visible, *at, bytes),
                Change::Length(len) => self.visible.resize(*len, 0),
            }
        }
        self.visible.resize(len, 0);
    }

    pub(super) fn lose_power(&mut self, loss: Loss, random: &mut Random) {
        self.fail_sync(loss, random);
        self.visible.clone_from(&self.durable);
    }
}

fn overwrite(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at.saturating_add(bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(target) = content.get_mut(at..end) {
        target.copy_from_slice(bytes);
    }
}

/// Names as everyone sees them, names as the platter holds them, and what lies between.
#[derive(Debug, Default)]
pub(super) struct DirectoryNode {
    visible: BTreeMap<OsString, NodeId>,
    durable: BTreeMap<OsString, NodeId>,
    unsynced: Vec<Naming>,
}

#[derive(Debug)]
enum Naming {
    Link { name: OsString, node: NodeId },
    Unlink { name: OsString },
    Rename { from: OsString, to: OsString, node: NodeId },
}

impl Naming {
    fn apply(self, names: &mut BTreeMap<OsString, NodeId>) {
        match self {
            Self::Link { name, node } => {
                names.insert(name, node);
            }
            Self::Unlink { name } => {
                names.remove(&name);
            }
            Self::Rename { from, to, node } => {
                names.remove(&from);
                names.insert(to, node);
            }
        }
    }
}

impl DirectoryNode {
    pub(super) fn visible(&self) -> &BTreeMap<OsString, NodeId> {
        &self.visible
    }

    pub(super) fn link(&mut self, name: OsString, node: NodeId) {
        self.visible.insert(name.clone(), node);
        self.unsynced.push(Naming::Link { name, node });
    }

    pub(super) fn unlink(&mut self, name: OsString) {
        self.visible.remove(&name);
        self.unsynced.push(Naming::Unlink { name });
    }

    pub(super) fn rename(&mut self, from: OsString, to: OsString) {
        if let Some(node) = self.visible.remove(&from) {
            self.visible.insert(to.clone(), node);
            self.unsynced.push(Naming::Rename { from, to, node });
        }
    }

    pub(super) fn sync(&mut self) {
        for naming in self.unsynced.drain(..) {
            naming.apply(&mut self.durable);
        }
    }

    pub(super) fn fail_sync(&mut self, loss: Loss, random: &mut Random) {
        for naming in self.unsynced.drain(..) {
            if loss.keeps(random) {
                naming.apply(&mut self.durable);
            }
        }
    }

    pub(super) fn lose_power(&mut self, loss: Loss, random: &mut Random) {
        self.fail_sync(loss, random);
        self.visible.clone_from(&self.durable);
    }
}
