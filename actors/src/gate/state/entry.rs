//! Places: owners that wait or hold a permit, each found by a number for as long as it is there.

use crate::slab::Slab;

/// No place.
pub(crate) const NOWHERE: u32 = u32::MAX;
/// Never due.
pub(crate) const NEVER: u64 = u64::MAX;

/// An owner that waits or holds a permit. Kept small: there may be a million.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) owner: Box<str>,
    /// When it began to wait, or got its permit.
    pub(crate) since_ms: u64,
    /// When it has waited too long, or its permit ends; [`NEVER`] if it does not.
    pub(crate) due_ms: u64,
    pub(crate) arrival: u64,
    pub(crate) priority: u32,
    /// The line it stands in, or stood in.
    pub(crate) group_queue: u32,
    /// Where it stands among the deadlines.
    pub(crate) heap_at: u32,
    /// Which acquire gives the place up when it is dropped; 0 if none does.
    pub(crate) attempt: u32,
    pub(crate) state: EntryState,
}

/// What an owner does at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryState {
    /// It stands in line between two others of its priority.
    Waiting { prev: u32, next: u32, ttl_ms: u32 },
    /// It holds a permit.
    Held { waited_ms: u32 },
}

impl Entry {
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.state, EntryState::Held { .. })
    }
}

/// All places of a gate.
pub(crate) type Entries = Slab<Entry>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_takes_72_bytes_and_its_owner() {
        assert_eq!((size_of::<Entry>(), size_of::<Option<Entry>>()), (72, 72));
    }
}
