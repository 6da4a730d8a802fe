//! Values in a slab: each found by a number for as long as it is there.

use std::ops::{Index, IndexMut};

/// Values and their numbers, in pieces: so that more values move none of those there are, and leave
/// nothing behind. Only the first piece grows, and all but the last are full.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    /// Beside the others: most slabs have no more, and each use begins here.
    first: Vec<Slot<T>>,
    more: Vec<Vec<Slot<T>>>,
    vacant: Option<u32>,
    count: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    Vacant(Option<u32>),
}

/// By how much a list of so many grows: by an eighth, so that little of it is ever empty.
pub(crate) fn growth(count: usize) -> usize {
    (count / 8).max(4)
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { first: Vec::new(), more: Vec::new(), vacant: None, count: 0 }
    }
}

impl<T> Slab<T> {
    /// Slots in one piece: 8 KiB, as allocators like to give them out.
    const PIECE: usize = 8_192 / size_of::<Slot<T>>();

    /// Keeps a value and says under which number.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.count += 1;
        if let Some(index) = self.vacant {
            let slot = std::mem::replace(self.slot_mut(index), Slot::Taken(value));
            let Slot::Vacant(next) = slot else { unreachable!("vacant slots are listed") };
            self.vacant = next;
            return index;
        }
        let slot = Slot::Taken(value);
        let count = self.first.len();
        if count < Self::PIECE {
            if count == self.first.capacity() {
                self.first.reserve_exact(growth(count).min(Self::PIECE - count));
            }
            self.first.push(slot);
            return count as u32;
        }
        if self.more.last().is_none_or(|last| last.len() == Self::PIECE) {
            self.more.push(Vec::with_capacity(Self::PIECE));
        }
        let before = self.more.len() * Self::PIECE;
        let last = self.more.last_mut().expect("there is one with room");
        last.push(slot);
        (before + last.len() - 1) as u32
    }

    /// Takes a value out; it must be there.
    pub(crate) fn remove(&mut self, index: u32) -> T {
        let vacant = Slot::Vacant(self.vacant);
        let slot = std::mem::replace(self.slot_mut(index), vacant);
        let Slot::Taken(value) = slot else { unreachable!("a value is removed once") };
        self.vacant = Some(index);
        self.count -= 1;
        value
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Every value and its number, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let slots = self.first.iter().chain(self.more.iter().flatten());
        slots.enumerate().filter_map(|(index, slot)| match slot {
            Slot::Taken(value) => Some((index as u32, value)),
            Slot::Vacant(_) => None,
        })
    }

    /// Every value, in no order.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let slots = self.first.iter_mut().chain(self.more.iter_mut().flatten());
        slots.filter_map(|slot| match slot {
            Slot::Taken(value) => Some(value),
            Slot::Vacant(_) => None,
        })
    }

    /// Bytes of the slots, whether or not there is a value in them.
    pub(crate) fn memory_bytes(&self) -> usize {
        let more: usize = self.more.iter().map(Vec::capacity).sum();
        (self.first.capacity() + more) * size_of::<Slot<T>>()
    }

    fn slot(&self, index: u32) -> &Slot<T> {
        match (index as usize / Self::PIECE, index as usize % Self::PIECE) {
            (0, at) => &self.first[at],
            (piece, at) => &self.more[piece - 1][at],
        }
    }

    fn slot_mut(&mut self, index: u32) -> &mut Slot<T> {
        match (index as usize / Self::PIECE, index as usize % Self::PIECE) {
            (0, at) => &mut self.first[at],
            (piece, at) => &mut self.more[piece - 1][at],
        }
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        match self.slot(index) {
            Slot::Taken(value) => value,
            Slot::Vacant(_) => unreachable!("only values that are there are asked for"),
        }
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        match self.slot_mut(index) {
            Slot::Taken(value) => value,
            Slot::Vacant(_) => unreachable!("only values that are there are asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn values_are_found_under_their_numbers_through_every_history() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut slab, mut known) = (Slab::default(), HashMap::new());
        for step in 0..20_000_u64 {
            if random.u8(..5) < 3 {
                let index = slab.insert(Box::new(step));
                assert_eq!(known.insert(index, step), None, "{index} is taken");
            } else if let Some(index) = random.choice(known.keys().copied().collect::<Vec<_>>()) {
                assert_eq!(Some(*slab.remove(index)), known.remove(&index));
            }
            assert_eq!(slab.len(), known.len());
        }
        assert!(slab.more.len() > 1, "all of it fits in {} pieces", slab.more.len() + 1);
        assert!(slab.iter().all(|(index, value)| known.remove(&index) == Some(**value)));
        assert!(known.is_empty());
        slab.values_mut().for_each(|value| **value = 7);
        assert!(slab.iter().all(|(index, value)| **value == 7 && *slab[index] == 7));
    }

    #[test]
    fn what_is_given_back_is_used_again() {
        let mut slab = Slab::default();
        let numbers: Vec<u32> = (0..2_000).map(|n: u32| slab.insert(n)).collect();
        let bytes = slab.memory_bytes();
        for _ in 0..3 {
            for number in &numbers {
                slab.remove(*number);
            }
            for number in &numbers {
                slab.insert(*number);
            }
        }
        assert_eq!((slab.memory_bytes(), slab.len()), (bytes, 2_000));
    }
}
