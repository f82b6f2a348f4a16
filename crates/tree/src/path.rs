use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::InvalidPath;

/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 4 * 1024;

/// Where a node is: `/`, or names behind a slash each. Ordered as text, so that a parent comes
/// before its children.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePath(Arc<str>);

impl NodePath {
    /// Checks a path: it begins with a slash and ends without one, names are neither empty nor `.`
    /// nor `..`, and nothing in it is a control character.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] says which rule it breaks.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
        let broken = |rule| InvalidPath { path: shortened(text), rule };
        if MAX_PATH_BYTES < text.len() {
            return Err(broken("it is longer than 4096 bytes"));
        }
        if text.contains(char::is_control) {
            return Err(broken("it holds a control character"));
        }
        if text == "/" {
            return Ok(Self::root());
        }
        let names = text.strip_prefix('/').ok_or_else(|| broken("it does not begin with /"))?;
        for name in names.split('/') {
            match name {
                "" => return Err(broken("a name in it is empty: // or a / at the end")),
                "." | ".." => return Err(broken("it is relative: . and .. are no names")),
                _ => {}
            }
        }
        Ok(Self(Arc::from(text)))
    }

    /// The node that is always there.
    pub fn root() -> Self {
        Self(Arc::from("/"))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `/`.
    pub fn is_root(&self) -> bool {
        self.as_str() == "/"
    }

    /// The node above, and this one's name under it; none for the root.
    pub fn split(&self) -> Option<(Self, &str)> {
        if self.is_root() {
            return None;
        }
        let (parent, name) = self.as_str().rsplit_once('/')?;
        let parent = if parent.is_empty() { Self::root() } else { Self(Arc::from(parent)) };
        Some((parent, name))
    }

    /// The node of this name below.
    ///
    /// # Errors
    ///
    /// `name` is none, or the path would be too long.
    pub fn child(&self, name: &str) -> Result<Self, InvalidPath> {
        if name.contains('/') {
            return Err(InvalidPath { path: shortened(name), rule: "a name holds no /" });
        }
        let above = if self.is_root() { "" } else { self.as_str() };
        Self::new(&format!("{above}/{name}"))
    }

    /// Whether `other` is this node or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        let rest = other.as_str().strip_prefix(self.as_str());
        rest.is_some_and(|rest| self.is_root() || rest.is_empty() || rest.starts_with('/'))
    }
}

/// As much of a text as an error shows.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 200;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

impl Borrow<str> for NodePath {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> NodePath {
        NodePath::new(text).unwrap()
    }

    #[test]
    fn a_path_is_absolute_and_has_no_empty_or_relative_names() {
        for good in ["/", "/a", "/a/b.c", "/zoo keeper/ü"] {
            assert_eq!(path(good).as_str(), good);
        }
        let long = format!("/{}", "x".repeat(MAX_PATH_BYTES));
        for bad in ["", "a", "//", "/a/", "/a//b", "/.", "/a/../b", "/a\n", "/a\0", &long] {
            assert!(NodePath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_its_parent_and_a_name() {
        assert_eq!(path("/").split(), None);
        assert_eq!(path("/a").split(), Some((NodePath::root(), "a")));
        assert_eq!(path("/a/b").split(), Some((path("/a"), "b")));
        assert_eq!(NodePath::root().child("a"), Ok(path("/a")));
        assert_eq!(path("/a").child("b"), Ok(path("/a/b")));
        assert!(path("/a").child("b/c").is_err() && path("/a").child("..").is_err());
    }

    #[test]
    fn a_path_covers_itself_and_what_lies_below_but_no_neighbour() {
        assert!(path("/").covers(&path("/a")) && path("/a").covers(&path("/a")));
        assert!(path("/a").covers(&path("/a/b")));
        assert!(!path("/a").covers(&path("/ab")) && !path("/a/b").covers(&path("/a")));
    }
}
