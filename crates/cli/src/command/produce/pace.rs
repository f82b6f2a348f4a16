use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::args::produce::Produce;

/// How quickly lines may follow each other.
#[derive(Debug)]
pub(super) struct Pace {
    ticks: Option<Interval>,
    /// A tick has come and no line has used it yet.
    ready: bool,
}

impl Pace {
    /// As `--delay` or `--rate` say; otherwise as they come.
    pub(super) fn of(produce: &Produce) -> Self {
        let ticks = match (produce.delay, produce.rate) {
            (Some(delay), _) if !delay.is_zero() => Some(ticks(delay, MissedTickBehavior::Delay)),
            // Timers tick in milliseconds: a rate above a thousand has to catch up.
            (_, Some(rate)) => {
                Some(ticks(Duration::from_secs(1) / rate.max(1), MissedTickBehavior::Burst))
            }
            (_, None) => None,
        };
        Self { ticks, ready: false }
    }

    /// Waits until the next line may go. Waiting may be broken off and taken up again.
    pub(super) async fn wait(&mut self) {
        if let Some(ticks) = &mut self.ticks
            && !self.ready
        {
            ticks.tick().await;
            self.ready = true;
        }
    }

    /// A line has gone.
    pub(super) const fn spend(&mut self) {
        self.ready = false;
    }
}

fn ticks(period: Duration, missed: MissedTickBehavior) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(missed);
    ticks
}
