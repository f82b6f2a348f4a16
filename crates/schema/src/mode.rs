/// What a registry, or one subject of it, may be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    ReadWrite,
    /// Nothing that changes it.
    ReadOnly,
    /// As `ReadOnly`; of the whole registry, it also overrides what subjects say.
    ReadOnlyOverride,
    /// Registration under ids that the caller brings along.
    Import,
}

impl Mode {
    const ALL: [Self; 4] = [Self::ReadWrite, Self::ReadOnly, Self::ReadOnlyOverride, Self::Import];

    /// Confluent's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::ReadOnlyOverride => "READONLY_OVERRIDE",
            Self::Import => "IMPORT",
        }
    }

    /// Reads a mode in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(text))
    }

    /// The mode that counts for a subject whose own is `subject`, in a registry whose is `global`.
    pub fn effective(global: Self, subject: Option<Self>) -> Self {
        match global {
            Self::ReadOnlyOverride => global,
            Self::ReadWrite | Self::ReadOnly | Self::Import => subject.unwrap_or(global),
        }
    }

    /// Whether anything may change.
    pub fn is_read_only(self) -> bool {
        match self {
            Self::ReadOnly | Self::ReadOnlyOverride => true,
            Self::ReadWrite | Self::Import => false,
        }
    }
}
