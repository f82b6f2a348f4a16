//! A directory as builds before ADR 18 left it: entries and `checkpoint` without marks.

use std::path::Path;

use commit_log::WriteBufferConfig;
use crc_fast::CrcAlgorithm;
use disk::{Disk, DiskFile};

use super::{LARGE, Ways, fsync};
use crate::harness::{DATA, Lab, SMALL_BUFFERS};

fn crc(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes)).unwrap().to_be_bytes()
}

fn rewrite(lab: &Lab, path: &Path, as_before: impl FnOnce(&[u8]) -> Vec<u8>) {
    let file = lab.disk.open(path).unwrap();
    let len = usize::try_from(file.len().unwrap()).unwrap();
    let bytes = as_before(&file.read_vec_at(len, 0).unwrap());
    file.set_len(0).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    file.sync_data().unwrap();
}

/// `magic mark in-logs accepted count floor points crc`, of which the old one has no life.
fn old_checkpoint(new: &[u8]) -> Vec<u8> {
    const LIFE: usize = 16 + 4 * 8;
    let (fields, _crc) = new.split_last_chunk::<4>().unwrap();
    let mut old = [b"DLC1", &fields[4 + LIFE..]].concat();
    old.extend(crc(&old));
    old
}

/// `crc length generation sequence log synced-below mark batches`, of which the old one has no proof.
fn old_entries(new: &[u8]) -> Vec<u8> {
    const OLD_HEADER: usize = 40;
    const HEADER: usize = 64;
    let (mut rest, mut old) = (new, Vec::new());
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER>()
        && header[8] & 128 != 0
    {
        let len = u32::from_be_bytes(header[4..8].try_into().unwrap()) as usize;
        let mut fields = header[4..OLD_HEADER].to_vec();
        fields[4] &= 127;
        fields.extend(&behind[..len]);
        old.extend(crc(&fields));
        old.extend(fields);
        rest = &behind[len..];
    }
    old.resize(new.len(), 0);
    old
}

#[test]
fn a_directory_of_an_early_build_is_read_and_goes_on_as_one_of_this_build() {
    // What the journal holds is in the logs' files, or in no other place.
    for buffers in [WriteBufferConfig::NONE, SMALL_BUFFERS] {
        let mut lab = Lab::buffered(1, fsync(), buffers);
        lab.sync(1, LARGE);
        lab.upkeep();
        for word in 0..3 {
            lab.journal(1, &[word]);
        }
        lab.disk.lose_power();
        for file in lab.journal_files() {
            rewrite(&lab, &file, old_entries);
        }
        rewrite(&lab, &Path::new(DATA).join("checkpoint"), old_checkpoint);
        lab.kill();
        assert_eq!(lab.directory().journal_found().entries, 3);
        assert_eq!(lab.words(), [LARGE, &[0, 1, 2]].concat());
        lab.prepare_journal();
        lab.journal(1, &[3]);
        lab.lose_power();
        assert_eq!(lab.directory().journal_found().entries, 1);
        assert_eq!(lab.words(), [LARGE, &[0, 1, 2, 3]].concat());
    }
}
