use std::fmt;

use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($raw);

        impl $name {
            /// Wraps a raw number.
            pub const fn new(raw: $raw) -> Self {
                Self(raw)
            }

            /// The raw number, for encoding.
            pub const fn get(self) -> $raw {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Identifies one broker for the life of the cluster; an operator chooses it.
    BrokerId(u32)
}
number! {
    /// One partition of a topic, counted from 0.
    PartitionId(u32)
}
number! {
    /// One idempotent producer, allocated by the coordinator and never reused.
    ProducerId(u64)
}
number! {
    /// One schema in the registry, counted from 1 and never reused.
    SchemaId(u32)
}

macro_rules! unique {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps the 16 bytes of a UUID. The bytes are drawn in a shell, never in a core.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, for encoding.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }

            /// Reads the text that `Display` writes (any form of UUID is accepted).
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(|uuid| Self(uuid.into_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).as_hyphenated().fmt(f)
            }
        }
    };
}

unique! {
    /// One life of a topic. A topic that is deleted and made again under its name has a new id.
    TopicId
}
unique! {
    /// One life of a partition's log in one directory: minted durably when its folder is made.
    LogId
}
unique! {
    /// One data directory, minted when it is formatted.
    DirectoryId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_id_reads_its_own_text() {
        let id = TopicId::from_bytes([7; 16]);
        assert_eq!(id.to_string(), "07070707-0707-0707-0707-070707070707");
        assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        assert_eq!(TopicId::parse("no uuid"), None);
    }
}
