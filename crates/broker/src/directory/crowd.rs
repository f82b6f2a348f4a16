//! How many had better be in one group, by what became of the groups before.
//!
//! Most who ask wait for their answer and then ask again: they travel, from the answer to the next
//! request. If that is soon, beside what a group takes, one had better be everybody. If they travel for
//! longer, the disk would have nothing to do meanwhile; then a group had better be half of them, so
//! that one half travels while the other is made durable.

use std::time::Duration;

use super::faces::Met;

/// Fewer do not fall into halves.
const FEWEST: usize = 4;

/// How groups are made of those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Of all of them.
    Together,
    /// Of one half in turn with the other.
    Halves,
}

/// What is known of those who ask.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowd {
    /// How many they are, as far as they were seen lately: at once, or in two groups one after the
    /// other.
    everybody: usize,
    /// How long a group takes, on the mean of some thirty: on a disk that others keep busy most take
    /// little, and few so long that they cost more than all others.
    took: Duration,
    /// How long those of a group are away from when all of them were told to their next request,
    /// smoothed. Whoever is back before that kept nobody waiting: where there is no other processor, all
    /// of them travel while the next group is not begun, and there is nothing for halves to gain.
    travel: Duration,
    /// The group that was answered last.
    answered: Option<Answered>,
}

/// A group that was answered.
#[derive(Clone, Copy, Debug)]
struct Answered {
    size: usize,
    /// Who waited when it was.
    waiting: usize,
    /// When everyone had been told, and there was time for the next group.
    told: Duration,
}

/// What became of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    /// Who was in it.
    pub(super) met: Met,
    /// When it was complete, and when it was answered, of which nobody has been told.
    pub(super) begun: Duration,
    pub(super) answered: Duration,
    /// Who waited then, and when the last of these, or of the group itself, came.
    pub(super) waiting: usize,
    pub(super) last_came: Duration,
}

/// How large a group is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// For so many it waits, for a while.
    pub(super) least: usize,
    /// More wait for the next one.
    pub(super) most: usize,
}

impl Crowd {
    /// What waiting may cost is a group's time through this, and a journey that takes no longer is
    /// short.
    const PART: u32 = 4;
    /// However long that took.
    const LONGEST: Duration = Duration::from_micros(400);

    /// For how long the first of a group may wait for the others.
    pub(super) fn patience(&self) -> Duration {
        (self.took / Self::PART).min(Self::LONGEST)
    }

    /// How large a group is to be of which so many are there.
    pub(super) fn wanted(&self, there: usize) -> Wanted {
        match self.way() {
            Way::Together => Wanted { least: self.everybody, most: usize::MAX },
            Way::Halves => {
                let least = self.everybody.div_ceil(2);
                // Never less than half of those who are there, were they ever so many.
                Wanted { least, most: least.max(there.div_ceil(2)) }
            }
        }
    }

    fn way(&self) -> Way {
        // On a slow disk one group more costs more than any journey, though nobody waits as long.
        if self.everybody < FEWEST || self.travel <= self.took / Self::PART {
            Way::Together
        } else {
            Way::Halves
        }
    }

    #[cfg(test)]
    pub(super) const fn everybody(&self) -> usize {
        self.everybody
    }

    #[cfg(test)]
    pub(super) fn told(&self) -> Option<Duration> {
        self.answered.map(|answered| answered.told)
    }

    /// Notes what became of a group.
    pub(super) fn note(&mut self, group: Committed) {
        let Committed { met, begun, answered, waiting, .. } = group;
        let took = answered.saturating_sub(begun);
        self.took = if self.answered.is_none() { took } else { (31 * self.took + took) / 32 };
        let mut seen = met.size.saturating_add(waiting);
        if let Some(before) = self.answered {
            self.note_travel(before, group);
            // Those who do not wait for one another are few at once, and many after a while.
            if self.way() == Way::Halves {
                seen = seen.max(before.size + (met.size - met.again));
            }
        }
        self.answered = Some(Answered { size: met.size, waiting, told: answered });
        let fewer = self.everybody.saturating_sub(seen);
        // Who is not seen may be on the way: some fifteen groups forget most of them.
        self.everybody = if fewer == 0 { seen } else { self.everybody - fewer.div_ceil(8) };
    }

    /// Notes when everyone of that group had been told.
    pub(super) const fn note_told(&mut self, told: Duration) {
        if let Some(answered) = &mut self.answered {
            answered.told = told;
        }
    }

    fn note_travel(&mut self, before: Answered, group: Committed) {
        let Met { size, again } = group.met;
        let came = if again <= size / 8 {
            // The group was on its way before: those of the one before wait behind it.
            group.waiting
        } else {
            (size + group.waiting).saturating_sub(before.waiting)
        };
        let back = if before.size <= came { group.last_came } else { group.answered };
        // A pause is no journey.
        let travel = back.saturating_sub(before.told).min(4 * self.took);
        self.travel = (3 * self.travel + travel) / 4;
    }
}

#[cfg(test)]
mod tests;
