//! Verification against histories made by hand and by a model of a queue.

use std::collections::{BTreeMap, VecDeque};

use crate::loadtest::{item::ItemId, verify::*};

/// A history of one queue: pushes and pops one after the other, each from its own moment to the
/// next.
struct History {
    ledger: ExpectedItems,
    moment: u64,
    queue: BTreeMap<u32, VecDeque<ItemId>>,
}

impl History {
    fn new() -> Self {
        Self { ledger: ExpectedItems::new(0), moment: 0, queue: BTreeMap::new() }
    }

    fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    fn push(&mut self, priority: u32) -> ItemId {
        let sent = self.tick();
        let item = self.ledger.push(0, priority, sent);
        let answered = self.tick();
        self.ledger.settle(item.number, ItemOutcome::Kept, answered);
        self.queue.entry(priority).or_default().push_back(item);
        item
    }

    /// Answers a pop with these.
    fn answer(&mut self, items: &[ItemId]) {
        let (sent, answered) = (self.tick(), self.tick());
        self.ledger.pop(Popped { sent, answered, queue: 0 });
        items.iter().for_each(|item| self.ledger.take(Ok(*item)));
    }

    /// Leases these until a moment; the places of their notes.
    fn lease(&mut self, items: &[ItemId], until: u64) -> Vec<u32> {
        let (sent, answered) = (self.tick(), self.tick());
        self.ledger.leases.push(Popped { sent, answered, queue: 0 });
        items.iter().map(|item| self.ledger.deliver(*item, until)).collect()
    }

    fn ack(&mut self, delivered: u32) {
        let (sent, answered) = (self.tick(), self.tick());
        self.ledger.pop(Popped { sent, answered, queue: 0 });
        self.ledger.ack(delivered);
    }

    fn next(&mut self, depth: usize) -> Vec<ItemId> {
        let mut items = Vec::new();
        while items.len() < depth {
            let Some(mut first) = self.queue.first_entry() else { break };
            match first.get_mut().pop_front() {
                Some(item) => items.push(item),
                None => drop(first.remove()),
            }
        }
        items
    }

    fn found(self) -> Verification {
        verify(&[self.ledger], true)
    }
}

/// A random history that keeps every promise, and all that its pops answered.
fn random_history(random: &mut fastrand::Rng) -> (History, Vec<Vec<ItemId>>) {
    let mut history = History::new();
    let mut answers = Vec::new();
    for _ in 0..300 {
        if random.u8(..3) > 0 {
            let priority = random.u32(..3);
            history.push(priority);
        } else {
            let depth = random.usize(1..4);
            let items = history.next(depth);
            history.answer(&items);
            answers.push(items);
        }
    }
    let rest = history.next(usize::MAX);
    history.answer(&rest);
    answers.push(rest);
    (history, answers)
}

#[test]
fn a_history_that_keeps_its_promises_is_sound() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..50 {
        let (history, _) = random_history(&mut random);
        let found = history.found();
        assert!(found.is_sound(), "{found:?}");
        assert_eq!(found.pushed, found.popped);
    }
}

#[test]
fn one_item_lost_doubled_or_invented_is_counted_as_that() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..50 {
        let (mut history, _) = random_history(&mut random);
        let place = random.usize(..history.ledger.taken.len());
        let mut lost = ExpectedItems { lane: 0, ..history.ledger.clone() };
        lost.taken.remove(place);
        assert_eq!(verify(&[lost], true).lost, 1);
        let doubled = history.ledger.taken[place].item;
        history.answer(&[doubled]);
        history.answer(&[ItemId { lane: 9, number: 1 }]);
        let found = history.found();
        assert_eq!((found.duplicated, found.invented, found.lost), (1, 1, 0));
    }
}

#[test]
fn two_items_that_changed_places_are_always_seen() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..200 {
        let (mut history, _) = random_history(&mut random);
        let place = random.usize(..history.ledger.taken.len() - 1);
        let (one, other) = (history.ledger.taken[place], history.ledger.taken[place + 1]);
        // What was pushed after the first pop cannot change places with what that took.
        let pushed = |taken: crate::loadtest::record::expected_items::Taken| {
            history.ledger.pushes[taken.item.number as usize]
        };
        if pushed(other).answered > history.ledger.pops[one.pop as usize].sent {
            continue;
        }
        history.ledger.taken[place].item = other.item;
        history.ledger.taken[place + 1].item = one.item;
        let found = history.found();
        assert!(found.misordered > 0, "{found:?}");
    }
}

