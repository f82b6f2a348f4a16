use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest name, in bytes, that every file system takes.
const MAX_NAME_BYTES: usize = 255;

/// A place below the root of a lake: names joined by `/`, none of them empty, `.`, `..` or longer
/// than 255 bytes.
///
/// The root itself is the empty path. A path never leaves the root, whoever wrote it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LakePath(Arc<str>);

/// A text that is no [`LakePath`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no path inside a lake: it needs names joined by '/', none empty, '.', '..' or longer than 255 bytes, without control characters"
)]
pub struct InvalidPath {
    /// The text given.
    pub text: String,
}

impl LakePath {
    /// The root of the lake.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// Checks a path.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when a name is empty, `.`, `..`, too long or holds a control character.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
        let legal = |name: &str| {
            let is_name = !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME_BYTES;
            is_name && !name.contains(|c: char| c.is_control())
        };
        if text.split('/').all(legal) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidPath { text: text.to_owned() })
        }
    }

    /// The place called `name` in this directory; `name` may be several names joined by `/`.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] as for [`LakePath::new`].
    pub fn join(&self, name: &str) -> Result<Self, InvalidPath> {
        let below = Self::new(name)?;
        Ok(self.below(&below))
    }

    /// `path`, seen from this directory.
    #[must_use]
    pub fn below(&self, path: &Self) -> Self {
        if self.0.is_empty() {
            path.clone()
        } else if path.0.is_empty() {
            self.clone()
        } else {
            Self(Arc::from(format!("{}/{}", self.0, path.0)))
        }
    }

    /// The directory that holds this place; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        Some(Self(Arc::from(self.0.rsplit_once('/').map_or("", |(parent, _)| parent))))
    }

    /// The last name; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The path as text, without a leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LakePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("/") } else { self.0.fmt(f) }
    }
}

impl fmt::Debug for LakePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_the_lake() {
        for text in ["..", "a/../b", "/etc", "a//b", "a/", ".", "", "a\nb"] {
            assert!(LakePath::new(text).is_err(), "{text:?}");
        }
        assert!(LakePath::new(&"a".repeat(255)).is_ok());
        assert!(LakePath::new(&"a".repeat(256)).is_err());
    }

    #[test]
    fn a_path_knows_its_parents_up_to_the_root() {
        let path = LakePath::root().join("a").unwrap().join("b/c.avro").unwrap();
        assert_eq!(path.as_str(), "a/b/c.avro");
        assert_eq!(path.name(), "c.avro");
        let parent = path.parent().unwrap();
        assert_eq!(parent.as_str(), "a/b");
        assert_eq!(parent.parent().unwrap().parent(), Some(LakePath::root()));
        assert_eq!(LakePath::root().parent(), None);
    }
}
