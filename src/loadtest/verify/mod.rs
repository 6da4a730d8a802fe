//! Whether a queue kept its promises: what was lost, doubled, invented or out of order.
//!
//! Order is judged by what is certain. Clients see intervals, not moments: a push happened
//! somewhere between its sending and its answer, and so did a pop. An item `a` was certainly before
//! `b` if its push was answered before that of `b` was sent (in one priority), or if it was more
//! urgent and its push was answered before the pop that took `b` was sent. Then `b` is out of order
//! if the pop that took `a` was sent after the one that took `b` was answered, or if one answer has
//! `b` before `a`.
//!
//! A message that is leased comes out when it is acked, and its place in the order is judged when
//! it is first given to somebody. While a lease lasts nobody else may be given its message, and
//! after an ack nobody ever.

mod lease;
mod order;
#[cfg(test)]
mod trial;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::loadtest::{
    item::ItemId,
    record::expected_items::{ExpectedItems, ItemOutcome, Popped, Pushed},
    verify::order::Firsts,
};

/// What was found. What is lost, duplicated, invented, misordered, shared or stranded must be
/// zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verification {
    /// Items whose push was acknowledged.
    pub(crate) pushed: u64,
    /// Items that came back, each counted once.
    pub(crate) popped: u64,
    /// Acknowledged, and never seen again, although no unanswered pop can have taken them.
    pub(crate) lost: u64,
    /// Came back more than once, and how often more.
    pub(crate) duplicated: u64,
    /// Came back without having been pushed, altered ones included.
    pub(crate) invented: u64,
    /// Came back after a message that they were certainly before.
    pub(crate) misordered: u64,
    /// Given to somebody while somebody else had them leased, or after they were acked.
    #[serde(default)]
    pub(crate) shared: u64,
    /// Dead letters that were not brought back, or brought back without having been any.
    #[serde(default)]
    pub(crate) stranded: u64,
    /// Pushes without an answer: each item may be there once or not at all.
    pub(crate) unknown_pushes: u64,
    /// Pops and acks without an answer.
    pub(crate) cut_pops: u64,
    /// Items that are missing and that those may have taken.
    pub(crate) taken_by_cut_pops: u64,
    /// Messages that subscribers received, all of them together.
    #[serde(default)]
    pub(crate) received: u64,
    /// Messages that they were told are missing.
    #[serde(default)]
    pub(crate) announced_missing: u64,
    /// What became of leased messages.
    #[serde(default)]
    pub(crate) work: WorkDone,
}

/// What became of leased messages, counted by deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkDone {
    /// Messages that were leased, each as often as it was.
    pub(crate) leased: u64,
    /// Acked.
    pub(crate) acked: u64,
    /// Given back.
    pub(crate) nacked: u64,
    /// Abandoned, to come back when their lease expired.
    pub(crate) abandoned: u64,
    /// Messages that became dead letters, as the queues count them.
    pub(crate) dead_lettered: u64,
    /// Dead letters that were brought back.
    pub(crate) redriven: u64,
}

impl Verification {
    /// Whether every promise was kept.
    pub(crate) fn is_sound(&self) -> bool {
        let sums = self.lost + self.duplicated + self.invented + self.misordered;
        sums + self.shared + self.stranded == 0
    }

    /// What must be zero, in words.
    pub(crate) fn breaches(&self) -> String {
        let Self { lost, duplicated, invented, misordered, shared, stranded, .. } = self;
        let mut words = format!(
            "{lost} lost, {duplicated} duplicated, {invented} invented, {misordered} misordered"
        );
        if self.work.leased > 0 {
            words.push_str(&format!(", {shared} shared, {stranded} stranded"));
        }
        words
    }

    /// Leaves out what is only known by one clock.
    pub(crate) fn forget_moments(&mut self) {
        (self.misordered, self.shared) = (0, 0);
    }
}

/// An item with everything that is known of it.
#[derive(Clone, Copy)]
struct Story {
    pushed: Pushed,
    /// Whether it is out of its queue for good.
    is_out: bool,
    /// The pop or the lease that it was first given to, if that is certain.
    first: Option<Popped>,
}

