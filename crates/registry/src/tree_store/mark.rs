use client::tree::{
    Expectation, Lifetime, Naming, NodePath, Operation, Transacted, TreeClient, TreeError, Wanted,
};
use types::{Coded as _, Reason};

use super::naming::name;

/// What marks' keys begin with. No other key does.
const PREFIX: &[u8] = b"writer\0";
/// Marks that are kept. Those of processes that are long gone make room; whoever loses its mark
/// makes another one.
const MAX_MARKS: usize = 100;

/// A node of this process's own with a number, which every commit checks and moves on.
///
/// So a commit is done once at most, however often it is sent, and the number tells afterwards
/// whether it was done.
#[derive(Debug)]
pub(super) struct Mark {
    node: NodePath,
    /// The number that is there, as far as is known.
    held: u64,
    /// What a commit would leave there that was sent, and not answered.
    sent: Option<u64>,
}

impl Mark {
    /// Makes a new one below `root`, and `root` if need be.
    pub(super) async fn make(tree: &TreeClient, root: &NodePath) -> Result<Self, TreeError> {
        // Looked for first: that a connection broke is found out by what can be asked again.
        match tree.stat(root).await {
            Ok(_) => {}
            Err(error) if error.reason() == Reason::NoNode => make_root(tree, root).await?,
            Err(error) => return Err(error),
        }
        Self::remove_oldest(tree, root).await?;
        // Another tree than before could give a number twice; hardly so with the same beginning.
        let held = getrandom::u64().unwrap_or_default() >> 1;
        let (prefix, lifetime) = (root.child(&name(PREFIX))?, Lifetime::Persistent);
        let node = tree.create(&prefix, number(held), lifetime, Naming::Sequential).await?;
        Ok(Self { node: NodePath::new(&node)?, held, sent: None })
    }

    /// Leaves room for one more.
    async fn remove_oldest(tree: &TreeClient, root: &NodePath) -> Result<(), TreeError> {
        let wanted = Wanted { prefix: name(PREFIX), ..Wanted::default() };
        let mut marks = tree.list(root, &wanted).await?.children;
        marks.sort_by_key(|mark| mark.stat.modified);
        let surplus = (marks.len() + 1).saturating_sub(MAX_MARKS);
        for mark in marks.iter().take(surplus) {
            let removed = tree.delete(&root.child(&mark.name)?, Some(mark.stat.version)).await;
            match removed {
                // Whoever was quicker did the same, or it is in use after all.
                Err(error) if !super::is_check(&error) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a commit was sent of which nobody knows what became.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.sent.is_some()
    }

    /// The operations that a commit begins with. It is in doubt until it is told
    /// [`moved_on`](Self::moved_on) or [`stayed`](Self::stayed).
    pub(super) fn move_on(&mut self) -> [Operation; 2] {
        let next = self.held.wrapping_add(1);
        self.sent = Some(next);
        self.change(self.held, next)
    }

    /// The commit was done.
    pub(super) fn moved_on(&mut self) {
        self.held = self.sent.take().unwrap_or(self.held);
    }

    /// The commit was not done, and never will be.
    pub(super) fn stayed(&mut self) {
        self.sent = None;
    }

    /// Finds out whether the commit in doubt was done. If not, it never will be: what it expects to
    /// find here is taken away first, for it may still be on its way.
    pub(super) async fn settle(&mut self, tree: &TreeClient) -> Result<bool, TreeError> {
        while let Some(sent) = self.sent {
            let found = self.look(tree).await?;
            if found == sent {
                self.moved_on();
                return Ok(true);
            }
            let barred = found.max(sent).wrapping_add(1);
            match tree.multi(&self.change(found, barred)).await? {
                Transacted::Done(_) => {
                    self.held = barred;
                    self.stayed();
                }
                // It came in just now, or an earlier bar did: that shows.
                Transacted::Refused { cause, .. } if super::is_check(&cause) => {}
                Transacted::Refused { cause, .. } => return Err(cause),
            }
        }
        Ok(false)
    }

    async fn look(&self, tree: &TreeClient) -> Result<u64, TreeError> {
        let found = tree.get(&self.node).await.map_err(|error| {
            if error.reason() == Reason::NoNode {
                // Somebody took it away, and with it the only trace.
                return unknown(error);
            }
            error
        });
        let (data, _) = found?;
        Ok(data.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
    }

    fn change(&self, from: u64, to: u64) -> [Operation; 2] {
        let path = || self.node.clone();
        let expected = Expectation::Data(number(from).into());
        [
            Operation::Check { path: path(), expected },
            Operation::Put { path: path(), data: number(to).into() },
        ]
    }
}

async fn make_root(tree: &TreeClient, root: &NodePath) -> Result<(), TreeError> {
    match tree.create(root, "", Lifetime::Persistent, Naming::Given).await {
        Err(error) if error.reason() != Reason::NodeExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What a commit is told that cannot find out what became of it.
pub(super) fn unknown(cause: TreeError) -> TreeError {
    if matches!(cause, TreeError::OutcomeUnknown { .. }) {
        return cause;
    }
    TreeError::OutcomeUnknown { request: "Multi", cause: Box::new(cause) }
}

fn number(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}
