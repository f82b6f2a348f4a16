use serde_json::Value;

use crate::process::dohle;

/// One of each kind, but for those that keep the disk busy: other tests run beside this one.
const ROWS: [&str; 7] = [
    "produce-16k",
    "fetch-1m",
    "append-10",
    "durable-10",
    "group-64",
    "ack-page-cache-p50",
    "e2e-fsync-p99",
];

#[test]
fn a_row_of_each_kind_measures_both_of_its_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, folder) = (ROWS.join(","), folder.path().to_str().unwrap());
    let what = ["--output", "json", "bench", "all", "--quick", "--rounds", "5", "--rows", &rows];
    let ran = dohle(&[&what[..], &["--dir", folder]].concat(), "");
    // Below a gate one may be: it is neither a fast build nor a quiet machine.
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    let figures: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let measured = figures["rows"].as_array().unwrap();
    for name in ROWS {
        let row = measured.iter().find(|row| row["row"] == name);
        let row = row.unwrap_or_else(|| panic!("no row {name}: {ran:?}"));
        for side in ["ours", "beside", "ratio"] {
            assert!(0.0 < row[side]["median"].as_f64().unwrap(), "{name}, {side}: {row}");
        }
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "it leaves nothing behind");
}
