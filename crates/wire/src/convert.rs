//! Conversions between protobuf and domain values. Turning a message into a domain value *is* its
//! validation; nothing behind this module checks again.

mod error;
mod ids;
mod listeners;
mod metadata;
mod storage;
mod tree;

pub use error::{error_to_proto, error_to_remote};
pub use ids::{config_entries, required, sixteen_bytes, topic_partition};
pub use metadata::{
    broker_from_proto, broker_to_proto, delta_from_proto, delta_to_proto, endpoint_from_proto,
    endpoint_to_proto, image_from_proto, image_to_proto, new_topic_from_proto,
    registration_from_proto, registration_to_proto, topic_from_proto, topic_to_proto,
};
pub use storage::{
    LogCommand, command_from_bytes, command_to_bytes, snapshot_from_chunks, snapshot_to_chunks,
    tree_command_to_bytes,
};
pub use tree::{
    event_to_proto, node_to_proto, operation_from_proto, operation_to_proto, stat_to_proto,
    touched_to_proto,
};
