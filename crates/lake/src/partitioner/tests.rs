use chrono_tz::Tz;

use super::*;
use crate::avro::Meaning;

fn by_field(format: &str, timezone: Tz) -> Partitioner {
    let source = TimeSource::Field { path: vec!["at".into()], unit: EpochUnit::Millis };
    Partitioner::new(source, format.parse().unwrap(), timezone, UndatedPolicy::Quarantine)
}

#[track_caller]
fn lands(partitioner: &Partitioner, field: &Captured<'_>, expected: &str) {
    let bucket = partitioner.bucket(Timestamp::from_millis(0), field).unwrap();
    assert_eq!(partitioner.directory(bucket).as_str(), expected);
}

fn whole(value: i64, meaning: Meaning) -> Captured<'static> {
    Captured::Whole { value, meaning }
}

#[test]
fn every_usual_writing_of_one_hour_lands_in_its_directory() {
    let hourly = by_field("hourly", Tz::UTC);
    for text in [
        "2013-01-01T05:00:00Z",
        "2013-01-01T05:59:59.999Z",
        "2013-01-01t05:00:00+00:00",
        "2013-01-01T00:30:00-05:00",
        "2013-01-01T06:30:00+0100",
        "2013-01-01 05:00:00",
        "2013-01-01 05:00:00+00:00",
        "2013-01-01 05:00:00.25",
        "2013-01-01T05:00:00",
        "2013-01-01T05:30",
        "2013-01-01T05:30Z",
    ] {
        lands(&hourly, &Captured::Text(text), "hourly/2013/01/01/05");
    }
    lands(&hourly, &Captured::Text("2013-01-01"), "hourly/2013/01/01/00");
}

#[test]
fn a_number_is_read_by_its_logical_type_and_else_by_the_configured_unit() {
    let hourly = by_field("hourly", Tz::UTC);
    let millis = 1_357_016_400_000;
    let expected = "hourly/2013/01/01/05";
    lands(&hourly, &whole(millis, Meaning::Plain), expected);
    lands(&hourly, &whole(millis, Meaning::Millis), expected);
    lands(&hourly, &whole(millis * 1_000, Meaning::Micros), expected);
    lands(&hourly, &whole(millis * 1_000_000, Meaning::Nanos), expected);
    lands(&hourly, &whole(millis, Meaning::LocalMillis), expected);
    lands(&hourly, &whole(15_706, Meaning::Days), "hourly/2013/01/01/00");
    lands(&hourly, &whole(-1, Meaning::Days), "hourly/1969/12/31/00");
    lands(&hourly, &whole(-1, Meaning::Micros), "hourly/1969/12/31/23");

    let source = TimeSource::Field { path: vec!["at".into()], unit: EpochUnit::Seconds };
    let seconds =
        Partitioner::new(source, "daily".parse().unwrap(), Tz::UTC, UndatedPolicy::Quarantine);
    lands(&seconds, &whole(millis / 1_000, Meaning::Plain), "daily/2013/01/01");
    assert_eq!(
        seconds.bucket(Timestamp::default(), &whole(i64::MAX, Meaning::Plain)),
        Err(Undated::OutOfRange)
    );
}

#[test]
fn midnight_belongs_to_the_day_it_begins() {
    let daily = by_field("daily", Tz::UTC);
    lands(&daily, &Captured::Text("2013-12-31T23:59:59.999Z"), "daily/2013/12/31");
    lands(&daily, &Captured::Text("2014-01-01T00:00:00Z"), "daily/2014/01/01");
    let madrid = by_field("daily", Tz::Europe__Madrid);
    lands(&madrid, &Captured::Text("2013-12-31T23:00:00Z"), "daily/2014/01/01");
}

#[test]
fn on_a_day_of_25_hours_both_passes_of_an_hour_share_its_directory() {
    let hive = by_field("hive-hourly", Tz::America__New_York);
    lands(&hive, &Captured::Text("2013-11-03T05:30:00Z"), "dt=2013-11-03/hr=01");
    lands(&hive, &Captured::Text("2013-11-03T06:30:00Z"), "dt=2013-11-03/hr=01");
    lands(&hive, &Captured::Text("2013-11-03T07:30:00Z"), "dt=2013-11-03/hr=02");
    // On the day of 23 hours there is no 02; a zone-less text that says so is taken at its word.
    lands(&hive, &Captured::Text("2013-03-10T07:00:00Z"), "dt=2013-03-10/hr=03");
    lands(&hive, &Captured::Text("2013-03-10 02:30:00"), "dt=2013-03-10/hr=02");
}

