use types::{PartitionId, TopicName, TopicPartition};

use crate::InvalidMessage;
use crate::v1::types::ConfigEntry;

/// A sub-message that must be there.
///
/// # Errors
///
/// [`InvalidMessage::Missing`] naming `field`.
pub fn required<T>(value: Option<T>, field: &'static str) -> Result<T, InvalidMessage> {
    value.ok_or(InvalidMessage::Missing { field })
}

/// The bytes of a UUID.
///
/// # Errors
///
/// [`InvalidMessage::Value`] if they are not sixteen.
pub fn sixteen_bytes(bytes: &[u8], field: &'static str) -> Result<[u8; 16], InvalidMessage> {
    <[u8; 16]>::try_from(bytes).map_err(|_mismatch| InvalidMessage::Value {
        field,
        found: format!("{} bytes long", bytes.len()),
        expected: "16 bytes",
    })
}

/// A partition by name and number.
///
/// # Errors
///
/// [`InvalidMessage::Topic`] if the name is not one.
pub fn topic_partition(topic: &str, partition: u32) -> Result<TopicPartition, InvalidMessage> {
    Ok(TopicPartition::new(TopicName::new(topic)?, PartitionId::new(partition)))
}

/// Configuration entries as pairs of name and value, in the order sent.
pub fn config_entries(entries: Vec<ConfigEntry>) -> Vec<(String, String)> {
    entries.into_iter().map(|entry| (entry.name, entry.value)).collect()
}
