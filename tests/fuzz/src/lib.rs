//! What the fuzz targets share: bounds, checksums, and properties that hold whatever the bytes.
//!
//! A target feeds bytes to one seam through which bytes from elsewhere come in (batches of
//! producers, files that an earlier life left, messages of peers), and asserts what must hold of
//! any. The targets are in `fuzz_targets/`, inputs to begin with in `corpus/`; `run` builds and runs
//! them.

pub mod batches;
pub mod damage;
pub mod directory;
pub mod log;
pub mod metadata;
pub mod sealing;
pub mod tape;

mod memory;

pub use memory::within;
