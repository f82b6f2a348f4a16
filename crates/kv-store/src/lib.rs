//! A small durable ordered store.
