use types::SchemaId;

use super::*;
use crate::plan::{Bounds, GapPolicy, Limits, SourceTopic, plan};

const NONE: Limits = Limits { max_records_per_partition: None };

fn a_plan() -> Plan {
    let bounds = Bounds { earliest: Offset::new(5), latest: Offset::new(15) };
    let source = SourceTopic {
        id: TopicId::from_bytes([3; 16]),
        partitions: [(PartitionId::new(0), bounds)].into(),
    };
    plan(None, &source, NONE, GapPolicy::Fail).unwrap()
}

fn moved() -> PartitionCommit {
    PartitionCommit {
        partition: PartitionId::new(0),
        from: Offset::new(5),
        to: Offset::new(15),
        gap: Some(Gap { from: Offset::new(2), to: Offset::new(5) }),
        rows: 6,
        quarantined: 1,
        tombstones: 2,
        holes: 1,
    }
}

fn file(name: &str, rows: u64, kind: FileKind) -> CommittedFile {
    CommittedFile {
        stage: LakePath::new(name).unwrap(),
        path: LakePath::new("t/hourly/2013/01/01/05").unwrap().join(name).unwrap(),
        len: 100,
        rows,
        sha256: Sha256Hash::from_bytes([0xa5; 32]),
        partition: PartitionId::new(0),
        first: Offset::new(5),
        last: Offset::new(14),
        kind,
    }
}

fn record(moved: PartitionCommit, files: &[CommittedFile]) -> Result<CommitRecord, Imbalance> {
    let topic = TopicName::new("t").unwrap();
    let run = RunId::new(Timestamp::from_millis(0), [1; 4]);
    CommitRecord::of_run(&a_plan(), &topic, &run, Timestamp::from_millis(9), &[moved], files)
}

fn files() -> [CommittedFile; 2] {
    [file("a", 6, FileKind::Data(SchemaId::new(7))), file("q", 1, FileKind::Quarantine)]
}

#[test]
fn a_record_reads_its_own_bytes() {
    let record = record(moved(), &files()).unwrap();
    assert_eq!(CommitRecord::decode(&record.encode()).unwrap(), record);
    assert_eq!(record.positions.get(&PartitionId::new(0)), Some(&Offset::new(15)));
}

#[test]
fn an_offset_that_is_not_accounted_for_stops_the_commit() {
    let lost = PartitionCommit { holes: 0, ..moved() };
    let expected = Imbalance::Offsets { partition: PartitionId::new(0), offsets: 10, accounted: 9 };
    assert_eq!(record(lost, &files()), Err(expected));
}

#[test]
fn a_row_that_is_in_no_file_stops_the_commit() {
    let [data, _quarantine] = files();
    let expected = Imbalance::Files { partition: PartitionId::new(0), counted: 7, filed: 6 };
    assert_eq!(record(moved(), &[data]), Err(expected));
}

#[test]
fn every_cut_of_a_record_is_noticed() {
    let bytes = record(moved(), &files()).unwrap().encode();
    // The last byte is the line's end, which nobody needs.
    for length in 0..bytes.len() - 1 {
        assert!(CommitRecord::decode(&bytes[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_newer_record_is_refused_with_what_to_do() {
    let error = CommitRecord::decode(br#"{"version":2,"anything":"else"}"#).unwrap_err();
    assert!(error.to_string().ends_with("upgrade it"), "{error}");
}

#[test]
fn a_record_cannot_name_files_outside_the_lake() {
    let text = String::from_utf8(record(moved(), &files()).unwrap().encode()).unwrap();
    let forged = text.replace("t/hourly/2013", "../../2013");
    assert!(matches!(
        CommitRecord::decode(forged.as_bytes()),
        Err(InvalidRecord::Field { field: "path", .. })
    ));
}
