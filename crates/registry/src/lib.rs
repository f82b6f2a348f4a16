//! Schema registry with Confluent's REST interface.
//!
//! Three layers, each ignorant of the one above: `store` knows keys and records in a
//! [`kv_store::KvStore`], `registry` decides what a request means and changes the store in one
//! checked transaction, `http` speaks Confluent's shapes and numbers. Whether two schemas are the
//! same, or compatible, is `schema`'s business. The store lies in a directory of the registry's own, or
//! in the coordinators' tree (`tree_store`), where any number of registries work on it.
//!
//! A response of the shape of Confluent Platform 7 goes out everywhere: one field more has broken
//! clients.

mod app;
mod config;
mod error;
mod http;
mod registry;
mod store;
mod tree_store;
mod vitals;

pub use app::{App, BuildError, RunError};
pub use config::Config;
