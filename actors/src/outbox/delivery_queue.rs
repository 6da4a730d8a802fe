//! Who is delivered to, so that everybody gets letters in order and none is left behind.
//!
//! A look at the store goes through the letters by their numbers, while deliveries that earlier
//! looks began take theirs. Who is delivered to just now gets no second delivery: what is found
//! for it meanwhile waits for another look. Until that look comes by, nothing that stands behind
//! those letters may be delivered, which is what [`ReceiverStage::Behind`] remembers.

use std::collections::{HashMap, hash_map::Entry};

/// Who gets a letter: kind and key.
pub(crate) type Receiver = (String, String);

/// Receivers with letters on their way. Bounded: whoever has none takes no room.
#[derive(Debug, Default)]
pub(crate) struct DeliveryQueue {
    stages: HashMap<Receiver, ReceiverStage>,
    /// Looks begun so far.
    scans: u64,
}

#[derive(Debug)]
enum ReceiverStage {
    /// It is delivered to. Letters from this number on were found meanwhile.
    Taking { next: Option<u64> },
    /// The first letter for it is this one, or none if that was taken; noted during this look.
    Behind { next: u64, noted: u64 },
}

/// A look at the letters, from one number on.
#[derive(Clone, Debug)]
pub(crate) struct ScanCursor {
    number: u64,
    first: u64,
    /// Where the page begins that it has come to.
    pub(crate) page: u64,
}

impl DeliveryQueue {
    /// A look begins, from the letter `first` on.
    pub(crate) fn scan(&mut self, first: u64) -> ScanCursor {
        self.scans += 1;
        ScanCursor { number: self.scans, first, page: first }
    }

    /// A look has come to the end of all letters. Those it was to find letters for and did not
    /// have none.
    pub(crate) fn looked(&mut self, scan: &ScanCursor) {
        self.stages.retain(|_, stage| match stage {
            ReceiverStage::Taking { .. } => true,
            ReceiverStage::Behind { next, noted } => !scan.is_for(*next, *noted),
        });
    }

    /// Letters were found, `first` the first of them. Answers whether to deliver them now; if not,
    /// they will be found again.
    pub(crate) fn begin(&mut self, receiver: &Receiver, first: u64, scan: &ScanCursor) -> bool {
        match self.stages.entry(receiver.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(ReceiverStage::Taking { next: None });
                true
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                ReceiverStage::Taking { next } => {
                    *next = Some(next.map_or(first, |next| next.min(first)));
                    false
                }
                ReceiverStage::Behind { next, noted } => {
                    // Whatever stands before these letters is on this page, or was taken.
                    let is_next = scan.page <= *next || scan.is_for(*next, *noted);
                    if is_next {
                        entry.insert(ReceiverStage::Taking { next: None });
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
            Some(ReceiverStage::Taking { next }) => next,
            _ => None,
        };
        let next = failed.into_iter().chain(found).min()?;
        self.stages.insert(receiver, ReceiverStage::Behind { next, noted: self.scans });
        Some(next)
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }
}

impl ScanCursor {
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
    struct PendingMessage {
        random: fastrand::Rng,
        delivery_queue: DeliveryQueue,
        /// What was posted and not taken, by number.
        store: BTreeMap<u64, Receiver>,
        outbox_id: u64,
        first: Option<u64>,
        looking: Option<Looking>,
        under_way: Vec<(Receiver, Vec<u64>)>,
        taken: HashMap<Receiver, u64>,
    }

    /// A look under way: where its next page begins, how far it goes, and what is left of a page.
    struct Looking {
        scan: ScanCursor,
        next: u64,
        end: u64,
        page: Vec<(Receiver, Vec<u64>)>,
    }

    impl PendingMessage {
        fn post(&mut self) {
            for _ in 0..self.random.u64(1..4) {
                let receiver = ("kind".to_owned(), self.random.u8(..3).to_string());
                self.store.insert(self.outbox_id, receiver);
                self.first =
                    Some(self.first.map_or(self.outbox_id, |first| first.min(self.outbox_id)));
                self.outbox_id += 1;
            }
        }

        fn go_on_looking(&mut self) {
            let Some(Looking { scan, next, end, page }) = &mut self.looking else {
                let Some(first) = self.first.take() else { return };
                let scan = self.delivery_queue.scan(first);
                let (next, end, page) = (first, self.outbox_id, Vec::new());
                self.looking = Some(Looking { scan, next, end, page });
                return;
            };
            if let Some((receiver, numbers)) = page.pop() {
                if self.delivery_queue.begin(&receiver, numbers[0], scan) {
                    self.under_way.push((receiver, numbers));
                }
                return;
            }
            let mut outbox_messages: BTreeMap<Receiver, Vec<u64>> = BTreeMap::new();
            scan.page = *next;
            for (&number, receiver) in self.store.range(*next..*end).take(2) {
                outbox_messages.entry(receiver.clone()).or_default().push(number);
                *next = number + 1;
            }
            page.extend(outbox_messages);
            if page.is_empty() {
                self.delivery_queue.looked(scan);
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
            let again = self.delivery_queue.end(receiver, failed);
            self.first = self.first.into_iter().chain(again).min();
        }
    }

    #[test]
    fn every_letter_is_taken_and_in_order_through_every_history() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        for round in 0..500 {
            let random = fastrand::Rng::with_seed(seed.wrapping_add(round));
            let mut post = PendingMessage { random, ..PendingMessage::default() };
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
            assert!(post.delivery_queue.is_empty(), "{:?}", post.delivery_queue);
        }
    }
}
