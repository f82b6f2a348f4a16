//! What a scrub finds, and what readers get of a segment that is damaged.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use commit_log::scrub::{Finding, FindingKind, Scrubbed, Verdict};
use commit_log::{FlawKind, LogConfig, ReadError};
use disk::{Disk, DiskFile, Operation, PlannedFault};
use record::{Batch, BatchBuilder, Compression};
use types::{Durability, Offset};

use crate::harness::{
    Lab, append, batch, folder, key, millis, offset, one_segment, records, small_segments,
};

/// Batches of these records, by their first offset: 0..2, 2..3, 3..6, 6..7, 7..9.
const BATCHES: &[&[u64]] = &[&[0, 1], &[2], &[3, 4, 5], &[6], &[7, 8]];

fn indexed() -> LogConfig {
    one_segment(Durability::Fsync)
}

/// All batches lie between two entries of the index.
fn hardly_indexed() -> LogConfig {
    LogConfig { index_interval_bytes: 4096, ..indexed() }
}

/// One sealed segment of `batches`, and a record behind it.
fn sealed(config: LogConfig, batches: &[&[u64]]) -> Lab {
    let mut lab = Lab::new(1, config);
    lab.append(1, batches).unwrap();
    lab.directory().roll(key(0)).unwrap();
    lab.append(1, &[&[99]]).unwrap();
    lab.upkeep();
    lab
}

fn segment() -> PathBuf {
    folder(0).join("00000000000000000000-1.log")
}

fn index() -> PathBuf {
    folder(0).join("00000000000000000000-1.index")
}

/// Where each batch lies: its bytes and its offsets.
fn extents(batches: &[&[u64]]) -> Vec<(Range<u64>, Range<u64>)> {
    let (mut position, mut first) = (0, 0);
    let extent = |words: &&[u64]| {
        let bytes = position..position + batch(words).bytes().len() as u64;
        let offsets = first..first + words.len() as u64;
        (position, first) = (bytes.end, offsets.end);
        (bytes, offsets)
    };
    batches.iter().map(extent).collect()
}

fn scrub(lab: &mut Lab) -> Verdict {
    let mut segments = lab.reader().sealed_segments();
    assert_eq!(segments.len(), 1);
    let mut scrub = segments.remove(0).scrub();
    while scrub.step(1 << 20).1 == Scrubbed::Partly {}
    scrub.verdict()
}

#[track_caller]
fn findings(lab: &mut Lab) -> Vec<Finding> {
    match scrub(lab) {
        Verdict::Damaged { findings, unlisted: 0 } => findings,
        other @ (Verdict::Sound | Verdict::Gone | Verdict::Damaged { .. }) => panic!("{other:?}"),
    }
}

fn hit(finding: &Finding) -> Range<u64> {
    finding.offsets.start.get()..finding.offsets.end.get()
}

#[track_caller]
fn hits(findings: &[Finding], expected: &[(u64, u64)]) {
    let found: Vec<_> = findings.iter().map(hit).map(|hit| (hit.start, hit.end)).collect();
    assert_eq!(found, expected, "{findings:?}");
}

/// Flips one bit of a file on the disk.
fn flip(lab: &Lab, path: &std::path::Path, position: u64, bit: u8) {
    let file = lab.disk.open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], position).unwrap();
    file.sync_data().unwrap();
}

fn len_of(lab: &Lab, path: &std::path::Path) -> u64 {
    lab.disk.open(path).unwrap().len().unwrap()
}

#[test]
fn a_segment_that_is_as_it_was_sealed_is_sound() {
    for config in [indexed(), hardly_indexed()] {
        let mut lab = sealed(config, BATCHES);
        assert_eq!(scrub(&mut lab), Verdict::Sound);
        // Also if the index was asked, and so is in memory, and after a start.
        assert_eq!(lab.words().len(), 10);
        assert_eq!(scrub(&mut lab), Verdict::Sound);
        lab.lose_power();
        assert_eq!(scrub(&mut lab), Verdict::Sound);
    }
}

