use std::collections::HashSet;

use super::*;

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Faces {
    Own,
    Alike,
}

/// Who asks, waits for the answer and asks again, for ever, in a time of its own.
struct Loop {
    crowd: Crowd,
    now: Duration,
    /// When each of them asks next, and who that is.
    due: Vec<(Duration, u32)>,
    /// Who was answered last.
    last: HashSet<u32>,
    /// Whether they can be told apart.
    faces: Faces,
    /// From an answer to the next request, and by how much more for each who was answered before.
    travel: (Duration, Duration),
    /// What a group takes, and by how much more for each in it.
    group: (Duration, Duration),
    /// What it takes to tell them, before which the next group is not begun.
    telling: Duration,
    /// Every so many groups one takes so much longer.
    stall: (u32, Duration),
    groups: u32,
}

impl Loop {
    fn new(askers: u32, travel: (Duration, Duration), group: (Duration, Duration)) -> Self {
        let due = (0..askers).map(|who| (Duration::ZERO, who)).collect();
        let stall = (u32::MAX, Duration::ZERO);
        let (crowd, now, last) = (Crowd::default(), Duration::ZERO, HashSet::new());
        let (faces, telling) = (Faces::Own, Duration::ZERO);
        Self { crowd, now, due, last, faces, travel, group, telling, stall, groups: 0 }
    }

    /// The next group; returns how large it was.
    fn group(&mut self) -> usize {
        self.groups += 1;
        self.due.sort_unstable();
        let begun = self.now.max(self.due[0].0);
        let come_by = |due: &[(Duration, u32)], at| due.partition_point(|due| due.0 <= at);
        let wanted = self.crowd.wanted(come_by(&self.due, begun));
        let until = begun + self.crowd.patience();
        let complete = self.due.get(wanted.least.saturating_sub(1)).map_or(until, |due| due.0);
        let begun = complete.clamp(begun, until);
        let size = come_by(&self.due, begun).min(wanted.most);
        let mut answered = begun + self.group.0 + self.group.1 * u32::try_from(size).unwrap();
        if self.groups.is_multiple_of(self.stall.0) {
            answered += self.stall.1;
        }
        let come = come_by(&self.due, answered);
        let last_came = self.due[come - 1].0;
        let waiting = come - size;
        let group = self.due[..size].iter().map(|due| due.1).collect::<HashSet<_>>();
        let again = match self.faces {
            Faces::Own => group.intersection(&self.last).count(),
            Faces::Alike => usize::from(!self.last.is_empty()),
        };
        self.last = group;
        for (before, due) in (0..).zip(&mut self.due[..size]) {
            due.0 = answered + self.travel.0 + self.travel.1 * before;
        }
        let met = Met { size, again };
        self.crowd.note(Committed { met, begun, answered, waiting, last_came });
        self.now = answered + self.telling;
        self.crowd.note_told(self.now);
        size
    }

    /// Answers for each millisecond, once it has become used to it.
    fn pace(&mut self) -> f64 {
        for _ in 0..200 {
            self.group();
        }
        let begun = self.now;
        let answered = (0..1000).map(|_| self.group()).sum::<usize>();
        f64::from(u32::try_from(answered).unwrap())
            / (1000.0 * self.now.saturating_sub(begun).as_secs_f64())
    }
}

#[test]
fn those_who_travel_for_long_leave_the_disk_to_others_meanwhile() {
    for (askers, gain) in [(10, 1.08), (33, 1.15), (100, 1.55)] {
        let (travel, sync) = ((micros(180), micros(4)), (micros(100), micros(2)));
        let pace = Loop::new(askers, travel, sync).pace();
        let all_at_once = sync.0 + sync.1 * askers + travel.0 + travel.1 * (askers - 1);
        let all_at_once = f64::from(askers) / (1000.0 * all_at_once.as_secs_f64());
        assert!(gain * all_at_once < pace, "{askers}: {pace} of {all_at_once} all at once");
    }
}

#[test]
fn those_who_look_alike_are_hardly_slower_than_all_together() {
    for askers in [4, 5, 6, 8, 10, 33] {
        let (travel, sync) = ((micros(180), micros(4)), (micros(100), micros(2)));
        let mut alike = Loop::new(askers, travel, sync);
        alike.faces = Faces::Alike;
        let pace = alike.pace();
        let all_at_once = sync.0 + sync.1 * askers + travel.0 + travel.1 * (askers - 1);
        let all_at_once = f64::from(askers) / (1000.0 * all_at_once.as_secs_f64());
        assert!(0.95 * all_at_once < pace, "{askers}: {pace} of {all_at_once} all at once");
    }
}

#[test]
fn those_who_are_soon_back_stay_together() {
    for (askers, travel, sync) in [
        // Much to write.
        (64, (micros(100), micros(1)), (micros(100), micros(20))),
        // A disk that turns.
        (10, (micros(180), micros(4)), (micros(5000), micros(2))),
        (500, (micros(180), micros(0)), (micros(5000), micros(2))),
        // The same for people who are far away.
        (20, (micros(2000), micros(4)), (micros(9000), micros(2))),
    ] {
        let mut all = Loop::new(askers, travel, sync);
        all.pace();
        for _ in 0..100 {
            assert_eq!(all.group(), askers as usize);
        }
    }
}

#[test]
fn on_a_disk_that_others_keep_busy_they_stay_together() {
    let mut all = Loop::new(100, (micros(180), micros(2)), (micros(100), micros(2)));
    all.stall = (20, micros(75_000));
    all.pace();
    let large = (0..100).filter(|_| all.group() == 100).count();
    assert!(90 < large, "{large} groups of 100 are of all");
}

