use std::process::Command;

use e2e::run;

use crate::lake::{Lab, ROOT};

const OTHER: i32 = 1;
const NOT_FOUND: i32 = 3;
const UNREACHABLE: i32 = 4;
const DENIED: i32 = 6;

/// The last line of stderr, which is the error.
fn error_of(command: &mut Command, code: i32) -> String {
    let said = run(command, "").expect_code(code);
    assert!(!said.contains("\tat org.apache"), "a stack trace: {said}");
    said
}

#[test]
fn what_hdfs_refuses_is_said_in_one_line_with_what_to_do() {
    let mut lab = Lab::start();
    lab.produce(30);
    let lake = format!("{}{ROOT}", lab.hdfs.url());
    let history = |lake: &str| lab.cluster.dohle(["sink", "history", "t", "--lake", lake]);

    let none = error_of(&mut history(&lake), NOT_FOUND);
    assert!(none.contains("there is no lake at hdfs://"), "{none}");
    let closed = error_of(&mut history("hdfs://127.0.0.1:1/lake"), UNREACHABLE);
    assert!(closed.contains("check the address"), "{closed}");
    let nowhere = error_of(&mut history("hdfs://nowhere.invalid:8020/lake"), UNREACHABLE);
    assert!(nowhere.contains("check the address"), "{nowhere}");

    // Ann may not, until she may.
    let denied = error_of(lab.command().env("HADOOP_USER_NAME", "ann"), DENIED);
    assert!(denied.contains("user=ann") && denied.contains("HADOOP_USER_NAME"), "{denied}");
    lab.hdfs.fs(&["-mkdir", ROOT]);
    lab.hdfs.fs(&["-chown", "ann", ROOT]);

    lab.hdfs.admin(&["-setSpaceQuota", "1m", ROOT]);
    let full = error_of(lab.command().env("HADOOP_USER_NAME", "ann"), OTHER);
    assert!(full.contains("the lake is full") && full.contains("-setSpaceQuota"), "{full}");
    lab.hdfs.admin(&["-clrSpaceQuota", ROOT]);

    lab.hdfs.admin(&["-safemode", "enter"]);
    let safe = error_of(lab.command().env("HADOOP_USER_NAME", "ann"), UNREACHABLE);
    assert!(safe.contains("is in safe mode"), "{safe}");
    lab.hdfs.admin(&["-safemode", "leave"]);

    run(lab.command().env("HADOOP_USER_NAME", "ann"), "").expect_success();
    assert_eq!(lab.hdfs.fs(&["-stat", "%u", &format!("{ROOT}/t")]).trim(), "ann");
    let commits = run(&mut history(&lake), "").expect_success();
    assert!(commits.contains("30"), "{commits}");
    lab.check();

    lab.hdfs.fs(&["-rm", "-r", "-skipTrash", &format!("{ROOT}/t/hourly/2013/01/01/05")]);
    let mut verify = lab.cluster.dohle(["sink", "verify", "t", "--lake", &lake]);
    let damaged = run(&mut verify, "");
    assert_eq!(damaged.status.code(), Some(OTHER), "{}", damaged.stderr);
    assert!(damaged.stdout.contains("is missing"), "{}", damaged.stdout);
}