#[test]
fn any_flipped_bit_of_a_segment_is_found_and_costs_no_more_than_its_batch() {
    for config in [indexed(), hardly_indexed()] {
        let mut lab = sealed(config, BATCHES);
        let reader = lab.reader();
        for (bytes, offsets) in extents(BATCHES) {
            for (position, bit) in bytes.clone().flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let place = format!("bit {bit} of byte {position}");
                flip(&lab, &segment(), position, bit);
                let found = findings(&mut lab);
                assert_eq!(found.len(), 1, "{place}: {found:?}");
                let Finding { file, bytes: found_bytes, .. } = &found[0];
                assert_eq!((file, found_bytes), (&segment(), &bytes), "{place}");
                assert_eq!(hit(&found[0]), offsets, "{place}");
                assert!(matches!(found[0].kind, FindingKind::Flaw(_)), "{place}");

                // Readers get everything else, and are told what they cannot have.
                for wanted in 0..9 {
                    let read = reader.read(offset(wanted), 1, Offset::MAX);
                    if offsets.contains(&wanted) {
                        match read {
                            Err(ReadError::Damaged { lost, flaw, .. }) => {
                                assert_eq!(lost.start.get()..lost.end.get(), offsets, "{place}");
                                assert_eq!(flaw.position, bytes.start, "{place}");
                            }
                            // The checksum is for whoever uses it.
                            Ok(rotten) => assert!(Batch::verify(rotten).is_err(), "{place}"),
                            Err(other) => panic!("{place}: {other}"),
                        }
                    } else {
                        let words = records(read.unwrap());
                        assert!(words.contains(&(wanted, 1, wanted)), "{place}: {words:?}");
                    }
                }
                flip(&lab, &segment(), position, bit);
            }
        }
        assert_eq!(scrub(&mut lab), Verdict::Sound);
    }
}

#[test]
fn any_flipped_bit_of_an_index_is_found_and_costs_no_record() {
    let mut lab = sealed(indexed(), BATCHES);
    let len = len_of(&lab, &index());
    for (position, bit) in (0..len).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        flip(&lab, &index(), position, bit);
        let found = findings(&mut lab);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0].file, found[0].hits_records()), (&index(), false));
        assert!(matches!(found[0].kind, FindingKind::Index { .. }), "{found:?}");
        flip(&lab, &index(), position, bit);
    }
    lab.kill();
    flip(&lab, &index(), 3, 3);
    assert_eq!(lab.words(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 99]);
}

/// Damages batches at this byte of each, and says what a scrub finds.
fn after_damage(config: LogConfig, damaged: &[usize], byte: u64) -> Vec<Finding> {
    let mut lab = sealed(config, BATCHES);
    for batch in damaged {
        flip(&lab, &segment(), extents(BATCHES)[*batch].0.start + byte, 2);
    }
    findings(&mut lab)
}

#[test]
fn neighbours_that_are_damaged_are_one_finding_and_others_are_others() {
    let (length, body) = (10, 65);
    for (config, byte) in [(indexed(), length), (indexed(), body), (hardly_indexed(), body)] {
        let found = after_damage(config, &[1, 2, 4], byte);
        hits(&found, &[(2, 6), (7, 9)]);
        let extents = extents(BATCHES);
        assert_eq!(found[0].bytes, extents[1].0.start..extents[2].0.end);
        // The times are the words: what was before and behind it can be looked for by them.
        let times = |finding: &Finding| {
            [finding.after, finding.before].map(|time| time.map(types::Timestamp::as_millis))
        };
        assert_eq!(times(&found[0]), [Some(1), Some(6)]);
        assert_eq!(times(&found[1]), [Some(6), None]);
    }
}

#[test]
fn between_two_batches_that_do_not_tell_where_they_end_nothing_is_guessed() {
    let (length, both) = (10, [1, 4]);
    let found = after_damage(hardly_indexed(), &both, length);
    hits(&found, &[(2, 9)]);
    let found = after_damage(indexed(), &both, length);
    hits(&found, &[(2, 3), (7, 9)]);
}

