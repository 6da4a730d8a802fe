//! What the clients know for certain, and what they do not.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

/// Messages are numbered by whoever pushes them.
#[derive(Default)]
pub(super) struct Ledger {
    next: u64,
    /// Pushed, with the id if the push was answered.
    pushed: HashMap<u64, Option<String>>,
    /// Popped, acked or cancelled, and told so: never to be seen again.
    gone: HashSet<u64>,
    /// Acked or cancelled, and nobody knows.
    maybe_gone: HashSet<u64>,
    /// Messages that pops without an answer may have taken.
    maybe_popped: usize,
    seen_count: u64,
    /// Owners that hold a permit for certain.
    pub(super) holders: HashSet<String>,
    /// Owners of which nobody knows whether they hold one.
    pub(super) maybe_holders: HashSet<String>,
}

impl Ledger {
    /// A number for a message that is about to be pushed.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.pushed.insert(self.next, None);
        self.next
    }

    pub(super) fn note_pushed(&mut self, number: u64, id: String) {
        self.pushed.insert(number, Some(id));
    }

    /// Some message of which the id is known, by a number drawn at random.
    pub(super) fn id_near(&self, number: u64) -> Option<(u64, String)> {
        let number = number % self.next.max(1) + 1;
        Some((number, self.pushed.get(&number)?.clone()?))
    }

    /// A message was shown: it must be one that can still be there.
    pub(super) fn note_seen(&mut self, number: u64) {
        self.seen_count += 1;
        assert!(self.pushed.contains_key(&number), "{number} was never pushed");
        assert!(!self.gone.contains(&number), "{number} was settled and came back");
    }

    pub(super) fn note_gone(&mut self, number: u64) {
        self.gone.insert(number);
    }

    pub(super) fn note_maybe_gone(&mut self, number: u64) {
        self.maybe_gone.insert(number);
    }

    /// A pop of so many messages at most was not answered.
    pub(super) fn note_unanswered_pop(&mut self, depth: usize) {
        self.maybe_popped += depth;
    }

    /// Everything was taken out: what was acknowledged and did not come is lost, but for what may
    /// have been in answers that did not arrive.
    pub(super) fn check_conservation(&mut self) {
        let acknowledged = self.pushed.iter().filter(|(_, id)| id.is_some());
        let missing: Vec<_> = acknowledged
            .map(|(number, _)| *number)
            .filter(|number| !self.gone.contains(number) && !self.maybe_gone.contains(number))
            .collect();
        let allowed = self.maybe_popped;
        assert!(missing.len() <= allowed, "{allowed} of these may be missing: {missing:?}");
        // What is missing is settled from here on, so that it cannot come later.
        self.maybe_popped -= missing.len();
        self.gone.extend(self.pushed.keys());
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pushed, seen) = (self.pushed.len(), self.seen_count);
        write!(f, "{pushed} pushed, {seen} times seen, {} permits held", self.holders.len())
    }
}
