//! Quantities as people write them: `5m`, `500ms`, `8MiB`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A span of time: `500ms`, `5s`, `1m30s`, `2h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HumanDuration(pub(crate) Duration);

const SPAN_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A number of bytes: `4096`, `32KiB`, `8MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteCount(pub(crate) u64);

const BYTE_UNITS: [(&str, u64); 4] =
    [("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a duration such as 500ms, 5s, 1m30s, 2h or 7d");
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let (mut rest, mut millis) = (text, 0_u64);
        while !rest.is_empty() {
            let (part, after) = first_part(rest, &SPAN_UNITS).ok_or_else(wrong)?;
            millis = millis.checked_add(part).ok_or_else(wrong)?;
            rest = after;
        }
        if text.is_empty() { Err(wrong()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match first_part(text, &BYTE_UNITS) {
            Some((bytes, "")) => Ok(Self(bytes)),
            _ => {
                Err(format!("{text:?} is not a number of bytes such as 4096, 32KiB, 8MiB or 1GiB"))
            }
        }
    }
}

/// The number at the start of a text, times its unit, and what follows.
fn first_part<'t>(text: &'t str, units: &[(&str, u64)]) -> Option<(u64, &'t str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (word, rest) = rest.split_at(letters);
    let (_, factor) = units.iter().find(|(unit, _)| *unit == word)?;
    Some((number.parse::<u64>().ok()?.checked_mul(*factor)?, rest))
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0.as_millis(), &SPAN_UNITS, f)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(u128::from(self.0), &BYTE_UNITS, f)
    }
}

/// Writes a number in the largest unit that it is a multiple of.
fn write(number: u128, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| number.is_multiple_of(u128::from(*factor));
    let largest = units.iter().rev().find(fits).filter(|_| number > 0);
    let (unit, factor) = largest.unwrap_or(&units[0]);
    write!(f, "{}{unit}", number / u128::from(*factor))
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number of bytes such as 4096 or \"8MiB\"")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_and_written_in_its_units() {
        let spans = [("500ms", 500), ("5s", 5_000), ("90s", 90_000), ("2h", 7_200_000), ("0", 0)];
        for (text, millis) in spans {
            assert_eq!(text.parse(), Ok(HumanDuration(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!("1m30s".parse(), Ok(HumanDuration(Duration::from_secs(90))));
        assert_eq!(HumanDuration(Duration::from_secs(300)).to_string(), "5m");
        assert_eq!(HumanDuration(Duration::ZERO).to_string(), "0ms");
        for text in ["", "5", "s", "5 s", "-5s", "1.5s", "5x", "99999999999999999999d"] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_read_and_written_in_their_units() {
        for (text, bytes) in [("4096", 4096), ("32KiB", 32_768), ("8MiB", 8 << 20), ("0", 0)] {
            assert_eq!(text.parse(), Ok(ByteCount(bytes)), "{text}");
        }
        assert_eq!(ByteCount(8 << 20).to_string(), "8MiB");
        assert_eq!(
            (ByteCount(0).to_string(), ByteCount(1_000).to_string()),
            ("0".into(), "1000".into())
        );
        for text in ["", "8MB", "8 MiB", "-1", "8MiB1", "99999999999GiB"] {
            assert!(text.parse::<ByteCount>().is_err(), "{text}");
        }
    }
}
