//! Reading past the page cache: what it holds says nothing of what the disk does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::Source;

/// Memory, positions and lengths are multiples of this: of the blocks of all disks in use.
const BLOCK: usize = 4096;
/// What one read takes at most.
const MOST: usize = 1024 * 1024;

/// Opens a file for reading from the disk itself, or else from wherever the system reads it: some
/// file systems have no disk behind them.
pub(super) fn open(path: &Path) -> io::Result<(File, Source)> {
    let direct = OFlags::DIRECT.bits().cast_signed();
    match OpenOptions::new().read(true).custom_flags(direct).open(path) {
        Ok(file) => Ok((file, Source::Uncached)),
        Err(error) if is_refused(&error) => Ok((File::open(path)?, Source::Cached)),
        Err(error) => Err(error),
    }
}

fn is_refused(error: &io::Error) -> bool {
    let refused = [Errno::INVAL, Errno::OPNOTSUPP].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|error| refused.contains(&error))
}

/// Reads into `buffer` from `position` on; returns how many bytes, 0 only at the end.
pub(super) fn read(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    match read_blocks(file, buffer, position) {
        // It could be opened so, but is not read so.
        Err(error) if is_refused(&error) => {
            fcntl_setfl(file, fcntl_getfl(file)? - OFlags::DIRECT)?;
            file.read_at(buffer, position)
        }
        done => done,
    }
}

fn read_blocks(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let lead = usize::try_from(position % BLOCK as u64).unwrap_or_default();
    let wanted = lead.saturating_add(buffer.len()).min(MOST).next_multiple_of(BLOCK);
    let mut memory = vec![0; wanted.saturating_add(BLOCK)];
    let skip = memory.as_ptr().align_offset(BLOCK);
    let Some(blocks) = memory.get_mut(skip..).and_then(|aligned| aligned.get_mut(..wanted)) else {
        return Err(io::ErrorKind::OutOfMemory.into());
    };
    let read = file.read_at(blocks, position.saturating_sub(lead as u64))?;
    let found = blocks.get(lead..read).unwrap_or_default();
    let count = found.len().min(buffer.len());
    for (target, byte) in buffer.iter_mut().zip(found) {
        *target = *byte;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stretch_of_a_file_reads_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let content: Vec<u8> = (0..3 * BLOCK + 17).map(|at| at.to_le_bytes()[0]).collect();
        std::fs::write(&path, &content).unwrap();
        let (file, _) = open(&path).unwrap();
        for start in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, content.len() - 1] {
            for len in [1, 5, BLOCK, 2 * BLOCK + 3, content.len()] {
                let mut buffer = vec![0; len];
                let read = read(&file, &mut buffer, start as u64).unwrap();
                let expected = &content[start..content.len().min(start + len)];
                assert_eq!(&buffer[..read], expected, "{len} bytes from {start}");
            }
        }
        assert_eq!(read(&file, &mut [0], content.len() as u64).unwrap(), 0);
        assert_eq!(read(&file, &mut [0], 1 << 40).unwrap(), 0);
    }

    #[test]
    fn more_than_one_read_takes_is_read_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![7; 2 * MOST]).unwrap();
        let (file, source) = open(&path).unwrap();
        let mut buffer = vec![0; 2 * MOST];
        let read = read(&file, &mut buffer, 1).unwrap();
        assert!(source == Source::Cached || read == MOST - 1, "{read}");
        assert!(buffer[..read].iter().all(|byte| *byte == 7));
    }
}
