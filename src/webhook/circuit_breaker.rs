//! A circuit breaker for a receiver that is down: its messages stay in their queue instead of being
//! leased and given back one after the other.

use std::time::Duration;

use crate::webhook::backoff;

/// Failures in a row after which a receiver is taken to be down.
const FAILURES_MAX: u32 = 3;
/// The longest pause between two tries of a receiver that is down.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a delivery says of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakerDecision {
    /// It answers.
    Up,
    /// It does not, or only that it cannot.
    Down,
    /// It cannot, and asks to be left alone for so long.
    Wait(Duration),
    /// Nothing: the delivery was given up before.
    Unknown,
}

/// What is known of one receiver. After three failures in a row nothing is leased for a while that
/// grows with each further failure, and then one message alone; the first that succeeds ends it.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreaker {
    failures: u32,
    pauses: u32,
    until: Duration,
    /// Until when it asked to be left alone.
    asked_until: Duration,
}

impl CircuitBreaker {
    /// Takes note of a delivery that ended at `now`; `random` is from 0 to 1. Answers whether the
    /// receiver is taken to be down or up again from now on, if that is new.
    pub(crate) fn note(
        &mut self,
        verdict: BreakerDecision,
        now: Duration,
        random: f64,
    ) -> Option<bool> {
        let was_down = self.is_down();
        match verdict {
            // It answered one message: that says nothing of the wait it asked for with another.
            BreakerDecision::Up => {
                *self = Self { asked_until: self.asked_until, ..Self::default() }
            }
            BreakerDecision::Down => self.failures = self.failures.saturating_add(1),
            BreakerDecision::Wait(wait) => {
                self.failures = self.failures.saturating_add(1);
                self.asked_until = self.asked_until.max(now.saturating_add(wait));
            }
            BreakerDecision::Unknown => return None,
        }
        // Those that were under way when the pause began fail together: that is one failure.
        if self.is_down() && self.until <= now {
            self.pauses = self.pauses.saturating_add(1);
            self.until = now + backoff::delay(self.pauses, random).min(PAUSE_MAX);
        }
        Some(self.is_down()).filter(|&is_down| is_down != was_down)
    }

    /// Whether the receiver is taken to be down.
    pub(crate) fn is_down(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// How many deliveries may be under way, of `most`.
    pub(crate) fn room(&self, most: usize) -> usize {
        if self.is_down() { most.min(1) } else { most }
    }

    /// Pauses so far, since it is down.
    pub(crate) fn pauses(&self) -> u32 {
        self.pauses
    }

    /// Until when nothing is to be leased.
    pub(crate) fn paused_until(&self, now: Duration) -> Option<Duration> {
        let until = if self.is_down() { self.until } else { Duration::ZERO };
        Some(until.max(self.asked_until)).filter(|&until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_few_failures_change_nothing_and_a_success_forgets_them() {
        let mut circuit_breaker = CircuitBreaker::default();
        for verdict in [
            BreakerDecision::Down,
            BreakerDecision::Down,
            BreakerDecision::Up,
            BreakerDecision::Down,
            BreakerDecision::Down,
        ] {
            assert_eq!(circuit_breaker.note(verdict, SECOND, 1.0), None);
            assert_eq!((circuit_breaker.room(5), circuit_breaker.paused_until(SECOND)), (5, None));
        }
        assert_eq!(circuit_breaker.note(BreakerDecision::Unknown, SECOND, 1.0), None);
        assert_eq!(circuit_breaker.note(BreakerDecision::Down, SECOND, 1.0), Some(true));
        assert_eq!(
            (circuit_breaker.room(5), circuit_breaker.paused_until(SECOND)),
            (1, Some(2 * SECOND))
        );
    }

    #[test]
    fn a_pause_grows_with_each_try_that_fails_and_ends_with_the_first_that_does_not() {
        let mut circuit_breaker = CircuitBreaker::default();
        let mut now = SECOND;
        for _ in 0..5 {
            circuit_breaker.note(BreakerDecision::Down, now, 1.0);
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(circuit_breaker.paused_until(now), Some(now + seconds * SECOND));
            now += seconds * SECOND;
            assert_eq!(circuit_breaker.paused_until(now), None, "it is tried");
            assert_eq!(circuit_breaker.room(5), 1, "with one message");
            assert_eq!(circuit_breaker.note(BreakerDecision::Down, now, 1.0), None);
        }
        assert_eq!(circuit_breaker.note(BreakerDecision::Up, now, 1.0), Some(false));
        assert_eq!((circuit_breaker.room(5), circuit_breaker.paused_until(now)), (5, None));
    }
}
