use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// How long to wait after `failures` failed attempts: longer each time, and spread by `random`
/// over the upper half, so that clients do not all come back at once.
pub(crate) fn wait(failures: u32, random: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let nominal = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let half = nominal / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// A random number for jitter and for spreading load; nothing depends on its quality.
pub(crate) fn random() -> u32 {
    // A system without randomness spreads nothing and works all the same.
    getrandom::u32().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_spread_over_half() {
        let waits: Vec<_> = (1..8).map(|failures| wait(failures, u32::MAX).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000]);
        assert_eq!(wait(1, 0).as_millis(), 25);
        assert_eq!(wait(u32::MAX, u32::MAX), LONGEST);
    }
}