#[test]
fn a_stretch_of_zeros_hits_what_was_there() {
    for config in [indexed(), hardly_indexed()] {
        let mut lab = sealed(config, BATCHES);
        let extents = extents(BATCHES);
        let (from, to) = (extents[1].0.start + 5, extents[3].0.start + 20);
        let zeros = vec![0; usize::try_from(to - from).unwrap()];
        lab.disk.open(&segment()).unwrap().write_all_at(&zeros, from).unwrap();
        hits(&findings(&mut lab), &[(2, 7)]);
        let reader = lab.reader();
        let error = reader.read(offset(4), 1, Offset::MAX).unwrap_err();
        assert!(error.to_string().contains(" to 7 (exclusive) are damaged, /data/"), "{error}");
        assert_eq!(records(reader.read(offset(7), 1, Offset::MAX).unwrap())[0].0, 7);
    }
}

#[test]
fn a_batch_within_a_payload_is_not_taken_for_one_of_the_log() {
    for config in [indexed(), hardly_indexed()] {
        let mut lab = Lab::new(1, config);
        // What it holds says that it lies at offset 1, in epoch 1.
        let inner = batch(&[666]);
        let mut fake = inner.placed_header(offset(1), types::LeaderEpoch::new(1)).to_vec();
        fake.extend(inner.body());
        let mut builder = BatchBuilder::new(Compression::None);
        for value in [&fake[..], &fake, &fake] {
            builder.push(millis(0), None, Some(value), &[]).unwrap();
        }
        let outer = builder.build().unwrap();
        let mut appended = append(0, 1, &[&[0], &[0], &[4]]);
        appended.batches[1] = outer;
        lab.step(&[appended]).pop().unwrap().unwrap();
        lab.directory().roll(key(0)).unwrap();
        lab.append(1, &[&[5]]).unwrap();
        lab.upkeep();
        // The length of the outer one.
        flip(&lab, &segment(), batch(&[0]).bytes().len() as u64 + 11, 1);
        hits(&findings(&mut lab), &[(1, 4)]);
        let reader = lab.reader();
        for lost in 1..4 {
            let read = reader.read(offset(lost), 1, Offset::MAX);
            let is_refused = match read {
                Ok(rotten) => Batch::verify(rotten).is_err(),
                Err(ReadError::Damaged { lost, .. }) => lost == (offset(1)..offset(4)),
                Err(_) => false,
            };
            assert!(is_refused, "offset {lost}");
        }
        assert_eq!(records(reader.read(offset(4), 1, Offset::MAX).unwrap()), [(4, 1, 4)]);
    }
}

#[test]
fn a_file_that_was_cut_or_goes_on_or_is_gone_is_found() {
    let extents = extents(BATCHES);
    let len = extents[4].0.end;
    for cut in [extents[2].0.start, extents[2].0.start + 7] {
        let mut lab = sealed(indexed(), BATCHES);
        lab.disk.open(&segment()).unwrap().set_len(cut).unwrap();
        let found = findings(&mut lab);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((hit(&found[0]), found[0].bytes.clone()), (3..9, extents[2].0.start..len));
        assert_eq!(found[0].kind, FindingKind::Length { sealed: len, found: cut });
    }
    let mut lab = sealed(indexed(), BATCHES);
    lab.disk.open(&segment()).unwrap().set_len(len + 3).unwrap();
    let found = findings(&mut lab);
    assert_eq!((found[0].hits_records(), found[0].bytes.clone()), (false, len..len + 3));

    let mut lab = sealed(indexed(), BATCHES);
    lab.disk.remove_file(&segment()).unwrap();
    let found = findings(&mut lab);
    assert_eq!((hit(&found[0]), found[0].kind.clone()), (0..9, FindingKind::Missing));

    let mut lab = sealed(indexed(), BATCHES);
    lab.disk.remove_file(&index()).unwrap();
    let found = findings(&mut lab);
    assert!(!found[0].hits_records() && found[0].kind.to_string().contains("index is missing"));
}

