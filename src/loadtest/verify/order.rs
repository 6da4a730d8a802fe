//! Which items were out of order.

use std::collections::{BTreeMap, HashMap};

use crate::loadtest::{
    item::ItemId,
    record::expected_items::{ExpectedItems, ItemOutcome, Popped, Pushed},
    verify::{Lanes, Story},
};

/// Items overtaken by others of a later answer.
pub(crate) fn misordered_between(queues: &BTreeMap<u32, Vec<Story>>) -> u64 {
    let mut count = 0;
    for stories in queues.values() {
        let mut priorities: BTreeMap<u32, Vec<(Pushed, Popped)>> = BTreeMap::new();
        for story in stories {
            if let Some(popped) = story.first {
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
    let is_kept = |story: &&(Pushed, Popped)| story.0.outcome == ItemOutcome::Kept;
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

/// Items that stand behind a later one in the answer that has both. What was given before is judged
/// too where it keeps its place.
pub(crate) fn misordered_within(
    ledgers: &[ExpectedItems],
    lanes: &Lanes<'_>,
    firsts: &Firsts,
    keep_places: bool,
) -> u64 {
    let mut count = 0;
    for ledger in ledgers {
        for given in [popped(ledger), leased(ledger)] {
            let (mut answer, mut priority, mut sent) = (u32::MAX, 0, 0);
            for (item, place, by) in given {
                let lane = lanes.get(&item.lane);
                let pushed = lane.and_then(|lane| lane.pushes.get(item.number as usize));
                let is_judged = keep_places || firsts.get(&item) == Some(&by);
                let Some(pushed) = pushed.filter(|_| is_judged) else { continue };
                if place != answer || pushed.priority > priority {
                    (answer, priority, sent) = (place, pushed.priority, pushed.sent);
                } else if pushed.priority < priority || pushed.answered < sent {
                    count += 1;
                } else {
                    sent = sent.max(pushed.sent);
                }
            }
        }
    }
    count
}

/// Who was given each item first.
pub(crate) type Firsts = HashMap<ItemId, Popped>;

/// Finds who was given each item first.
pub(crate) fn firsts(ledgers: &[ExpectedItems]) -> Firsts {
    let mut firsts = Firsts::new();
    for ledger in ledgers {
        for (item, _, by) in popped(ledger).into_iter().chain(leased(ledger)) {
            let first = firsts.entry(item).or_insert(by);
            if by.answered < first.answered {
                *first = by;
            }
        }
    }
    firsts
}

/// Items as they were given, each with the place of its answer and with the answer.
type Given = Vec<(ItemId, u32, Popped)>;

fn popped(ledger: &ExpectedItems) -> Given {
    let popped = ledger.taken.iter().filter(|taken| !taken.is_acked);
    popped.map(|taken| (taken.item, taken.pop, ledger.pops[taken.pop as usize])).collect()
}

fn leased(ledger: &ExpectedItems) -> Given {
    let leased = ledger.delivered.iter();
    leased.map(|it| (it.item, it.lease, ledger.leases[it.lease as usize])).collect()
}
