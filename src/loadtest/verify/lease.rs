//! Whether leases kept their messages to those who held them, and dead letters were conserved.

use std::collections::HashMap;

use crate::loadtest::{
    item::ItemId,
    record::expected_items::{ExpectedItems, Popped},
    verify::{Verification, WorkDone},
};

/// By how much a lease may end earlier than by the generator's clock: servers count milliseconds.
const SLACK: u64 = 5_000_000;

/// A message in the hands of somebody.
struct LeaseHold {
    given: Popped,
    /// Until when nobody else can have been given it.
    until: u64,
}

/// Counts what was held by two at once, and dead letters that are unaccounted for.
pub(crate) fn judge(ledgers: &[ExpectedItems], found: &mut Verification) {
    let mut work = WorkDone::default();
    let mut holds: HashMap<ItemId, Vec<LeaseHold>> = HashMap::new();
    for ledger in ledgers {
        for delivered in &ledger.delivered {
            let given = ledger.leases[delivered.lease as usize];
            let until = delivered.until.saturating_sub(SLACK);
            holds.entry(delivered.item).or_default().push(LeaseHold { given, until });
        }
        let acked = ledger.taken.iter().filter(|taken| taken.is_acked);
        work.acked += acked.count() as u64;
        work.leased += ledger.delivered.len() as u64;
        work.nacked += ledger.nacked;
        work.abandoned += ledger.abandoned;
        work.dead_lettered += ledger.dead_lettered;
        work.redriven += ledger.redriven;
    }
    let popped = |ledger: &ExpectedItems| {
        let popped = ledger.taken.iter().filter(|taken| !taken.is_acked).copied();
        popped.map(|taken| (taken.item, ledger.pops[taken.pop as usize])).collect::<Vec<_>>()
    };
    for (item, given) in ledgers.iter().flat_map(popped) {
        // Whoever pops a message is the last to have it; that it is not given again is judged by
        // who takes it for good.
        if let Some(holds) = holds.get_mut(&item) {
            holds.push(LeaseHold { given, until: given.sent });
        }
    }
    found.shared = holds.into_values().map(shared).sum();
    if ledgers.iter().all(|ledger| ledger.cut_redrives == 0) {
        found.stranded = work.dead_lettered.abs_diff(work.redriven);
    }
    found.work = work;
}

/// How often a message was given to somebody although another held it for certain.
fn shared(mut holds: Vec<LeaseHold>) -> u64 {
    holds.sort_unstable_by_key(|hold| hold.given.sent);
    let is_shared = |pair: &[LeaseHold]| {
        let [earlier, later] = pair else { return false };
        let is_after = later.given.sent >= earlier.given.answered;
        // Asked for at the same time, either may have been first: both must have ended in time.
        later.given.answered < earlier.until && (is_after || earlier.given.answered < later.until)
    };
    holds.windows(2).filter(|pair| is_shared(pair)).count() as u64
}