#[test]
fn who_is_back_before_there_is_time_for_the_next_group_does_not_travel() {
    let mut alone = Loop::new(10, (micros(180), micros(4)), (micros(100), micros(2)));
    // There is one processor, and theirs is the first turn.
    alone.telling = micros(250);
    alone.pace();
    for _ in 0..100 {
        assert_eq!(alone.group(), 10);
    }
    // There is another one now.
    alone.telling = micros(10);
    alone.pace();
    assert_eq!(alone.group(), 5);
}

#[test]
fn two_or_three_are_not_divided() {
    let mut three = Loop::new(3, (micros(300), micros(0)), (micros(100), micros(2)));
    three.pace();
    assert_eq!(three.group(), 3);
}

#[test]
fn a_crowd_that_comes_of_a_sudden_is_answered_in_a_few_groups() {
    let mut few = Loop::new(10, (micros(180), micros(4)), (micros(100), micros(2)));
    few.pace();
    let wanted = few.crowd.wanted(1000);
    assert_eq!(wanted.most, 500);
    let mut one = Loop::new(1, (micros(180), micros(4)), (micros(100), micros(2)));
    one.pace();
    assert_eq!(one.crowd.wanted(1000).most, usize::MAX);
}

#[test]
fn those_who_left_are_not_waited_for_much_longer() {
    let mut many = Loop::new(1000, (micros(180), micros(4)), (micros(100), micros(2)));
    many.pace();
    many.due.truncate(1);
    let groups = (0..50).find(|_| {
        many.group();
        many.crowd.wanted(1).least == 1
    });
    assert!(groups.is_some(), "{:?}", many.crowd);
}

#[test]
fn a_pause_is_no_journey() {
    let mut ten = Loop::new(10, (micros(20), micros(1)), (micros(1000), micros(2)));
    ten.pace();
    let sure = ten.crowd.travel;
    for (due, _who) in &mut ten.due {
        *due += Duration::from_hours(1);
    }
    ten.group();
    assert!(ten.crowd.travel <= sure + 2 * ten.crowd.took);
}

#[test]
fn patience_has_an_end_on_the_slowest_disk() {
    let crowd = Crowd { took: Duration::from_secs(9), ..Crowd::default() };
    assert_eq!(crowd.patience(), Crowd::LONGEST);
}

#[test]
fn if_half_of_them_leave_the_others_are_no_half() {
    let mut twenty = Loop::new(20, (micros(180), micros(4)), (micros(100), micros(2)));
    twenty.pace();
    // One may be on the way.
    assert!((19..=20).contains(&twenty.crowd.everybody), "{:?}", twenty.crowd);
    twenty.due.retain(|due| twenty.last.contains(&due.1));
    let stayed = twenty.due.len();
    assert!((8..13).contains(&stayed), "{stayed}");
    twenty.pace();
    assert!((stayed - 1..=stayed).contains(&twenty.crowd.everybody), "{:?}", twenty.crowd);
    let half = stayed.div_ceil(2);
    assert!((0..10).all(|_| twenty.group() <= half), "{:?}", twenty.crowd);
}

#[test]
fn nobody_is_counted_twice_however_late_some_are() {
    for late in (0..600).step_by(50) {
        let mut ten = Loop::new(10, (micros(180), micros(4)), (micros(100), micros(2)));
        for group in 0..2000 {
            ten.group();
            if group % 7 == 0 {
                ten.due[group % 10].0 += micros(late);
            }
            assert!(ten.crowd.everybody <= 10, "{late}: {:?}", ten.crowd);
        }
    }
}

#[test]
fn those_who_ask_one_at_a_time_are_not_waited_for() {
    let mut crowd = Crowd::default();
    for group in 0..100 {
        let (begun, answered) = (micros(5000 * group), micros(5000 * group + 130));
        let met = Met { size: 1, again: 0 };
        crowd.note(Committed { met, begun, answered, waiting: 0, last_came: begun });
    }
    assert_eq!(crowd.wanted(1).least, 1);
}

/// How long a journey is taken to be, of those of a group that was answered after 1,000 us.
fn journey(
    before: (usize, usize),
    met: Met,
    waiting: usize,
    (last_came, answered): (u64, u64),
) -> u128 {
    let (size, waiting_before) = before;
    let before = Answered { size, waiting: waiting_before, told: micros(1000) };
    let mut crowd = Crowd { took: micros(100), ..Crowd::default() };
    let (begun, answered, last_came) = (micros(1000), micros(answered), micros(last_came));
    crowd.note_travel(before, Committed { met, begun, answered, waiting, last_came });
    4 * crowd.travel.as_micros()
}

#[test]
fn those_of_a_group_are_back_once_as_many_came_as_it_had() {
    let again = |again| Met { size: 8, again };
    // The same eight, the last of whom came after 48 us.
    assert_eq!(journey((8, 0), again(8), 0, (1048, 1200)), 48);
    assert_eq!(journey((8, 0), again(2), 0, (1048, 1200)), 48);
    // Of eight others some had come before: none of these is back.
    assert_eq!(journey((8, 2), again(0), 2, (1080, 1100)), 100);
    assert_eq!(journey((8, 2), again(1), 2, (1080, 1100)), 100);
    // All eight wait behind the others.
    assert_eq!(journey((8, 2), again(0), 8, (1080, 1100)), 80);
}
