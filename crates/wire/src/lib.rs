//! The gRPC edge: generated protobuf, its conversion to domain values, the one mapping of errors
//! to statuses, the bodies of the data path, and the transport settings that every server and channel share.
//!
//! Generated names are meant for services' `rpc` modules and the client's transport; everything
//! behind those speaks domain types.

pub mod bounds;
pub mod convert;
pub mod framed;
pub mod transport;

mod error;
mod gathering;
mod status;
mod turn;

pub use error::{InvalidMessage, RemoteError};
pub use status::{OrStatus, from_status, to_status, to_status_with_coordinator};

/// The encoded `FileDescriptorSet` of every proto, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Generated code, a module for each package of `proto/`.
pub mod v1 {
    pub use crate::generated::dohle::broker::v1 as broker;
    pub use crate::generated::dohle::coordinator::v1 as coordinator;
    pub use crate::generated::dohle::storage::v1 as storage;
    pub use crate::generated::dohle::tree::v1 as tree;
    pub use crate::generated::dohle::types::v1 as types;
}

#[expect(
    missing_docs,
    unused_qualifications,
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::clone_on_ref_ptr,
    clippy::allow_attributes_without_reason,
    reason = "generated; the documentation is in proto/"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}