/// Judges what all generators of a run know, after the queues were emptied. Where messages
/// `keep_places`, one that comes back has the place it had.
pub(crate) fn verify(ledgers: &[ExpectedItems], keep_places: bool) -> Verification {
    let mut found = Verification::default();
    let mut seen: BTreeMap<u16, Vec<bool>> = BTreeMap::new();
    for ledger in ledgers {
        seen.insert(ledger.lane, vec![false; ledger.pushes.len()]);
        found.invented += ledger.foreign_count + ledger.altered_count;
        found.cut_pops += ledger.cut.len() as u64;
    }
    let lanes: Lanes<'_> = ledgers.iter().map(|ledger| (ledger.lane, ledger)).collect();
    for ledger in ledgers {
        for taken in &ledger.taken {
            let queue = ledger.pops[taken.pop as usize].queue;
            let is_known = is_known(&lanes, taken.item, queue);
            match seen.get_mut(&taken.item.lane).filter(|_| is_known) {
                None => found.invented += 1,
                Some(lane) => {
                    let is_again = std::mem::replace(&mut lane[taken.item.number as usize], true);
                    found.duplicated += u64::from(is_again);
                    found.popped += u64::from(!is_again);
                }
            }
        }
        let unknown = ledger.delivered.iter().filter(|delivered| {
            let queue = ledger.leases[delivered.lease as usize].queue;
            !is_known(&lanes, delivered.item, queue)
        });
        found.invented += unknown.count() as u64;
    }
    let firsts = order::firsts(ledgers);
    let queues = stories(ledgers, &seen, &firsts);
    count_missing(ledgers, &queues, &mut found);
    let within = order::misordered_within(ledgers, &lanes, &firsts, keep_places);
    found.misordered = order::misordered_between(&queues) + within;
    lease::judge(ledgers, &mut found);
    found
}

/// Ledgers by their lane.
type Lanes<'a> = BTreeMap<u16, &'a ExpectedItems>;

/// Whether an item may be in a queue: it was pushed there, or may have been.
fn is_known(lanes: &Lanes<'_>, item: ItemId, queue: u32) -> bool {
    let pushed = lanes.get(&item.lane).and_then(|lane| lane.pushes.get(item.number as usize));
    pushed.is_some_and(|pushed| pushed.outcome != ItemOutcome::Refused && pushed.queue == queue)
}

/// Everything known, by queue.
fn stories(
    ledgers: &[ExpectedItems],
    seen: &BTreeMap<u16, Vec<bool>>,
    firsts: &Firsts,
) -> BTreeMap<u32, Vec<Story>> {
    let mut queues: BTreeMap<u32, Vec<Story>> = BTreeMap::new();
    let guessed: BTreeSet<u32> =
        ledgers.iter().flat_map(|ledger| ledger.cut_leases.iter().copied()).collect();
    for ledger in ledgers {
        for (number, (pushed, is_out)) in ledger.pushes.iter().zip(&seen[&ledger.lane]).enumerate()
        {
            let item = ItemId { lane: ledger.lane, number: number as u32 };
            // A lease without an answer may have been the first to be given it.
            let is_certain = !guessed.contains(&pushed.queue);
            let first = firsts.get(&item).copied().filter(|_| is_certain);
            let story = Story { pushed: *pushed, is_out: *is_out, first };
            queues.entry(pushed.queue).or_default().push(story);
        }
    }
    queues
}

/// Counts what never came back, and tells apart what unanswered pops may have taken.
fn count_missing(
    ledgers: &[ExpectedItems],
    queues: &BTreeMap<u32, Vec<Story>>,
    found: &mut Verification,
) {
    let mut takeable: BTreeMap<u32, u64> = BTreeMap::new();
    for (queue, depth) in ledgers.iter().flat_map(|ledger| &ledger.cut) {
        *takeable.entry(*queue).or_default() += u64::from(*depth);
    }
    for (queue, stories) in queues {
        let mut missing = 0;
        for story in stories {
            match story.pushed.outcome {
                ItemOutcome::Kept => {
                    found.pushed += 1;
                    missing += u64::from(!story.is_out);
                }
                ItemOutcome::Unknown => found.unknown_pushes += 1,
                ItemOutcome::Refused => {}
            }
        }
        let by_cut_pops = missing.min(takeable.get(queue).copied().unwrap_or(0));
        found.taken_by_cut_pops += by_cut_pops;
        found.lost += missing - by_cut_pops;
    }
}
