//! `Retry-After`: how long a receiver asks to be left alone.

use std::time::{Duration, SystemTime};

use actix_web::http::header::HttpDate;

/// The longest that is heeded.
pub(crate) const LONGEST: Duration = Duration::from_secs(3_600);

/// What a receiver asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    /// To be left alone for so long.
    Wait(Duration),
    /// To be left alone until then.
    Until(SystemTime),
}

impl RetryAfter {
    /// Reads the value of the header: a number of seconds, or a date. `None` if it is neither.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number of more digits than fit is longer than the longest.
            let seconds = value.parse().unwrap_or(u64::MAX);
            return Some(Self::Wait(Duration::from_secs(seconds)));
        }
        value.parse().ok().map(|date: HttpDate| Self::Until(date.into()))
    }

    /// How long that is from `now`: an hour at most, whatever was asked for.
    pub(crate) fn wait(self, now: SystemTime) -> Duration {
        let wait = match self {
            Self::Wait(wait) => wait,
            Self::Until(end) => end.duration_since(now).unwrap_or_default(),
        };
        wait.min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |value| RetryAfter::parse(value).map(|asked| asked.wait(now).as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("3601"), Some(3_600));
        assert_eq!(wait("99999999999999999999999"), Some(3_600));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sunday, 06-Nov-94 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "it is over");
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(3_600));
        for none in ["", "-1", "1.5", "soon", "12 s"] {
            assert_eq!(RetryAfter::parse(none), None, "{none}");
        }
    }
}
