//! Places: owners that wait or hold a permit, each found by a number for as long as it is there.

use std::ops::{Index, IndexMut};

/// No place.
pub(super) const NOWHERE: u32 = u32::MAX;
/// Never due.
pub(super) const NEVER: u64 = u64::MAX;

/// An owner that waits or holds a permit. Kept small: there may be a million.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) owner: Box<str>,
    /// When it began to wait, or got its permit.
    pub(super) since_ms: u64,
    /// When it has waited too long, or its permit ends; [`NEVER`] if it does not.
    pub(super) due_ms: u64,
    pub(super) arrival: u64,
    pub(super) priority: u32,
    /// The line it stands in, or stood in.
    pub(super) line: u32,
    /// Where it stands among the deadlines.
    pub(super) heap_at: u32,
    /// Which acquire gives the place up when it is dropped; 0 if none does.
    pub(super) attempt: u32,
    pub(super) state: State,
}

/// What an owner does at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It stands in line between two others of its priority.
    Waiting { prev: u32, next: u32, ttl_ms: u32 },
    /// It holds a permit.
    Held { waited_ms: u32 },
}

impl Place {
    pub(super) fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }
}

/// Slots in one piece: 8 KiB, as allocators like to give them out.
const PIECE: usize = 8_192 / size_of::<Slot>();

/// All places of a gate, in pieces: so that more places move none of those there are, and leave
/// nothing behind. Only the first piece grows, and all but the last are full.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Beside the others: most gates have no more, and each use begins here.
    first: Vec<Slot>,
    more: Vec<Vec<Slot>>,
    vacant: Option<u32>,
    count: usize,
}

#[derive(Debug)]
enum Slot {
    Taken(Place),
    Vacant(Option<u32>),
}

/// By how much a list of so many grows: by an eighth, so that little of it is ever empty.
pub(super) fn growth(count: usize) -> usize {
    (count / 8).max(4)
}

impl Places {
    /// Keeps a place and says under which number.
    pub(super) fn insert(&mut self, place: Place) -> u32 {
        self.count += 1;
        if let Some(index) = self.vacant {
            let slot = std::mem::replace(self.slot_mut(index), Slot::Taken(place));
            let Slot::Vacant(next) = slot else { unreachable!("vacant slots are listed") };
            self.vacant = next;
            return index;
        }
        let slot = Slot::Taken(place);
        let count = self.first.len();
        if count < PIECE {
            if count == self.first.capacity() {
                self.first.reserve_exact(growth(count).min(PIECE - count));
            }
            self.first.push(slot);
            return count as u32;
        }
        if self.more.last().is_none_or(|last| last.len() == PIECE) {
            self.more.push(Vec::with_capacity(PIECE));
        }
        let before = self.more.len() * PIECE;
        let last = self.more.last_mut().expect("there is one with room");
        last.push(slot);
        (before + last.len() - 1) as u32
    }

    /// Gives a place back.
    pub(super) fn remove(&mut self, index: u32) -> Place {
        let vacant = Slot::Vacant(self.vacant);
        let slot = std::mem::replace(self.slot_mut(index), vacant);
        let Slot::Taken(place) = slot else { unreachable!("a place is removed once") };
        self.vacant = Some(index);
        self.count -= 1;
        place
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Every place and its number, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Place)> {
        self.first.iter().chain(self.more.iter().flatten()).enumerate().filter_map(
            |(index, slot)| match slot {
                Slot::Taken(place) => Some((index as u32, place)),
                Slot::Vacant(_) => None,
            },
        )
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let owners: usize = self.iter().map(|(_, place)| place.owner.len()).sum();
        let more: usize = self.more.iter().map(Vec::capacity).sum();
        (self.first.capacity() + more) * size_of::<Slot>() + owners
    }

    fn slot(&self, index: u32) -> &Slot {
        match (index as usize / PIECE, index as usize % PIECE) {
            (0, at) => &self.first[at],
            (piece, at) => &self.more[piece - 1][at],
        }
    }

    fn slot_mut(&mut self, index: u32) -> &mut Slot {
        match (index as usize / PIECE, index as usize % PIECE) {
            (0, at) => &mut self.first[at],
            (piece, at) => &mut self.more[piece - 1][at],
        }
    }
}

impl Index<u32> for Places {
    type Output = Place;

    fn index(&self, index: u32) -> &Place {
        match self.slot(index) {
            Slot::Taken(place) => place,
            Slot::Vacant(_) => unreachable!("only places that are there are asked for"),
        }
    }
}

impl IndexMut<u32> for Places {
    fn index_mut(&mut self, index: u32) -> &mut Place {
        match self.slot_mut(index) {
            Slot::Taken(place) => place,
            Slot::Vacant(_) => unreachable!("only places that are there are asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_takes_72_bytes_and_its_owner() {
        assert_eq!(size_of::<Slot>(), 72);
    }
}
