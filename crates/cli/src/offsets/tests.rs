use super::*;

fn range(text: &str) -> Range {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn from(point: Point) -> Range {
    Range { from: point, until: None }
}

fn between(from: Point, until: Point) -> Range {
    Range { from, until: Some(until) }
}

fn exact(raw: u64) -> Point {
    Point::Exact(Offset::new(raw))
}

fn at(millis: i64) -> Point {
    Point::At(Moment::Time(Timestamp::from_millis(millis)))
}

#[test]
fn every_form_of_one_point_is_read() {
    assert_eq!(range("start"), from(Point::Start));
    assert_eq!(range("end"), from(Point::End));
    assert_eq!(range("17"), from(exact(17)));
    assert_eq!(range("+5"), from(Point::AfterStart(5)));
    assert_eq!(range("-5"), from(Point::BeforeEnd(5)));
}

#[test]
fn a_range_is_open_where_nothing_is_said() {
    assert_eq!(range("3:9"), between(exact(3), exact(9)));
    assert_eq!(range("3:"), from(exact(3)));
    assert_eq!(range(":end"), between(Point::Start, Point::End));
    assert_eq!(range(":9"), between(Point::Start, exact(9)));
    assert_eq!(range("-10:-2"), between(Point::BeforeEnd(10), Point::BeforeEnd(2)));
}

#[test]
fn a_moment_is_given_in_any_usual_form() {
    assert_eq!(range("@1700000000000"), from(at(1_700_000_000_000)));
    assert_eq!(range("@1700000000"), from(at(1_700_000_000_000)));
    assert_eq!(range("@2026-01-31"), from(at(1_769_817_600_000)));
    assert_eq!(range("@2026-01-31T00:00:01"), from(at(1_769_817_601_000)));
    assert_eq!(range("@2026-01-31T01:00:00+01:00"), from(at(1_769_817_600_000)));
    assert_eq!(range("@-90m"), from(Point::At(Moment::Ago(Duration::from_mins(90)))));
}

#[test]
fn a_colon_inside_a_time_does_not_cut_the_range() {
    assert_eq!(
        range("@2026-01-31T00:00:00Z:@2026-01-31T00:00:01Z"),
        between(at(1_769_817_600_000), at(1_769_817_601_000))
    );
    assert_eq!(range("@2026-01-31T00:00:00Z:end"), between(at(1_769_817_600_000), Point::End));
    assert_eq!(range("5:@2026-01-31T00:00:00Z"), between(exact(5), at(1_769_817_600_000)));
}

#[test]
fn what_is_no_offset_is_refused_and_named() {
    for text in ["", ":", "later", "+", "-", "1x", "+-3", "@", "@tomorrow", "@-5parsecs", "0x10"] {
        let error = text.parse::<Range>().unwrap_err();
        assert!(matches!(error, OffsetError::Unknown { .. }), "{text:?}: {error}");
    }
}

#[test]
fn an_offset_beyond_all_offsets_is_refused() {
    let error = "9223372036854775808".parse::<Range>().unwrap_err();
    assert!(matches!(error, OffsetError::TooLarge { .. }), "{error}");
    let error = "99999999999999999999999".parse::<Range>().unwrap_err();
    assert!(matches!(error, OffsetError::TooLarge { .. }), "{error}");
}

#[test]
fn a_relative_point_never_leaves_the_log() {
    let extent = Extent { start: Offset::new(10), end: Offset::new(20) };
    let place = |point: Point| point.place(extent, None).get();
    assert_eq!(place(Point::AfterStart(3)), 13);
    assert_eq!(place(Point::AfterStart(99)), 20);
    assert_eq!(place(Point::BeforeEnd(3)), 17);
    assert_eq!(place(Point::BeforeEnd(99)), 10);
    assert_eq!(place(Point::Start), 10);
    assert_eq!(place(Point::End), 20);
}

#[test]
fn an_exact_offset_is_never_bent_into_the_log() {
    let extent = Extent { start: Offset::new(10), end: Offset::new(20) };
    assert_eq!(exact(3).place(extent, None), Offset::new(3));
    assert_eq!(exact(99).place(extent, None), Offset::new(99));
}

#[test]
fn a_moment_after_the_last_record_is_the_end() {
    let extent = Extent { start: Offset::new(10), end: Offset::new(20) };
    assert_eq!(at(0).place(extent, Some(Offset::new(12))), Offset::new(12));
    assert_eq!(at(0).place(extent, None), Offset::new(20));
}

#[test]
fn an_age_counts_back_from_now() {
    let now = Timestamp::from_millis(10_000);
    assert_eq!(Moment::Ago(Duration::from_secs(4)).timestamp(now).as_millis(), 6_000);
}
