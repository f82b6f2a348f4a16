//! Conversions between protobuf and domain values. Turning a message into a domain value *is* its
//! validation; nothing behind this module checks again.

mod error;
mod ids;

pub use error::{error_to_proto, error_to_remote};
pub use ids::{config_entries, required, sixteen_bytes, topic_partition};
