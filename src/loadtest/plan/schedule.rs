//! When requests are to be sent: the rate over the length of a run, and the moments that follow
//! from it.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

/// Requests per second over the length of a run, whatever that is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Shape {
    /// The same all the time.
    Constant {
        /// Requests per second.
        rate: f64,
    },
    /// From one rate to another in a straight line.
    Ramp {
        /// At the beginning.
        from: f64,
        /// At the end.
        to: f64,
    },
    /// One wave from the low rate over the high one and back.
    Sine {
        /// At both ends.
        low: f64,
        /// In the middle.
        high: f64,
    },
    /// The high rate and the low one in turn.
    Square {
        /// In the first half of each period.
        high: f64,
        /// In the second half.
        low: f64,
        /// Periods over the whole length.
        periods: u32,
    },
    /// A base rate, and towards the end a peak.
    Spike {
        /// Until the peak.
        base: f64,
        /// From then on.
        peak: f64,
        /// Where the peak begins, as a part of the length.
        at: f64,
    },
}

/// The least rate that is kept, so that the next moment is always found.
const RATE_MIN: f64 = 0.01;

/// The highest rate that can be asked for.
const RATE_MAX: f64 = 10_000_000.0;

impl Shape {
    /// The rate where a part of the length, from 0 to 1, has passed.
    pub(crate) fn rate(&self, part: f64) -> f64 {
        let part = part.clamp(0.0, 1.0);
        match *self {
            Self::Constant { rate } => rate,
            Self::Ramp { from, to } => from + (to - from) * part,
            Self::Sine { low, high } => low + (high - low) * (1.0 - (TAU * part).cos()) / 2.0,
            Self::Square { high, low, periods } => {
                let within = (part * f64::from(periods)).fract();
                if within < 0.5 && part < 1.0 { high } else { low }
            }
            Self::Spike { base, peak, at } => {
                if part < at {
                    base
                } else {
                    peak
                }
            }
        }
    }

    /// The mean rate over the length.
    pub(crate) fn mean(&self) -> f64 {
        const STEPS: u32 = 1_000;
        let middle = |step: u32| (f64::from(step) + 0.5) / f64::from(STEPS);
        (0..STEPS).map(|step| self.rate(middle(step))).sum::<f64>() / f64::from(STEPS)
    }

    /// Refuses rates that are none.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (first, second, is_divided) = match *self {
            Self::Constant { rate } => (rate, rate, true),
            Self::Ramp { from, to } => (from, to, true),
            Self::Sine { low, high } => (low, high, true),
            Self::Square { high, low, periods } => (high, low, (1..=10_000).contains(&periods)),
            Self::Spike { base, peak, at } => (base, peak, (0.0..=1.0).contains(&at)),
        };
        let is_rate = |rate: f64| (0.0..=RATE_MAX).contains(&rate);
        if !is_rate(first) || !is_rate(second) {
            return Err(format!("of rates from 0 to {RATE_MAX}"));
        }
        if !is_divided {
            return Err("of 1 to 10000 periods, or have its peak from 0 to 1".to_owned());
        }
        Ok(())
    }
}

/// The moments at which one of several generators sends, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    shape: Shape,
    /// When the measured part begins; before it the first rate holds.
    begin: u64,
    length: u64,
    /// The next moment; fractions add up over many steps.
    next: f64,
    /// The part of all requests that this generator sends.
    share: f64,
}

impl Pacer {
    /// The moments from `start` on of the generator at `place` among `count`, each sending at its
    /// own moments: together they keep the rate evenly.
    pub(crate) fn new(
        shape: Shape,
        start: u64,
        (begin, length): (u64, u64),
        (place, count): (usize, usize),
        scale: f64,
    ) -> Self {
        let share = 1.0 / count as f64;
        let mut pacer = Self { shape, begin, length, next: start as f64, share };
        pacer.next += place as f64 * share * pacer.gap(scale);
        pacer
    }

    /// The next moment, if it is within the run.
    pub(crate) fn due(&self) -> Option<u64> {
        let next = self.next as u64;
        (next < self.begin + self.length).then_some(next)
    }

    /// Goes on to the one after, with all rates multiplied.
    pub(crate) fn advance(&mut self, scale: f64) {
        self.next += self.gap(scale);
    }

    /// Nanoseconds between this moment and the next, by the rate in their middle.
    fn gap(&self, scale: f64) -> f64 {
        let gap_at = |moment: f64| {
            let part = (moment - self.begin as f64) / self.length as f64;
            1e9 / (self.shape.rate(part) * scale * self.share).max(RATE_MIN)
        };
        // A step of the shape must not be jumped over by a long gap before it.
        let first = gap_at(self.next).min(1e9);
        gap_at(self.next + first / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(shape: Shape, seconds: u64, place: (usize, usize)) -> Vec<u64> {
        let length = seconds * 1_000_000_000;
        let mut pacer = Pacer::new(shape, 0, (0, length), place, 1.0);
        let mut moments = Vec::new();
        while let Some(due) = pacer.due() {
            moments.push(due);
            pacer.advance(1.0);
        }
        moments
    }

    #[test]
    fn a_shape_sends_as_many_as_its_mean_says() {
        let shapes = [
            Shape::Constant { rate: 50.0 },
            Shape::Ramp { from: 10.0, to: 100.0 },
            Shape::Sine { low: 10.0, high: 200.0 },
            Shape::Square { high: 200.0, low: 10.0, periods: 5 },
            Shape::Spike { base: 50.0, peak: 500.0, at: 0.8 },
        ];
        for shape in shapes {
            let sent = moments(shape, 10, (0, 1)).len() as f64;
            let expected = shape.mean() * 10.0;
            assert!((sent / expected - 1.0).abs() < 0.02, "{shape:?}: {sent} of {expected}");
        }
    }

    #[test]
    fn generators_share_the_moments_of_one() {
        let shape = Shape::Constant { rate: 1000.0 };
        let mut shared: Vec<u64> = (0..4).flat_map(|place| moments(shape, 1, (place, 4))).collect();
        shared.sort_unstable();
        let alone = moments(shape, 1, (0, 1));
        assert_eq!(shared.len(), alone.len());
        let is_near = |(one, other): (&u64, &u64)| one.abs_diff(*other) < 1_000;
        assert!(shared.iter().zip(&alone).all(is_near), "{shared:?}");
    }

    #[test]
    fn the_peak_comes_where_it_is_due() {
        let spike = Shape::Spike { base: 50.0, peak: 500.0, at: 0.8 };
        let late = moments(spike, 10, (0, 1)).iter().filter(|due| **due >= 8_000_000_000).count();
        assert!((990..=1_010).contains(&late), "{late}");
    }

    #[test]
    fn a_rate_that_is_none_is_refused() {
        assert!(Shape::Constant { rate: -1.0 }.check().is_err());
        assert!(Shape::Ramp { from: 1.0, to: f64::NAN }.check().is_err());
        assert!(Shape::Spike { base: 1.0, peak: 2.0, at: 1.5 }.check().is_err());
    }
}
