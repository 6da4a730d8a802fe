//! A token bucket: how often something may happen.

use lanekeeper_storage::record::Rate;

/// A token bucket after Turner's leaky bucket as a meter (IEEE Communications, 1986), which counts
/// in billionths of a token so that nothing is rounded away. It is full until it is first asked;
/// what it knows is kept in memory alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TokenBucket {
    /// Billionths of a token, and when there were so many; negative while in debt.
    state: Option<(i64, u64)>,
    /// Whether somebody waits for the next token.
    is_awaited: bool,
}

/// Billionths in a token: what comes back in a millisecond, at one millionth a second.
const TOKEN: i64 = 1_000_000_000;

impl TokenBucket {
    /// Whole tokens there are now.
    pub(crate) fn available(&self, rate: Rate, now_ms: u64) -> u64 {
        u64::try_from(self.level(rate, now_ms).div_euclid(TOKEN)).unwrap_or(0)
    }

    /// Takes tokens. Whoever asks for more than the burst gets them from a full bucket, which is
    /// then in debt.
    ///
    /// # Errors
    /// After how many milliseconds there are enough, if not now.
    pub(crate) fn take(&mut self, rate: Rate, count: u64, now_ms: u64) -> Result<(), u64> {
        let level = self.level(rate, now_ms);
        let count = i64::try_from(count).unwrap_or(i64::MAX / TOKEN);
        let needed = count.min(i64::from(rate.burst)) * TOKEN;
        if level < needed {
            let missing = u64::try_from(needed - level).unwrap_or(0);
            return Err(missing.div_ceil(rate.millionths().max(1)));
        }
        self.state = Some((level.saturating_sub(count.saturating_mul(TOKEN)), now_ms));
        Ok(())
    }

    /// Somebody waits for the next token: what comes back until it is taken is not lost, as far as
    /// it comes in the time of one token or 2 ms, so that one who is served a little late still
    /// gets the whole rate.
    pub(crate) fn await_token(&mut self) {
        self.is_awaited = true;
    }

    /// Nobody waits for it any more.
    pub(crate) fn nobody_waits(&mut self) {
        self.is_awaited = false;
    }

    fn level(&self, rate: Rate, now_ms: u64) -> i64 {
        let full = i64::from(rate.burst) * TOKEN;
        let Some((level, at_ms)) = self.state else { return full };
        let elapsed_ms = i64::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(i64::MAX);
        let back = back_in(rate, elapsed_ms);
        let late = if self.is_awaited { TOKEN.max(back_in(rate, 2)) } else { 0 };
        level.saturating_add(back).min(full.saturating_add(late))
    }
}

/// What comes back in so many milliseconds.
fn back_in(rate: Rate, elapsed_ms: i64) -> i64 {
    i64::try_from(rate.millionths()).unwrap_or(i64::MAX).saturating_mul(elapsed_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate() -> Rate {
        Rate::per_second(10, 3)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.take(rate(), 2, 0), Ok(()));
        assert_eq!(bucket.take(rate(), 1, 0), Ok(()));
        assert_eq!(bucket.take(rate(), 1, 0), Err(100));
        assert_eq!(bucket.take(rate(), 1, 99), Err(1));
        assert_eq!(bucket.take(rate(), 1, 100), Ok(()));
        assert_eq!(bucket.available(rate(), 350), 2);
        assert_eq!(bucket.available(rate(), 100_000), 3, "it holds its burst and no more");
    }

    #[test]
    fn more_than_the_burst_is_taken_from_a_full_bucket_and_owed() {
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.take(rate(), 13, 0), Ok(()));
        assert_eq!(bucket.available(rate(), 900), 0);
        assert_eq!(bucket.take(rate(), 1, 900), Err(200), "ten are owed, one is wanted");
        assert_eq!(bucket.take(rate(), 1, 1_100), Ok(()));
    }

    #[test]
    fn one_who_waits_and_is_served_late_gets_the_whole_rate() {
        let rate = Rate::per_second(20, 1);
        let (mut bucket, mut now_ms, mut taken) = (TokenBucket::default(), 0, 0);
        while now_ms < 10_000 {
            match bucket.take(rate, 1, now_ms) {
                Ok(()) => taken += 1,
                Err(wait_ms) => {
                    bucket.await_token();
                    now_ms += wait_ms + 7;
                }
            }
        }
        assert!((199..=201).contains(&taken), "{taken}");
        bucket.nobody_waits();
        now_ms += 60_000;
        assert_eq!(bucket.available(rate, now_ms), 1, "nobody waited for more");
    }

    #[test]
    fn a_rate_below_one_a_second_is_exact() {
        let rate = Rate::millionths_per_second(100_000, 1);
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.take(rate, 1, 0), Ok(()));
        assert_eq!(bucket.take(rate, 1, 3), Err(9_997));
        assert_eq!(bucket.take(rate, 1, 9_999), Err(1));
        assert_eq!(bucket.take(rate, 1, 10_000), Ok(()));
        let slowest = Rate::millionths_per_second(1, 1_000_000_000);
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.available(slowest, u64::MAX), 1_000_000_000);
        assert_eq!(bucket.take(slowest, 1_000_000_000, 0), Ok(()));
        assert_eq!(bucket.take(slowest, 1, 0), Err(1_000_000_000));
    }

    #[test]
    fn what_it_says_of_the_wait_is_true() {
        let rate = Rate::per_second(3, 2);
        let mut bucket = TokenBucket::default();
        bucket.take(rate, 2, 0).unwrap();
        let wait_ms = bucket.take(rate, 1, 0).unwrap_err();
        assert!(bucket.take(rate, 1, wait_ms - 1).is_err());
        assert!(bucket.take(rate, 1, wait_ms).is_ok());
    }
}
