//! Which place is due first.

use crate::{
    gate::state::entry::{Entries, NOWHERE},
    slab::growth,
};

/// A binary heap of the places that are due some time, each of which knows where it stands in it:
/// four bytes a place, and any of them can be taken out.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Vec<u32>);

impl Deadlines {
    /// The place due first.
    pub(crate) fn first(&self) -> Option<u32> {
        self.0.first().copied()
    }

    /// Puts a place in.
    pub(crate) fn add(&mut self, index: u32, entries: &mut Entries) {
        let at = self.0.len();
        if at == self.0.capacity() {
            self.0.reserve_exact(growth(at));
        }
        self.0.push(index);
        entries[index].heap_at = at as u32;
        self.rise(at, entries);
    }

    /// Takes a place out, if it is in.
    pub(crate) fn remove(&mut self, index: u32, entries: &mut Entries) {
        let at = entries[index].heap_at;
        if at == NOWHERE {
            return;
        }
        entries[index].heap_at = NOWHERE;
        let at = at as usize;
        let last = self.0.pop().expect("the place is in the heap");
        if at < self.0.len() {
            self.0[at] = last;
            entries[last].heap_at = at as u32;
            self.rise(at, entries);
            self.sink(entries[last].heap_at as usize, entries);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }

    fn rise(&mut self, mut at: usize, entries: &mut Entries) {
        while at > 0 {
            let above = (at - 1) / 2;
            if self.due(above, entries) <= self.due(at, entries) {
                return;
            }
            self.swap(at, above, entries);
            at = above;
        }
    }

    fn sink(&mut self, mut at: usize, entries: &mut Entries) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            for below in [left, right].into_iter().filter(|&below| below < self.0.len()) {
                if self.due(below, entries) < self.due(least, entries) {
                    least = below;
                }
            }
            if least == at {
                return;
            }
            self.swap(at, least, entries);
            at = least;
        }
    }

    fn due(&self, at: usize, entries: &Entries) -> (u64, u64) {
        let entry = &entries[self.0[at]];
        (entry.due_ms, entry.arrival)
    }

    fn swap(&mut self, one: usize, other: usize, entries: &mut Entries) {
        self.0.swap(one, other);
        entries[self.0[one]].heap_at = one as u32;
        entries[self.0[other]].heap_at = other as u32;
    }
}
