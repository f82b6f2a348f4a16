use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn turn(bytes: u64, took: Duration, cpu: Duration) -> Turn {
    let cpu = CpuTime { client: cpu / 4, server: Some(cpu / 4 * 3) };
    Turn { records: bytes / 1000, bytes, took, cpu }
}

fn latency() -> Paced {
    let none = Percentiles { samples: 1, p50_us: 1.0, p99_us: 1.0, p999_us: 1.0, max_us: 1.0 };
    Paced { records_per_second: 1000, ours: none, plain: none }
}

#[track_caller]
fn check(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn the_median_lies_in_the_middle_and_the_ends_are_told() {
    assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
    assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    assert_eq!(Spread::of([]), None);
}

#[test]
fn a_megabyte_has_a_million_bytes() {
    let half_a_second = turn(500_000_000, SECOND / 2, 2 * SECOND);
    check(half_a_second.mb_per_second(), 1000.0);
    check(half_a_second.records_per_second(), 1_000_000.0);
    check(half_a_second.cpu_seconds_per_gb(), 4.0);
}

#[test]
fn sides_are_compared_within_a_round_and_not_across_rounds() {
    // The machine was twice as fast in the second round, for both.
    let slow = (turn(100, SECOND, SECOND), turn(200, SECOND, SECOND));
    let fast = (turn(200, SECOND, SECOND), turn(400, SECOND, SECOND));
    let row = Row::new("fsync", &[slow, fast, fast], latency()).unwrap();
    assert_eq!(row.ratio, Spread { median: 0.5, min: 0.5, max: 0.5 });
    check(row.cpu_ratio.unwrap().median, 2.0);
}

#[test]
fn cpu_is_not_compared_where_half_of_it_is_out_of_sight() {
    let mut ours = turn(100, SECOND, SECOND);
    ours.cpu.server = None;
    let row = Row::new("fsync", &[(ours, turn(100, SECOND, SECOND))], latency()).unwrap();
    assert_eq!(row.cpu_ratio, None);
    assert_eq!(row.ours.server_cpu_seconds_per_gb, None);
}

#[test]
fn a_turn_in_which_nothing_was_done_is_no_infinity() {
    let nothing = turn(0, Duration::ZERO, SECOND);
    let row = Row::new("fsync", &[(nothing, nothing)], latency()).unwrap();
    check(row.ratio.median, 0.0);
    check(row.ours.cpu_seconds_per_gb.median, 0.0);
}

#[test]
fn numbers_are_easy_to_read() {
    assert_eq!(grouped(1_234_567.4), "1,234,567");
    assert_eq!(grouped(999.0), "999");
    assert_eq!(grouped(0.2), "0");
    assert_eq!(time(87.4), "87 us");
    assert_eq!(time(1_234.0), "1.23 ms");
    assert_eq!(time(200_400.0), "200 ms");
}

#[test]
fn people_see_a_line_for_each_durability_and_side() {
    let turns = (turn(1_000_000_000, SECOND, SECOND), turn(2_000_000_000, SECOND, SECOND));
    let rows = vec![Row::new("page-cache", &[turns], latency()).unwrap()];
    let report = Report {
        bench: "produce",
        plain: "a copy",
        rounds: 1,
        turn_seconds: 1,
        value_bytes: 1000,
        batch_bytes: 1000,
        rows,
    };
    let text: String = report.tables().iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        "STORED IN   RECORDS/S  MB/S   PLAIN MB/S  RATIO [MIN..MAX]   CPU S/GB  PLAIN  RATIO\n\
         page-cache  1,000,000  1,000  2,000       0.50 [0.50..0.50]  1.00      0.50   2.00\n\
         LATENCY AT  STORED IN   SIDE   P50   P99   P99.9  MAX\n\
         1,000/s     page-cache  dohle  1 us  1 us  1 us   1 us\n\
         1,000/s     page-cache  plain  1 us  1 us  1 us   1 us\n"
    );
}
