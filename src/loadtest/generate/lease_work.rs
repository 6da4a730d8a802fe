//! What is done with messages that are leased.

use serde::{Deserialize, Serialize};

/// How the workers of a scenario treat the messages they lease. What is neither abandoned nor
/// nacked is acked as soon as it was leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Work {
    /// How long a lease lasts, in milliseconds.
    pub(crate) ttl_ms: u64,
    /// Of a hundred messages so many are abandoned: they come back when their lease expires.
    pub(crate) abandoned: u32,
    /// Of a hundred messages so many are nacked.
    pub(crate) nacked: u32,
    /// Deliveries after which a message that is not acked becomes a dead letter, if it does.
    pub(crate) max_deliveries: Option<u32>,
}

impl Default for Work {
    fn default() -> Self {
        Self { ttl_ms: 30_000, abandoned: 0, nacked: 0, max_deliveries: None }
    }
}

/// What becomes of a leased message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseFate {
    /// Its work is done.
    Acked,
    /// It is given back.
    Nacked,
    /// Nothing is heard of it again.
    Abandoned,
}

impl Work {
    /// Refuses what no queue takes: the field, and its bound.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if !(1_000..=43_200_000).contains(&self.ttl_ms) {
            return Err(("work.ttl_ms", format!("from 1000 to 43200000, not {}", self.ttl_ms)));
        }
        if u64::from(self.abandoned) + u64::from(self.nacked) > 100 {
            let bound = "at most 100, together with work.nacked";
            return Err(("work.abandoned", bound.to_owned()));
        }
        if self.max_deliveries.is_some_and(|count| !(1..=1_000).contains(&count)) {
            return Err(("work.max_deliveries", "from 1 to 1000".to_owned()));
        }
        Ok(())
    }

    /// Draws what becomes of one message.
    pub(crate) fn fate(&self, random: &mut fastrand::Rng) -> LeaseFate {
        let drawn = random.u32(..100);
        if drawn < self.abandoned {
            LeaseFate::Abandoned
        } else if drawn < self.abandoned + self.nacked {
            LeaseFate::Nacked
        } else {
            LeaseFate::Acked
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_are_drawn_in_their_proportions() {
        let work = Work { abandoned: 5, nacked: 20, ..Work::default() };
        let mut random = fastrand::Rng::with_seed(3);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[work.fate(&mut random) as usize] += 1;
        }
        let [acked, nacked, abandoned] = counts;
        assert!((7_300..7_700).contains(&acked), "{counts:?}");
        assert!((1_800..2_200).contains(&nacked), "{counts:?}");
        assert!((400..600).contains(&abandoned), "{counts:?}");
    }

    #[test]
    fn what_no_queue_takes_is_refused_by_its_name() {
        let refused = |work: Work| work.check().unwrap_err().0;
        assert_eq!(Work::default().check(), Ok(()));
        assert_eq!(refused(Work { ttl_ms: 999, ..Work::default() }), "work.ttl_ms");
        assert_eq!(
            refused(Work { abandoned: 60, nacked: 41, ..Work::default() }),
            "work.abandoned"
        );
        let never = Work { max_deliveries: Some(0), ..Work::default() };
        assert_eq!(refused(never), "work.max_deliveries");
    }
}
