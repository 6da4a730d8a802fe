//! The slots of a shard, found by the keys of their actors.
//!
//! The slots lie in a slab and the hash table holds their numbers alone: it doubles when it is
//! full, and would else leave half of what many slots take empty, and as much behind.

use std::sync::Arc;

use hashbrown::{
    HashTable,
    hash_table::{Entry, OccupiedEntry},
};

use crate::{
    actor::virtual_actor::Actor,
    runtime::directory::{Slot, SlotState},
    slab::Slab,
};

pub(crate) struct Table<A: Actor> {
    index: HashTable<u32>,
    slots: Slab<Slot<A>>,
    pub(crate) turns: u64,
}

impl<A: Actor> Table<A> {
    pub(crate) fn new() -> Self {
        Self { index: HashTable::new(), slots: Slab::default(), turns: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Every slot and its number.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, &Slot<A>)> {
        self.slots.iter()
    }

    pub(crate) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot<A>> {
        self.slots.values_mut()
    }

    /// The number of the slot of a key, which has it until it is removed; that of a new one, in the
    /// state `fresh`, if it has none, and whether it had one.
    pub(crate) fn find_or_insert(
        &mut self,
        hash: u64,
        key: &Arc<str>,
        rehash: impl Fn(&str) -> u64,
        fresh: impl FnOnce() -> SlotState<A>,
    ) -> (u32, bool) {
        let slots = &mut self.slots;
        let is_it = |&at: &u32| slots[at].is_of(key);
        match self.index.entry(hash, is_it, |&at| rehash(&slots[at].key)) {
            Entry::Occupied(entry) => (*entry.get(), true),
            Entry::Vacant(entry) => {
                let at = slots.insert(Slot { key: Arc::clone(key), state: fresh() });
                entry.insert(at);
                (at, false)
            }
        }
    }

    pub(crate) fn find_mut(&mut self, hash: u64, key: &Arc<str>) -> Option<&mut Slot<A>> {
        let at = *self.index.find(hash, |&at| self.slots[at].is_of(key))?;
        Some(&mut self.slots[at])
    }

    /// The slot of this number, which must be there.
    pub(crate) fn slot_mut(&mut self, at: u32) -> &mut Slot<A> {
        &mut self.slots[at]
    }

    /// A slot whose key has this hash.
    pub(crate) fn with_hash(&self, hash: u64, rehash: impl Fn(&str) -> u64) -> Option<&Slot<A>> {
        let at = *self.index.find(hash, |&at| rehash(&self.slots[at].key) == hash)?;
        Some(&self.slots[at])
    }

    /// Removes the slot of this number, which must be there; `hash` is that of its key.
    pub(crate) fn remove(&mut self, hash: u64, at: u32) -> Slot<A> {
        let entry = self.index.find_entry(hash, |&known| known == at);
        OccupiedEntry::remove(entry.unwrap_or_else(|_| unreachable!("the index has every slot")));
        self.slots.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::gate::actor::GateActor;

    #[test]
    fn a_slot_takes_32_bytes() {
        type Found = Slot<GateActor>;
        assert_eq!((size_of::<Found>(), size_of::<Option<Found>>()), (32, 32));
    }
}
