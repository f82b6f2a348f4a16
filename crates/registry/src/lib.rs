//! Schema registry with Confluent's REST interface.