#[test]
fn the_week_year_trap_of_java_patterns_is_not_ours() {
    lands(&by_field("daily", Tz::UTC), &Captured::Text("2014-12-29"), "daily/2014/12/29");
}

#[test]
fn a_field_without_a_time_says_why() {
    let hourly = by_field("hourly", Tz::UTC);
    let why = |field: Captured<'_>| hourly.bucket(Timestamp::from_millis(0), &field).unwrap_err();
    assert_eq!(why(Captured::Absent), Undated::NoSuchField);
    assert_eq!(why(Captured::Null), Undated::Null);
    assert_eq!(why(Captured::Other), Undated::NotATime);
    assert_eq!(why(whole(1, Meaning::NotATime)), Undated::NotATime);
    assert_eq!(why(Captured::Text("soon")), Undated::Unreadable { text: "soon".into() });
    assert_eq!(
        why(Captured::Text("2013-02-30")),
        Undated::Unreadable { text: "2013-02-30".into() }
    );
    // Microseconds taken for milliseconds: the year 44972.
    assert_eq!(why(whole(1_357_016_400_000_000, Meaning::Plain)), Undated::OutOfRange);
}

#[test]
fn undated_records_may_have_a_directory_of_their_own() {
    let source = TimeSource::Field { path: vec!["at".into()], unit: EpochUnit::Millis };
    let format = "hourly".parse().unwrap();
    let partitioner = Partitioner::new(source, format, Tz::UTC, UndatedPolicy::Directory);
    lands(&partitioner, &Captured::Null, "undated");
}

#[test]
fn the_record_timestamp_needs_no_field() {
    let format = "hourly".parse().unwrap();
    let by_record =
        Partitioner::new(TimeSource::RecordTimestamp, format, Tz::UTC, UndatedPolicy::Quarantine);
    assert!(by_record.field().is_empty());
    let bucket =
        by_record.bucket(Timestamp::from_millis(1_357_016_400_000), &Captured::Absent).unwrap();
    assert_eq!(by_record.directory(bucket).as_str(), "hourly/2013/01/01/05");
}

#[test]
fn a_format_that_would_mix_times_or_leave_the_lake_is_refused() {
    let refused = |text: &str| text.parse::<DirectoryFormat>().unwrap_err();
    assert!(matches!(refused("hourli"), InvalidDirectoryFormat::NotAPattern { .. }));
    assert!(matches!(refused("%Y/%U"), InvalidDirectoryFormat::UnknownField { .. }));
    assert!(matches!(refused("%Y/%"), InvalidDirectoryFormat::UnknownField { .. }));
    assert!(matches!(refused("../%Y"), InvalidDirectoryFormat::NotInside { .. }));
    assert!(matches!(refused("/%Y"), InvalidDirectoryFormat::NotInside { .. }));
    assert!(matches!(refused("_%Y"), InvalidDirectoryFormat::NotInside { .. }));
    assert!(matches!(refused("%m/%d"), InvalidDirectoryFormat::Ambiguous { missing: "%Y", .. }));
    assert!(matches!(refused("%Y/%m/%H"), InvalidDirectoryFormat::Ambiguous { missing: "%d", .. }));
    assert!("year=%Y/day=%j".parse::<DirectoryFormat>().is_ok());
}

#[test]
fn a_time_at_the_end_of_the_calendar_is_out_of_range_in_every_zone() {
    let last = DateTime::<chrono::Utc>::MAX_UTC.timestamp_millis();
    let first = DateTime::<chrono::Utc>::MIN_UTC.timestamp_millis();
    for timezone in [Tz::UTC, Tz::Asia__Tokyo, Tz::America__New_York] {
        let hourly = by_field("hourly", timezone);
        for millis in [first, last, i64::MIN, i64::MAX] {
            let bucket = hourly.bucket(Timestamp::default(), &whole(millis, Meaning::Millis));
            assert_eq!(bucket, Err(Undated::OutOfRange));
        }
    }
}
