//! Compiles `proto/` to Rust without a `protoc` on the machine.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

const FILES: &[&str] = &[
    "dohle/types/v1/types.proto",
    "dohle/broker/v1/broker.proto",
    "dohle/coordinator/v1/coordinator.proto",
    "dohle/storage/v1/metadata.proto",
    "dohle/tree/v1/tree.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Servers answer reflection from this.
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Payloads stay slices of the frame they came in.
        .bytes(".")
        .include_file("packages.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
