//! What generators count, second by second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::loadtest::{plan::action::Action, record::latency::Latencies};

/// One kind of request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Count {
    /// Requests that were answered, rightly or not, or lost.
    pub(crate) requests: u64,
    /// Those whose answer was not the right one, or did not come.
    pub(crate) failures: u64,
    /// Bytes of bodies received.
    pub(crate) bytes: u64,
    /// Messages that were pushed or popped.
    pub(crate) messages: u64,
    /// From the intended moment to the answer or the loss.
    pub(crate) latencies: Latencies,
}

impl Count {
    /// Adds what was counted elsewhere.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.bytes += other.bytes;
        self.messages += other.messages;
        self.latencies.add(&other.latencies);
    }
}

/// What was counted in a while.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SecondCounts {
    /// By kind of request; only kinds that were used.
    pub(crate) counts: BTreeMap<Action, Count>,
    /// Why requests failed, and how often.
    pub(crate) failures: BTreeMap<Action, BTreeMap<String, u64>>,
    /// How late the generator itself was: from the intended moment to taking it up.
    pub(crate) lag: Latencies,
    /// Requests that waited for a connection because all were busy.
    pub(crate) delayed: u64,
    /// Connections cut on purpose.
    pub(crate) cuts: u64,
    /// Pops and leases that found nothing.
    pub(crate) empty_pops: u64,
    /// Pushes that were refused, and rightly so, because the disk was full.
    #[serde(default)]
    pub(crate) turned_away: u64,
    /// Requests under way at its end.
    pub(crate) busy: u64,
    /// Users at its end, in the closed model.
    pub(crate) users: u64,
}

impl SecondCounts {
    /// Counts a request to its end.
    pub(crate) fn count(&mut self, action: Action, nanos: u64) -> &mut Count {
        let count = self.counts.entry(action).or_default();
        count.requests += 1;
        count.latencies.record(nanos);
        count
    }

    /// Counts a failure.
    pub(crate) fn fail(&mut self, action: Action, nanos: u64, reason: String) {
        self.count(action, nanos).failures += 1;
        *self.failures.entry(action).or_default().entry(reason).or_default() += 1;
    }

    /// Adds what was counted elsewhere; of what is a level and no count, the other's is added too.
    pub(crate) fn add(&mut self, other: &Self) {
        for (action, count) in &other.counts {
            self.counts.entry(*action).or_default().add(count);
        }
        for (action, reasons) in &other.failures {
            let failures = self.failures.entry(*action).or_default();
            for (reason, count) in reasons {
                *failures.entry(reason.clone()).or_default() += count;
            }
        }
        self.lag.add(&other.lag);
        self.delayed += other.delayed;
        self.cuts += other.cuts;
        self.empty_pops += other.empty_pops;
        self.turned_away += other.turned_away;
        self.busy += other.busy;
        self.users += other.users;
    }

    /// All kinds of requests together.
    pub(crate) fn total(&self) -> Count {
        let mut total = Count::default();
        self.counts.values().for_each(|count| total.add(count));
        total
    }
}
