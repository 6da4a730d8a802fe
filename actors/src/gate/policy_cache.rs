//! What the gates of a node tell each other: that a policy has changed, and who waits.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

use crate::gate::api::{
    metrics::GateMetrics,
    policy::{AppliedPolicy, PolicySource},
};

/// Shared by all gates of a node.
///
/// A gate that begins to wait puts itself on the list *before* it looks at the number of changes; a
/// change is counted *before* the list is read. So one of the two always sees the other.
#[derive(Debug, Default)]
pub(crate) struct PolicyCache {
    pub(crate) metrics: GateMetrics,
    changes: AtomicU32,
    /// A gate may let somebody in that refused before: it was resumed, or a policy has changed.
    reopened: Notify,
    waiting: Mutex<BTreeSet<Arc<str>>>,
    policies: Mutex<HashMap<PolicySource, Arc<AppliedPolicy>>>,
}

impl PolicyCache {
    /// How often a policy was changed; after four billion times it begins anew.
    pub(crate) fn changes(&self) -> u32 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Counts a change of a policy.
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.reopened.notify_waiters();
    }

    /// Tells those whom a gate refused that one was resumed.
    pub(crate) fn note_resumed(&self) {
        self.reopened.notify_waiters();
    }

    /// Waits until a gate may let somebody in that it refused before, whichever gate that is; from
    /// when it is first polled or enabled.
    pub(crate) fn reopened(&self) -> Notified<'_> {
        self.reopened.notified()
    }

    /// One copy of a policy for all gates to which the same one applies.
    pub(crate) fn shared(&self, applied: AppliedPolicy) -> Arc<AppliedPolicy> {
        if applied.source == PolicySource::Own {
            return Arc::new(applied);
        }
        let mut policies = self.policies.lock();
        match policies.get(&applied.source) {
            Some(known) if **known == applied => Arc::clone(known),
            _ => {
                let source = applied.source.clone();
                let applied = Arc::new(applied);
                policies.insert(source, Arc::clone(&applied));
                applied
            }
        }
    }

    /// Puts a gate at which somebody waits on the list, or takes it off.
    pub(crate) fn list(&self, gate: &Arc<str>, is_waiting: bool) {
        let mut waiting = self.waiting.lock();
        if is_waiting {
            waiting.insert(Arc::clone(gate));
        } else {
            waiting.remove(gate);
        }
    }

    /// The gates below a parent at which somebody waits.
    pub(crate) fn waiting_below(&self, parent: &str) -> BTreeSet<Arc<str>> {
        let prefix = format!("{parent}.");
        let waiting = self.waiting.lock();
        let from = waiting.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        from.take_while(|gate| gate.starts_with(&prefix)).cloned().collect()
    }
}