#[test]
fn what_the_disk_does_not_give_is_found_and_the_rest_is_read() {
    for config in [indexed(), hardly_indexed()] {
        let mut lab = sealed(config, BATCHES);
        let extents = extents(BATCHES);
        lab.disk.spoil(&segment(), extents[2].0.start + 70).unwrap();
        let found = findings(&mut lab);
        hits(&found, &[(3, 6)]);
        let reader = lab.reader();
        for wanted in 0..9 {
            match reader.read(offset(wanted), 10_000, Offset::MAX) {
                Ok(bytes) => assert!(records(bytes).contains(&(wanted, 1, wanted)), "{wanted}"),
                Err(ReadError::Damaged { lost, .. }) => {
                    assert!((3..6).contains(&wanted) && lost == (offset(3)..offset(6)));
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(matches!(&found[0].kind, FindingKind::Flaw(FlawKind::Unreadable { cause })
            if cause.contains("the medium cannot be read there")));
    }
    // An error that passes is none of the segment's.
    let mut lab = sealed(indexed(), BATCHES);
    lab.disk.fail(PlannedFault {
        operation: Operation::Read,
        path_contains: ".log".to_owned(),
        after: 0,
        error: io::ErrorKind::Other,
    });
    assert_eq!(scrub(&mut lab), Verdict::Sound);
    lab.disk.fail(PlannedFault {
        operation: Operation::Read,
        path_contains: ".log".to_owned(),
        after: 0,
        error: io::ErrorKind::Other,
    });
    assert_eq!(records(lab.reader().read(offset(3), 1, Offset::MAX).unwrap())[0].0, 3);
}

#[test]
fn a_disk_that_dies_is_not_asked_for_ever_and_the_report_has_a_bound() {
    const MANY: usize = 2 * Verdict::MOST_FINDINGS + 50;
    let words: Vec<[u64; 1]> = (0..MANY as u64).map(|word| [word]).collect();
    let batches: Vec<&[u64]> = words.iter().map(<[u64; 1]>::as_slice).collect();
    let extents = extents(&batches);
    let mut lab = sealed(indexed(), &batches);
    for (bytes, _) in extents.iter().step_by(2) {
        flip(&lab, &segment(), bytes.start + 60, 0);
    }
    let Verdict::Damaged { findings, unlisted } = scrub(&mut lab) else { panic!("damage") };
    assert_eq!((findings.len(), unlisted), (Verdict::MOST_FINDINGS, 25));

    let mut lab = sealed(indexed(), &batches);
    for (bytes, _) in extents.iter().skip(10) {
        lab.disk.spoil(&segment(), bytes.start).unwrap();
    }
    let found = self::findings(&mut lab);
    hits(&found, &[(10, MANY as u64)]);
}

#[test]
fn an_index_that_is_whole_but_wrong_is_found() {
    // That of another log, and that of another segment of this one.
    let mut lab = sealed(indexed(), BATCHES);
    lab.create(1);
    lab.step(&[append(1, 1, BATCHES)]).pop().unwrap().unwrap();
    lab.directory().roll(key(1)).unwrap();
    lab.upkeep();
    let other = folder(1).join("00000000000000000000-1.index");
    let bytes = |path| {
        let file = lab.disk.open(path).unwrap();
        file.read_vec_at(usize::try_from(file.len().unwrap()).unwrap(), 0).unwrap()
    };
    let (own, others) = (bytes(&index()), bytes(&other));
    lab.disk.open(&index()).unwrap().write_all_at(&others, 0).unwrap();
    let found = findings(&mut lab);
    assert!(found[0].kind.to_string().contains("sealed for another"), "{found:?}");
    lab.disk.open(&index()).unwrap().write_all_at(&own, 0).unwrap();
    assert_eq!(scrub(&mut lab), Verdict::Sound);
}

#[test]
fn a_segment_that_goes_while_it_is_read_says_nothing() {
    let gone: [fn(&mut Lab); 3] = [
        |lab| lab.directory().advance_log_start(key(0), offset(9)).unwrap(),
        |lab| {
            assert_eq!(lab.directory().truncate(key(0), offset(4), millis(0)).unwrap(), offset(3));
        },
        |lab| lab.directory().delete_log(key(0)).unwrap(),
    ];
    for go in gone {
        for steps in 0..2 {
            let mut lab = sealed(indexed(), BATCHES);
            // Whatever it would say.
            flip(&lab, &segment(), 70, 0);
            let mut scrub = lab.reader().sealed_segments().remove(0).scrub();
            for _ in 0..steps {
                scrub.step(1);
            }
            go(&mut lab);
            while scrub.step(1).1 == Scrubbed::Partly {}
            assert_eq!(scrub.verdict(), Verdict::Gone);
        }
    }
}

#[test]
fn a_step_reads_little_more_than_it_may_and_all_of_them_everything() {
    let words: Vec<[u64; 1]> = (0..10_000).map(|word| [word]).collect();
    let batches: Vec<&[u64]> = words.iter().map(<[u64; 1]>::as_slice).collect();
    let mut lab = sealed(LogConfig { segment_bytes: 1 << 30, ..hardly_indexed() }, &batches);
    let segment = lab.reader().sealed_segments().remove(0);
    let bytes = segment.bytes();
    let mut scrub = segment.scrub();
    let (mut read, mut steps) = (0, 0);
    loop {
        let (now, scrubbed) = scrub.step(100_000);
        assert!(now < 100_000 + 2 * 256 * 1024, "{now}");
        (read, steps) = (read + now, steps + 1);
        if scrubbed == Scrubbed::Wholly {
            break;
        }
    }
    assert!(bytes <= read && 5 < steps, "{read} of {bytes} in {steps}");
    assert_eq!(scrub.verdict(), Verdict::Sound);
}

#[test]
fn only_what_is_sealed_is_read() {
    let mut lab = Lab::new(1, small_segments(Durability::Fsync));
    for word in 0..7 {
        lab.append(1, &[&[word]]).unwrap();
    }
    let bases = |lab: &mut Lab| {
        let sealed = lab.reader().sealed_segments();
        sealed.iter().map(|segment| segment.base().get()).collect::<BTreeSet<_>>()
    };
    assert!(bases(&mut lab).is_empty(), "closed is not sealed");
    lab.upkeep();
    assert_eq!(bases(&mut lab), BTreeSet::from([0, 3]));
    lab.lose_power();
    assert_eq!(bases(&mut lab), BTreeSet::from([0, 3]));
}

#[test]
fn a_search_by_time_that_meets_damage_says_so() {
    let mut lab = sealed(hardly_indexed(), BATCHES);
    let extents = extents(BATCHES);
    flip(&lab, &segment(), extents[2].0.start + 65, 0);
    let reader = lab.reader();
    let find = |time| reader.offset_for_timestamp(millis(time), Offset::MAX);
    assert_eq!(find(2).unwrap().unwrap().0, offset(2));
    let error = find(4).unwrap_err();
    assert!(matches!(&error, ReadError::Damaged { lost, flaw, .. }
        if *lost == (offset(3)..offset(6)) && matches!(flaw.kind, FlawKind::Batch(_))));
    assert_eq!(find(6).unwrap().unwrap().0, offset(6), "what is surely younger is found");
}

#[test]
fn records_that_were_deleted_are_missed_by_nobody() {
    let mut lab = sealed(indexed(), BATCHES);
    for batch in [1, 2, 4] {
        flip(&lab, &segment(), extents(BATCHES)[batch].0.start + 65, 2);
    }
    hits(&findings(&mut lab), &[(2, 6), (7, 9)]);
    lab.directory().advance_log_start(key(0), offset(5)).unwrap();
    hits(&findings(&mut lab), &[(2, 6), (7, 9)]);
    lab.directory().advance_log_start(key(0), offset(6)).unwrap();
    hits(&findings(&mut lab), &[(7, 9)]);
}
