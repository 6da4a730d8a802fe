//! Whether a queue kept its promises: what was lost, doubled, invented or out of order.
//!
//! Order is judged by what is certain. Clients see intervals, not moments: a push happened
//! somewhere between its sending and its answer, and so did a pop. An item `a` was certainly before
//! `b` if its push was answered before that of `b` was sent (in one priority), or if it was more
//! urgent and its push was answered before the pop that took `b` was sent. Then `b` is out of order
//! if the pop that took `a` was sent after the one that took `b` was answered, or if one answer has
//! `b` before `a`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ledger::{Ledger, Outcome, Popped, Pushed};

/// What was found. What is lost, duplicated, invented or misordered must be zero.
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
    /// Pushes without an answer: each item may be there once or not at all.
    pub(crate) unknown_pushes: u64,
    /// Pops without an answer.
    pub(crate) cut_pops: u64,
    /// Items that are missing and that those may have taken.
    pub(crate) taken_by_cut_pops: u64,
    /// Messages that subscribers received, all of them together.
    #[serde(default)]
    pub(crate) received: u64,
    /// Messages that they were told are missing.
    #[serde(default)]
    pub(crate) announced_missing: u64,
}

impl Verification {
    /// Whether every promise was kept.
    pub(crate) fn is_sound(&self) -> bool {
        self.lost + self.duplicated + self.invented + self.misordered == 0
    }
}

/// An item with everything that is known of it.
#[derive(Clone, Copy)]
struct Story {
    pushed: Pushed,
    /// The pop that took it.
    popped: Option<Popped>,
}

/// Judges what all generators of a run know, after the queues were emptied.
pub(super) fn verify(ledgers: &[Ledger]) -> Verification {
    let mut found = Verification::default();
    let mut seen: BTreeMap<u16, Vec<Option<(usize, u32)>>> = BTreeMap::new();
    for ledger in ledgers {
        seen.insert(ledger.lane, vec![None; ledger.pushes.len()]);
        found.invented += ledger.foreign_count + ledger.altered_count;
        found.cut_pops += ledger.cut.len() as u64;
    }
    let lanes: BTreeMap<u16, &Ledger> =
        ledgers.iter().map(|ledger| (ledger.lane, ledger)).collect();
    for (place, ledger) in ledgers.iter().enumerate() {
        for taken in &ledger.taken {
            let number = taken.item.number as usize;
            let pushed = lanes.get(&taken.item.lane).and_then(|lane| lane.pushes.get(number));
            let is_known = pushed.is_some_and(|pushed| {
                let queue = ledger.pops[taken.pop as usize].queue;
                pushed.outcome != Outcome::Refused && pushed.queue == queue
            });
            match seen.get_mut(&taken.item.lane).filter(|_| is_known) {
                None => found.invented += 1,
                Some(lane) if lane[number].is_some() => found.duplicated += 1,
                Some(lane) => {
                    lane[number] = Some((place, taken.pop));
                    found.popped += 1;
                }
            }
        }
    }
    let queues = stories(ledgers, &seen);
    count_missing(ledgers, &queues, &mut found);
    found.misordered = misordered_between(&queues) + misordered_within(ledgers, &lanes);
    found
}

/// Everything known, by queue.
fn stories(
    ledgers: &[Ledger],
    seen: &BTreeMap<u16, Vec<Option<(usize, u32)>>>,
) -> BTreeMap<u32, Vec<Story>> {
    let mut queues: BTreeMap<u32, Vec<Story>> = BTreeMap::new();
    for ledger in ledgers {
        for (pushed, seen) in ledger.pushes.iter().zip(&seen[&ledger.lane]) {
            let popped = seen.map(|(place, pop)| ledgers[place].pops[pop as usize]);
            queues.entry(pushed.queue).or_default().push(Story { pushed: *pushed, popped });
        }
    }
    queues
}

/// Counts what never came back, and tells apart what unanswered pops may have taken.
fn count_missing(ledgers: &[Ledger], queues: &BTreeMap<u32, Vec<Story>>, found: &mut Verification) {
    let mut takeable: BTreeMap<u32, u64> = BTreeMap::new();
    for (queue, depth) in ledgers.iter().flat_map(|ledger| &ledger.cut) {
        *takeable.entry(*queue).or_default() += u64::from(*depth);
    }
    for (queue, stories) in queues {
        let mut missing = 0;
        for story in stories {
            match story.pushed.outcome {
                Outcome::Kept => {
                    found.pushed += 1;
                    missing += u64::from(story.popped.is_none());
                }
                Outcome::Unknown => found.unknown_pushes += 1,
                Outcome::Refused => {}
            }
        }
        let by_cut_pops = missing.min(takeable.get(queue).copied().unwrap_or(0));
        found.taken_by_cut_pops += by_cut_pops;
        found.lost += missing - by_cut_pops;
    }
}

/// Items overtaken by others of a later answer.
fn misordered_between(queues: &BTreeMap<u32, Vec<Story>>) -> u64 {
    let mut count = 0;
    for stories in queues.values() {
        let mut priorities: BTreeMap<u32, Vec<(Pushed, Popped)>> = BTreeMap::new();
        for story in stories {
            if let Some(popped) = story.popped {
                let same = priorities.entry(story.pushed.priority).or_default();
                same.push((story.pushed, popped));
            }
        }
        let mut urgent: Vec<(Pushed, Popped)> = Vec::new();
        for same in priorities.values() {
            count += overtaken(same, same, |pushed, _| pushed.sent);
            count += overtaken(&urgent, same, |_, popped| popped.sent);
            urgent.extend_from_slice(same);
        }
    }
    count
}

/// How many of `later` were taken although one of `earlier`, pushed for certain before a moment of
/// theirs, was only taken by a pop sent after their own was answered.
fn overtaken(
    earlier: &[(Pushed, Popped)],
    later: &[(Pushed, Popped)],
    moment: impl Fn(&Pushed, &Popped) -> u64,
) -> u64 {
    let is_kept = |story: &&(Pushed, Popped)| story.0.outcome == Outcome::Kept;
    let mut earlier: Vec<_> = earlier.iter().filter(is_kept).collect();
    earlier.sort_unstable_by_key(|(pushed, _)| pushed.answered);
    let mut later: Vec<_> = later.iter().collect();
    later.sort_unstable_by_key(|(pushed, popped)| moment(pushed, popped));
    let (mut next, mut last_taken, mut count) = (0, 0, 0);
    for (pushed, popped) in later {
        while next < earlier.len() && earlier[next].0.answered < moment(pushed, popped) {
            last_taken = last_taken.max(earlier[next].1.sent);
            next += 1;
        }
        count += u64::from(last_taken > popped.answered);
    }
    count
}

/// Items that stand behind a later one in the answer that has both.
fn misordered_within(ledgers: &[Ledger], lanes: &BTreeMap<u16, &Ledger>) -> u64 {
    let mut count = 0;
    for ledger in ledgers {
        let (mut pop, mut priority, mut sent) = (u32::MAX, 0, 0);
        for taken in &ledger.taken {
            let lane = lanes.get(&taken.item.lane);
            let Some(pushed) = lane.and_then(|lane| lane.pushes.get(taken.item.number as usize))
            else {
                continue;
            };
            if taken.pop != pop || pushed.priority > priority {
                (pop, priority, sent) = (taken.pop, pushed.priority, pushed.sent);
            } else if pushed.priority < priority || pushed.answered < sent {
                count += 1;
            } else {
                sent = sent.max(pushed.sent);
            }
        }
    }
    count
}

#[cfg(test)]
#[path = "verification_trial.rs"]
mod tests;
