//! How long a message waits before it is delivered again.

use std::time::Duration;

/// The wait after the first failure, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Twice as long after each delivery, from 1 s to 5 min; of that one half, and of the other half as
/// much as `random`, which is from 0 to 1, says: so that what failed together does not come back
/// together ("equal jitter", Brooker, *Exponential Backoff And Jitter*, 2015).
pub(crate) fn delay(deliveries: u32, random: f64) -> Duration {
    let doublings = deliveries.saturating_sub(1).min(20);
    let full = (FIRST * (1 << doublings)).min(LONGEST);
    full / 2 + (full / 2).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_with_each_delivery_and_is_bounded() {
        let longest = |deliveries| delay(deliveries, 1.0);
        assert_eq!([1, 2, 3].map(longest), [1, 2, 4].map(Duration::from_secs));
        assert_eq!(longest(u32::MAX), LONGEST);
        assert_eq!(delay(3, 0.0), Duration::from_secs(2));
        assert_eq!(delay(0, 0.5), Duration::from_millis(750));
    }
}
