use std::fmt;
use std::sync::Arc;

/// One of several ways into a cluster: brokers have a listener of this name for clients that reach
/// them in the same way, such as from inside one network.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerName(Arc<str>);

impl ListenerName {
    /// The longest one, in bytes.
    pub const MAX_LEN: usize = 32;
    /// How many a broker may have, beside the one without a name.
    pub const MAX_COUNT: usize = 16;
    /// What [`Self::new`] takes, in words.
    pub const RULE: &str = "1 to 32 of A-Z, 0-9 and _";

    /// Wraps a name of 1 to [`Self::MAX_LEN`] capital ASCII letters, digits and underscores; `None`
    /// for any other.
    pub fn new(text: &str) -> Option<Self> {
        let may_stand = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
        let fits = !text.is_empty() && text.len() <= Self::MAX_LEN && text.bytes().all(may_stand);
        fits.then(|| Self(Arc::from(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_in_capitals() {
        let longest = "N".repeat(ListenerName::MAX_LEN);
        for name in ["EXTERNAL", "A", "IN_2", longest.as_str()] {
            assert_eq!(ListenerName::new(name).unwrap().as_str(), name);
        }
        for wrong in ["", "external", "A-B", "\u{c4}", &format!("{longest}N")] {
            assert_eq!(ListenerName::new(wrong), None, "{wrong}");
        }
    }
}
