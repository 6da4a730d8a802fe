//! What becomes of a message whose handler failed.

use std::{any::Any, fmt, time::Duration};

use crate::queue::api::{
    config::SPAN_MAX,
    lease_handle::{NackOptions, REASON_BYTES_MAX},
};

/// The delay after a failed handler: exponential backoff with full jitter, as in Marc Brooker,
/// "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). The delay after the n-th
/// delivery is any time from none to `base` × 2ⁿ⁻¹, `delay_max` at most, so that messages that
/// failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The longest delay after the first delivery: 1 s by default, a year at most.
    pub base: Duration,
    /// The longest delay of all: 5 minutes by default, a year at most.
    pub delay_max: Duration,
    /// Deliveries (1 or more) after which a failure is a dead letter. `None`, the default, leaves
    /// that to the queue's `max_deliveries`.
    pub deliveries_max: Option<u32>,
}

impl Default for Retry {
    fn default() -> Self {
        let (base, delay_max) = (Duration::from_secs(1), Duration::from_secs(300));
        Self { base, delay_max, deliveries_max: None }
    }
}

impl Retry {
    /// How long a message waits that has just failed for the `deliveries`-th time, drawn anew by
    /// each call.
    pub fn delay(&self, deliveries: u32) -> Duration {
        let random = getrandom::u64().expect("an operating system has a source of randomness");
        self.delay_drawn(deliveries, random)
    }

    fn delay_drawn(&self, deliveries: u32, random: u64) -> Duration {
        let doublings = deliveries.saturating_sub(1).min(31);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.delay_max);
        let ceiling_ms = ceiling.min(SPAN_MAX).as_millis() as u64;
        // The high bits of the product: an even choice of 0..=ceiling_ms.
        let drawn = (u128::from(random) * u128::from(ceiling_ms + 1)) >> 64;
        Duration::from_millis(drawn as u64)
    }
}

/// The failure of a handler, and what to do with its message. Every type that implements
/// [`fmt::Display`] converts into a failure that is tried again by [`Retry`], so that `?` works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerFailure {
    reason: String,
    after_failure: AfterFailure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterFailure {
    Retried,
    RetriedAfter(Duration),
    Dead,
}

impl HandlerFailure {
    /// Try the message again by [`Retry`].
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), after_failure: AfterFailure::Retried }
    }

    /// Try the message again after this delay, at most a year.
    pub fn retry_after(delay: Duration, reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), after_failure: AfterFailure::RetriedAfter(delay) }
    }

    /// Do not try the message again: it moves to the dead-letter queue.
    pub fn dead_letter(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), after_failure: AfterFailure::Dead }
    }

    /// What a panic left behind.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::retry(format_args!("panicked: {}", text.unwrap_or("with no text")))
    }
}

/// [`HandlerFailure`] is not [`fmt::Display`] itself, or this could not be.
impl<E: fmt::Display> From<E> for HandlerFailure {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

/// How a lease is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    Done,
    Back(NackOptions),
    Dead(String),
}

impl Disposition {
    /// What a handler's result means for a message delivered so often.
    pub(crate) fn of(result: Result<(), HandlerFailure>, deliveries: u32, retry: &Retry) -> Self {
        let Err(HandlerFailure { reason, after_failure }) = result else { return Self::Done };
        let reason = cut(reason);
        let is_over = retry.deliveries_max.is_some_and(|most| deliveries >= most);
        let delay = match after_failure {
            AfterFailure::Dead => return Self::Dead(reason),
            _ if is_over => return Self::Dead(reason),
            AfterFailure::RetriedAfter(delay) => delay.min(SPAN_MAX),
            AfterFailure::Retried => retry.delay(deliveries),
        };
        Self::Back(NackOptions { delay, reason: Some(reason), is_counted: true })
    }
}

/// As much of a reason as is kept.
fn cut(mut reason: String) -> String {
    let mut ends = (0..=REASON_BYTES_MAX.min(reason.len())).rev();
    let end = ends.find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
    reason.truncate(end);
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        base: Duration::from_secs(1),
        delay_max: Duration::from_secs(10),
        deliveries_max: Some(3),
    };

    #[test]
    fn the_longest_delay_doubles_up_to_its_bound_and_the_shortest_is_none() {
        let longest = [1_000, 2_000, 4_000, 8_000, 10_000, 10_000].map(Duration::from_millis);
        for (deliveries, longest) in (1..).zip(longest) {
            assert_eq!(RETRY.delay_drawn(deliveries, u64::MAX), longest);
            assert_eq!(RETRY.delay_drawn(deliveries, u64::MAX / 2), longest / 2);
            assert_eq!(RETRY.delay_drawn(deliveries, 0), Duration::ZERO);
        }
        assert_eq!(RETRY.delay_drawn(u32::MAX, u64::MAX), RETRY.delay_max);
        let endless = Retry { base: Duration::MAX, delay_max: Duration::MAX, ..RETRY };
        assert_eq!(endless.delay_drawn(9, u64::MAX), SPAN_MAX);
    }

    #[test]
    fn a_failure_comes_back_until_it_has_been_delivered_too_often() {
        assert_eq!(Disposition::of(Ok(()), 9, &RETRY), Disposition::Done);
        let failed = |deliveries| Disposition::of(Err("no".into()), deliveries, &RETRY);
        assert!(matches!(failed(2), Disposition::Back(back) if back.is_counted));
        assert_eq!(failed(3), Disposition::Dead("no".to_owned()));
        let delay = Duration::from_secs(77);
        let back = Disposition::of(Err(HandlerFailure::retry_after(delay, "later")), 1, &RETRY);
        assert!(matches!(back, Disposition::Back(back) if back.delay == delay));
        let dead = Disposition::of(Err(HandlerFailure::dead_letter("never")), 1, &RETRY);
        assert_eq!(dead, Disposition::Dead("never".to_owned()));
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        let cut = cut(format!("x{}", "é".repeat(600)));
        assert_eq!(cut.len(), 1_023);
        assert!(cut.ends_with('é'));
    }
}
