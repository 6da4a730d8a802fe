//! How often something happens each second, exact to a millionth.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Millionths in a whole.
const MILLION: u64 = 1_000_000;

/// Millionths of something per second: written as a number of it with up to six decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerSecond(pub u64);

impl Serialize for PerSecond {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % MILLION {
            0 => serializer.serialize_u64(self.0 / MILLION),
            // The nearest double is written with the decimals that were meant.
            _ => serializer.serialize_f64(self.0 as f64 / MILLION as f64),
        }
    }
}

impl<'de> Deserialize<'de> for PerSecond {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = PerSecond;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number with up to six decimals")
            }

            fn visit_u64<E: de::Error>(self, whole: u64) -> Result<PerSecond, E> {
                Ok(PerSecond(whole.saturating_mul(MILLION)))
            }

            // Whoever checks the bounds names them.
            fn visit_i64<E: de::Error>(self, whole: i64) -> Result<PerSecond, E> {
                self.visit_u64(u64::try_from(whole).unwrap_or_default())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<PerSecond, E> {
                let millionths = (number * MILLION as f64).round();
                // Saturates; a negative number is none.
                let millionths = PerSecond(millionths as u64);
                let is_exact = millionths.0 as f64 / MILLION as f64 == number;
                if is_exact || !(0.0..=1e9).contains(&number) {
                    Ok(millionths)
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(number), &self))
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_it_was_read() {
        for (text, millionths) in [
            ("1", 1_000_000),
            ("20", 20_000_000),
            ("0.1", 100_000),
            ("0.000001", 1),
            ("2.5", 2_500_000),
            ("999999.999999", 999_999_999_999),
            ("0.016667", 16_667),
        ] {
            let read: PerSecond = serde_json::from_str(text).expect(text);
            assert_eq!(read.0, millionths, "{text}");
            let written = serde_json::to_string(&read).expect("a number");
            assert_eq!(serde_json::from_str::<PerSecond>(&written).expect("a number"), read);
            if millionths > 1 {
                assert_eq!(written, text);
            }
        }
        for text in ["0.0000001", "0.1234567", "\"1\"", "null", "[1]"] {
            assert!(serde_json::from_str::<PerSecond>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<PerSecond>("-1").expect("bounded later").0, 0);
    }
}
