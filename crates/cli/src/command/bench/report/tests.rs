use std::time::Duration;

use measure::{CpuTime, Turn};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn turn(bytes: u64) -> Turn {
    let cpu = CpuTime { client: SECOND / 4, server: Some(SECOND / 4 * 3) };
    Turn { records: bytes / 1000, bytes, took: SECOND, cpu }
}

fn latency() -> Paced {
    let none = Percentiles { samples: 1, p50_us: 1.0, p99_us: 1.0, p999_us: 1.0, max_us: 1.0 };
    Paced { records_per_second: 1000, ours: none, plain: none }
}

#[test]
fn people_see_a_line_for_each_durability_and_side() {
    let compared = Comparison::of(&[(turn(1_000_000_000), turn(2_000_000_000))]).unwrap();
    let rows = vec![Row::new("page-cache", compared, latency())];
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