#[test]
fn what_overlapped_may_come_in_any_order() {
    let mut history = History::new();
    let (one, other) = (history.ledger.push(0, 1, 1), history.ledger.push(0, 1, 2));
    history.ledger.settle(one.number, ItemOutcome::Kept, 3);
    history.ledger.settle(other.number, ItemOutcome::Kept, 4);
    history.moment = 5;
    history.answer(&[other]);
    history.answer(&[one]);
    assert!(history.found().is_sound());
}

#[test]
fn an_unanswered_pop_may_have_taken_its_depth_and_no_more() {
    let mut history = History::new();
    for _ in 0..5 {
        history.push(1);
    }
    history.ledger.cut.push((0, 3));
    let found = history.found();
    assert_eq!((found.lost, found.taken_by_cut_pops, found.cut_pops), (2, 3, 1));
    assert!(!found.is_sound());
}

#[test]
fn an_unanswered_push_may_come_back_once_and_a_refused_one_never() {
    let mut history = History::new();
    let (unknown, refused) = (history.ledger.push(0, 1, 1), history.ledger.push(0, 1, 2));
    history.ledger.settle(refused.number, ItemOutcome::Refused, 3);
    history.moment = 4;
    history.answer(&[unknown]);
    assert_eq!(verify(&[history.ledger.clone()], true).unknown_pushes, 1);
    assert!(verify(&[history.ledger.clone()], true).is_sound());
    history.answer(&[unknown, refused]);
    let found = history.found();
    assert_eq!((found.duplicated, found.invented), (1, 1));
}

/// Moments of leases are far apart here: servers may end one some milliseconds early.
const LONG: u64 = 1_000_000_000;

#[test]
fn a_leased_message_comes_back_after_its_time_and_not_before() {
    let mut history = History::new();
    let item = history.push(1);
    let until = history.moment + LONG;
    history.lease(&[item], until);
    let mut early = History { ledger: history.ledger.clone(), queue: BTreeMap::new(), ..history };
    history.moment = until + 1;
    let again = history.lease(&[item], until + 2 * LONG);
    history.ack(again[0]);
    let found = history.found();
    assert!(found.is_sound(), "{found:?}");
    assert_eq!((found.popped, found.work.leased, found.work.acked), (1, 2, 1));
    let again = early.lease(&[item], until + LONG);
    early.ack(again[0]);
    assert_eq!(early.found().shared, 1);
}

#[test]
fn what_is_given_back_may_be_given_on_and_what_is_acked_never() {
    let mut history = History::new();
    let item = history.push(1);
    let first = history.lease(&[item], LONG);
    let sent = history.tick() + 2 * SLACK_FOR_TEST;
    history.ledger.give_back(first[0], sent);
    history.moment = sent;
    let second = history.lease(&[item], sent + LONG);
    history.ack(second[0]);
    assert!(verify(&[history.ledger.clone()], true).is_sound());
    let third = history.lease(&[item], sent + 2 * LONG);
    let found = verify(&[history.ledger.clone()], true);
    assert_eq!((found.shared, found.duplicated), (1, 0));
    history.ack(third[0]);
    assert_eq!(history.found().duplicated, 1);
}

/// More than what a server may be early.
const SLACK_FOR_TEST: u64 = 10_000_000;

#[test]
fn order_is_judged_where_messages_are_first_given_to_somebody() {
    let mut history = History::new();
    let (first, second) = (history.push(1), history.push(1));
    let one = history.lease(&[first], LONG);
    let other = history.lease(&[second], LONG);
    // Acked the other way round.
    history.ack(other[0]);
    history.ack(one[0]);
    assert!(history.found().is_sound());
    let mut history = History::new();
    let (first, second) = (history.push(1), history.push(1));
    let other = history.lease(&[second], LONG);
    let one = history.lease(&[first], LONG);
    history.ack(one[0]);
    history.ack(other[0]);
    assert_eq!(history.found().misordered, 1);
    let mut history = History::new();
    let (first, second) = (history.push(1), history.push(1));
    let both = history.lease(&[second, first], LONG);
    both.into_iter().for_each(|delivered| history.ack(delivered));
    assert_eq!(history.found().misordered, 1);
}

#[test]
fn a_dead_letter_that_never_came_back_is_stranded() {
    let mut ledger = ExpectedItems::new(0);
    (ledger.dead_lettered, ledger.redriven) = (3, 2);
    assert_eq!(verify(&[ledger.clone()], false).stranded, 1);
    ledger.cut_redrives = 1;
    assert!(verify(&[ledger], false).is_sound(), "who knows what that redrive did");
}
