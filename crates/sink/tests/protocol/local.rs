//! The whole way on a real file system.

use std::fs;
use std::time::Duration;

use sink::progress::Silent;
use sink::store::{Deadline, LocalStore};
use sink::{Depth, Problem, history, verify};

use crate::world::{World, assert_sound, run_id, topic};

#[tokio::test]
async fn a_local_directory_holds_what_its_log_says() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("far/away/lake");
    let local = LocalStore::new(&root);
    let store = Deadline::new(local, Duration::from_mins(1));
    let world = World::new(3);
    assert_eq!(history(&store, &topic(), 1).await.unwrap(), []);
    assert!(!root.exists(), "looking at a lake makes none");
    for (number, (from, to)) in (1..).zip([(0, 150), (150, 151), (151, 400)]) {
        world.append_events(from, to);
        world.run(&store, &run_id(number)).await.unwrap();
        assert_sound(&store, "after each run").await;
    }
    let commits = history(&store, &topic(), 2).await.unwrap();
    assert_eq!(commits.iter().map(|commit| commit.seq).collect::<Vec<_>>(), [2, 1]);
    let findings = verify(&store, &topic(), Depth::Contents, &Silent).await.unwrap();
    assert_eq!((findings.commits, findings.rows), (3, 400));
    for leftover in ["_staging/events", "_trash/events"] {
        let left = fs::read_dir(root.join(leftover)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{leftover}");
    }

    let file = commits.first().unwrap().files.first().unwrap();
    let path = root.join(file.path.as_str());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, bytes.get(..bytes.len() - 5).unwrap()).unwrap();
    let damaged = verify(&store, &topic(), Depth::Lengths, &Silent).await.unwrap();
    assert!(matches!(damaged.problems[..], [Problem::Length { .. }]), "{:?}", damaged.problems);
}
