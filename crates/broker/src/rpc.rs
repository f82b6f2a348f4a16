//! The gRPC surface: requests become domain values here, answers become messages again.

mod admin;
mod arrival;
mod data;
mod data_server;
mod delete_records;
mod describe;
mod fetch;
mod fetch_stream;
mod forward;
mod init_producer_id;
mod logs;
mod offsets;
mod produce;
mod produce_stream;

pub(crate) use admin::Admin;
pub(crate) use data::Data;
pub(crate) use data_server::DataServer;
pub(crate) use describe::Cluster;
pub(crate) use fetch::Limits as FetchLimits;
pub(crate) use fetch_stream::FetchStreams;
pub(crate) use forward::Forwarder;
pub(crate) use logs::Logs;
pub(crate) use produce_stream::ProduceStreams;
