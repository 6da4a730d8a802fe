//! Who is delivered to, so that everybody gets letters in order and none is left behind.
//!
//! A look at the store goes through the letters by their numbers, while deliveries that earlier
//! looks began take theirs. Who is delivered to just now gets no second delivery: what is found
//! for it meanwhile waits for another look. Until that look comes by, nothing that stands behind
//! those letters may be delivered, which is what [`Stage::Behind`] remembers.

use std::collections::{HashMap, hash_map::Entry};

/// Who gets a letter: kind and key.
pub(crate) type Receiver = (String, String);

/// Receivers with letters on their way. Bounded: whoever has none takes no room.
#[derive(Debug, Default)]
pub(crate) struct Receivers {
    stages: HashMap<Receiver, Stage>,
    /// Looks begun so far.
    looks: u64,
}

#[derive(Debug)]
enum Stage {
    /// It is delivered to. Letters from this number on were found meanwhile.
    Taking { next: Option<u64> },
    /// The first letter for it is this one, or none if that was taken; noted during this look.
    Behind { next: u64, noted: u64 },
}

/// A look at the letters, from one number on.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    number: u64,
    first: u64,
    /// Where the page begins that it has come to.
    pub(crate) page: u64,
}

impl Receivers {
    /// A look begins, from the letter `first` on.
    pub(crate) fn look(&mut self, first: u64) -> Look {
        self.looks += 1;
        Look { number: self.looks, first, page: first }
    }

    /// A look has come to the end of all letters. Those it was to find letters for and did not
    /// have none.
    pub(crate) fn looked(&mut self, look: &Look) {
        self.stages.retain(|_, stage| match stage {
            Stage::Taking { .. } => true,
            Stage::Behind { next, noted } => !look.is_for(*next, *noted),
        });
    }

    /// Letters were found, `first` the first of them. Answers whether to deliver them now; if not,
    /// they will be found again.
    pub(crate) fn begin(&mut self, receiver: &Receiver, first: u64, look: &Look) -> bool {
        match self.stages.entry(receiver.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Stage::Taking { next: None });
                true
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Stage::Taking { next } => {
                    *next = Some(next.map_or(first, |next| next.min(first)));
                    false
                }
                Stage::Behind { next, noted } => {
                    // Whatever stands before these letters is on this page, or was taken.
                    let is_next = look.page <= *next || look.is_for(*next, *noted);
                    if is_next {
                        entry.insert(Stage::Taking { next: None });
                    }
                    is_next
                }
            },
        }
    }

    /// A delivery has ended, and failed from the letter `failed` on if that is given. Answers from
    /// which letter on to look again.
    pub(crate) fn end(&mut self, receiver: Receiver, failed: Option<u64>) -> Option<u64> {
        let found = match self.stages.remove(&receiver) {
            Some(Stage::Taking { next }) => next,
            _ => None,
        };
        let next = failed.into_iter().chain(found).min()?;
        self.stages.insert(receiver, Stage::Behind { next, noted: self.looks });
        Some(next)
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }
}

impl Look {
    /// Whether this look was to find the letters from `next` on, as noted during the look `noted`.
    fn is_for(&self, next: u64, noted: u64) -> bool {
        noted < self.number && self.first <= next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Letters in a store, looks and deliveries, one step at a time.
    #[derive(Default)]
    struct Post {
        random: fastrand::Rng,
        receivers: Receivers,
        /// What was posted and not taken, by number.
        store: BTreeMap<u64, Receiver>,
        posted: u64,
        first: Option<u64>,
        looking: Option<Looking>,
        under_way: Vec<(Receiver, Vec<u64>)>,
        taken: HashMap<Receiver, u64>,
    }

    /// A look under way: where its next page begins, how far it goes, and what is left of a page.
    struct Looking {
        look: Look,
        next: u64,
        end: u64,
        page: Vec<(Receiver, Vec<u64>)>,
    }

    impl Post {
        fn post(&mut self) {
            for _ in 0..self.random.u64(1..4) {
                let receiver = ("kind".to_owned(), self.random.u8(..3).to_string());
                self.store.insert(self.posted, receiver);
                self.first = Some(self.first.map_or(self.posted, |first| first.min(self.posted)));
                self.posted += 1;
            }
        }

        fn go_on_looking(&mut self) {
            let Some(Looking { look, next, end, page }) = &mut self.looking else {
                let Some(first) = self.first.take() else { return };
                let look = self.receivers.look(first);
                let (next, end, page) = (first, self.posted, Vec::new());
                self.looking = Some(Looking { look, next, end, page });
                return;
            };
            if let Some((receiver, numbers)) = page.pop() {
                if self.receivers.begin(&receiver, numbers[0], look) {
                    self.under_way.push((receiver, numbers));
                }
                return;
            }
            let mut letters: BTreeMap<Receiver, Vec<u64>> = BTreeMap::new();
            look.page = *next;
            for (&number, receiver) in self.store.range(*next..*end).take(2) {
                letters.entry(receiver.clone()).or_default().push(number);
                *next = number + 1;
            }
            page.extend(letters);
            if page.is_empty() {
                self.receivers.looked(look);
                self.looking = None;
            }
        }

        fn end_delivery(&mut self) {
            if self.under_way.is_empty() {
                return;
            }
            let place = self.random.usize(..self.under_way.len());
            let (receiver, numbers) = self.under_way.swap_remove(place);
            let is_failed = self.random.u8(..5) == 0;
            for number in numbers.iter().filter(|_| !is_failed) {
                if self.store.remove(number).is_some() {
                    let before = self.taken.insert(receiver.clone(), *number);
                    assert!(before < Some(*number), "{receiver:?}: {number} after {before:?}");
                }
            }
            let failed = is_failed.then_some(numbers[0]);
            let again = self.receivers.end(receiver, failed);
            self.first = self.first.into_iter().chain(again).min();
        }
    }

    #[test]
    fn every_letter_is_taken_and_in_order_through_every_history() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        for round in 0..500 {
            let random = fastrand::Rng::with_seed(seed.wrapping_add(round));
            let mut post = Post { random, ..Post::default() };
            for _ in 0..200 {
                match post.random.u8(..8) {
                    0 => post.post(),
                    1 | 2 => post.end_delivery(),
                    _ => post.go_on_looking(),
                }
            }
            while post.first.is_some() || post.looking.is_some() || !post.under_way.is_empty() {
                post.go_on_looking();
                post.end_delivery();
            }
            assert!(post.store.is_empty(), "left behind: {:?}", post.store);
            assert!(post.receivers.is_empty(), "{:?}", post.receivers);
        }
    }
}
