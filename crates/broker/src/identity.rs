use std::io;

/// The 16 random bytes of a new id: of a directory, a log, a life of the process.
pub(crate) fn random_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    Ok(id)
}
