//! How often something may happen.

use crate::codec::{Decode, Encode};
use std::{fmt, time::Duration};

/// Millionths in a whole.
const MILLION: u64 = 1_000_000;

/// How often something may happen: a token bucket. It is exact in millionths of a token per second,
/// so that it can be less than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rate {
    millionths: u64,
    /// Tokens there are at most.
    pub burst: u32,
}

impl Rate {
    /// So many tokens come back each second, and there are `burst` at most.
    pub fn per_second(count: u32, burst: u32) -> Self {
        Self { millionths: u64::from(count) * MILLION, burst }
    }

    /// So many millionths of a token come back each second: 100,000 are one in ten seconds.
    pub fn millionths_per_second(millionths: u64, burst: u32) -> Self {
        Self { millionths, burst }
    }

    /// A token comes back in each `interval`, to a millionth of a token per second.
    pub fn every(interval: Duration, burst: u32) -> Self {
        let per_interval = 1_000_000_000_000_000 / interval.as_nanos().max(1);
        Self { millionths: u64::try_from(per_interval).unwrap_or(u64::MAX), burst }
    }

    /// Millionths of a token that come back each second.
    pub fn millionths(&self) -> u64 {
        self.millionths
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millionths / MILLION, self.millionths % MILLION);
        let decimals = format!(".{rest:06}");
        let decimals = if rest == 0 { "" } else { decimals.trim_end_matches('0') };
        write!(f, "{whole}{decimals} per second")
    }
}

/// A rate of whole tokens, as it was written before there were others.
#[derive(Encode, Decode)]
pub(crate) struct RateV1 {
    per_second: u32,
    burst: u32,
}

impl From<RateV1> for Rate {
    fn from(RateV1 { per_second, burst }: RateV1) -> Self {
        Self::per_second(per_second, burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_as_it_was_given() {
        assert_eq!(Rate::per_second(20, 1).to_string(), "20 per second");
        assert_eq!(Rate::every(Duration::from_secs(10), 1).to_string(), "0.1 per second");
        assert_eq!(Rate::millionths_per_second(1_000_001, 1).to_string(), "1.000001 per second");
        assert_eq!(Rate::every(Duration::from_millis(50), 3), Rate::per_second(20, 3));
    }
}
