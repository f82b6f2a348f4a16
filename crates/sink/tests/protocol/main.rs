//! The sink's protocol, over a lake in memory that fails on purpose, and over a real directory.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod landing;
#[cfg(test)]
mod law;
#[cfg(test)]
mod local;
#[cfg(test)]
mod races;
#[cfg(test)]
mod verifying;
#[cfg(test)]
mod world;
