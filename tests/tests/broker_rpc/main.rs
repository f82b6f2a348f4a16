//! The broker's gRPC surface, served by a coordinator and brokers in this process.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod idempotence;
#[cfg(test)]
mod lifetime;
#[cfg(test)]
mod produce_fetch;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod streams;
