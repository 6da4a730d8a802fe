//! The pops that wait for messages: first come, first served.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Pops that may wait for one queue.
pub(crate) const WAITING_MAX: usize = 10_000;

/// Withdrawn places that are not worth tidying up.
const SLACK: usize = 16;

/// The line of waiting pops. `P` is how one of them is answered.
#[derive(Debug)]
pub(crate) struct Waiters<P> {
    positions: VecDeque<(Arc<Ticket>, usize, P)>,
    waiting_count: Arc<AtomicUsize>,
    waiting_max: usize,
}

/// A place in the line, as the one who waits holds it. Dropping it leaves the line.
#[derive(Debug)]
pub(crate) struct WaiterTicket(Arc<Ticket>);

impl WaiterTicket {
    /// Leaves the line; false if the queue was first: then the answer is on its way.
    pub(crate) fn leave(&self) -> bool {
        self.0.take()
    }
}

impl Drop for WaiterTicket {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A place, shared by the queue and the one who waits. Whoever takes it first decides: the queue,
/// which then answers with messages, or the one who waits, who then gets none.
#[derive(Debug)]
struct Ticket {
    is_waiting: AtomicBool,
    waiting_count: Arc<AtomicUsize>,
}

impl Ticket {
    /// Takes the place; false if it was taken before.
    fn take(&self) -> bool {
        let is_first = self.is_waiting.swap(false, Ordering::AcqRel);
        if is_first {
            self.waiting_count.fetch_sub(1, Ordering::AcqRel);
        }
        is_first
    }
}

impl<P> Waiters<P> {
    /// An empty line in which so many may wait.
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self { positions: VecDeque::new(), waiting_count: Arc::default(), waiting_max }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting_count() == 0
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.positions.len() * size_of::<((Arc<Ticket>, usize, P), Ticket)>()
    }

    /// Adds a pop of `depth` messages at the end; `None` if too many wait already.
    pub(crate) fn join(&mut self, depth: usize, promise: P) -> Option<WaiterTicket> {
        let waiting_count = self.waiting_count();
        if waiting_count >= self.waiting_max {
            return None;
        }
        if self.positions.len() > 2 * waiting_count + SLACK {
            self.positions.retain(|(ticket, ..)| ticket.is_waiting.load(Ordering::Acquire));
        }
        self.waiting_count.fetch_add(1, Ordering::AcqRel);
        let waiting_count = Arc::clone(&self.waiting_count);
        let ticket = Arc::new(Ticket { is_waiting: AtomicBool::new(true), waiting_count });
        self.positions.push_back((Arc::clone(&ticket), depth, promise));
        Some(WaiterTicket(ticket))
    }

    /// The first who still waits: how many messages it wants, and how it is answered.
    pub(crate) fn first(&mut self) -> Option<(usize, &P)> {
        while let Some((ticket, ..)) = self.positions.front()
            && !ticket.is_waiting.load(Ordering::Acquire)
        {
            self.positions.pop_front();
        }
        self.positions.front().map(|(_, depth, promise)| (*depth, promise))
    }

    /// Takes the first who still waits, if that one is wanted: how many messages it wants, and how
    /// it is answered.
    pub(crate) fn next_if(&mut self, is_wanted: impl Fn(&P) -> bool) -> Option<(usize, P)> {
        loop {
            let (_, promise) = self.first()?;
            if !is_wanted(promise) {
                return None;
            }
            if let Some((ticket, depth, promise)) = self.positions.pop_front()
                && ticket.take()
            {
                return Some((depth, promise));
            }
        }
    }

    /// Takes those who still wait and are wanted, in their order; the others stay where they are.
    pub(crate) fn take_all(&mut self, is_wanted: impl Fn(&P) -> bool) -> Vec<P> {
        let mut taken = Vec::new();
        for (ticket, depth, promise) in std::mem::take(&mut self.positions) {
            if !is_wanted(&promise) {
                self.positions.push_back((ticket, depth, promise));
            } else if ticket.take() {
                taken.push(promise);
            }
        }
        taken
    }

    fn waiting_count(&self) -> usize {
        self.waiting_count.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_are_served_in_the_order_of_their_arrival() {
        let mut waiters = Waiters::new(3);
        let waiting: Vec<_> =
            ["first", "second", "third"].map(|name| waiters.join(1, name).unwrap()).into();
        let served: Vec<_> = std::iter::from_fn(|| waiters.next_if(|_| true)).collect();
        assert_eq!(served, [(1, "first"), (1, "second"), (1, "third")]);
        assert!(waiters.is_empty());
        assert!(waiting.iter().all(|position| !position.leave()), "each must take what it gets");
    }

    #[test]
    fn one_who_left_is_passed_over() {
        let mut waiters = Waiters::new(2);
        let first = waiters.join(1, "first").unwrap();
        let second = waiters.join(5, "second").unwrap();
        assert!(first.leave());
        assert_eq!(waiters.next_if(|_| true), Some((5, "second")));
        assert!(!second.leave());
    }

    #[test]
    fn those_who_are_not_sent_away_keep_their_places() {
        let mut waiters = Waiters::new(4);
        let waiting: Vec<_> =
            ["a", "b", "c", "d"].map(|name| waiters.join(1, name).unwrap()).into();
        assert!(waiting[0].leave());
        assert_eq!(waiters.take_all(|name| *name != "b"), ["c", "d"]);
        assert_eq!(waiters.next_if(|_| true), Some((1, "b")));
        assert!(waiters.is_empty());
    }

    #[test]
    fn the_line_is_bounded_and_who_leaves_makes_room() {
        let mut waiters = Waiters::new(2);
        let first = waiters.join(1, ()).unwrap();
        let _second = waiters.join(1, ()).unwrap();
        assert!(waiters.join(1, ()).is_none());
        drop(first);
        assert!(waiters.join(1, ()).is_some());
    }

    #[test]
    fn places_of_those_who_left_do_not_pile_up() {
        let mut waiters = Waiters::new(WAITING_MAX);
        let _stays = waiters.join(1, ()).unwrap();
        for _ in 0..1_000 {
            drop(waiters.join(1, ()).unwrap());
        }
        assert!(waiters.positions.len() <= 2 + SLACK + 1, "{}", waiters.positions.len());
    }
}
