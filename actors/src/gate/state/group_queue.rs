//! Lines: owners of the same group, in strict order.

use std::collections::BTreeMap;

use crate::gate::{
    api::group::Group,
    state::entry::{Entries, EntryState, NOWHERE},
};

/// The first of a line, as lines are compared: by urgency, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bucket {
    pub(crate) priority: u32,
    pub(crate) arrival: u64,
    pub(crate) group_queue: u32,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// Nobody waits in it.
    #[default]
    Nowhere,
    /// Among those of whom the first gets the next permit.
    Ready(Bucket),
    /// Aside, until this counter has room.
    Parked(Bucket, u32),
}

/// The first and the last of one priority.
#[derive(Clone, Copy, Debug)]
struct GroupBucket {
    head: u32,
    tail: u32,
}

/// Owners of the same group: those that wait, by priority and arrival, and how many hold permits.
#[derive(Debug, Default)]
pub(crate) struct GroupQueue {
    pub(crate) group: Group,
    pub(crate) counters: Box<[u32]>,
    pub(crate) standing: Blocked,
    pub(crate) waiting_count: u32,
    pub(crate) held_count: u32,
    lanes: BTreeMap<u32, GroupBucket>,
}

impl GroupQueue {
    pub(crate) fn new(group: Group, counters: Box<[u32]>) -> Self {
        Self { group, counters, ..Self::default() }
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.waiting_count == 0 && self.held_count == 0
    }

    /// The place that is served first.
    pub(crate) fn first(&self) -> Option<u32> {
        self.lanes.first_key_value().map(|(_, bucket)| bucket.head)
    }

    /// The places that have waited longest, one of each priority.
    pub(crate) fn heads(&self) -> impl Iterator<Item = u32> {
        self.lanes.values().map(|bucket| bucket.head)
    }

    /// The places that came last, one of each priority.
    pub(crate) fn tails(&self) -> impl Iterator<Item = u32> {
        self.lanes.values().map(|bucket| bucket.tail)
    }

    /// Puts a place at the end of its priority.
    pub(crate) fn join(&mut self, index: u32, ttl_ms: u32, entries: &mut Entries) {
        let mut prev = NOWHERE;
        let bucket = GroupBucket { head: index, tail: index };
        self.lanes
            .entry(entries[index].priority)
            .and_modify(|bucket| prev = std::mem::replace(&mut bucket.tail, index))
            .or_insert(bucket);
        entries[index].state = EntryState::Waiting { prev, next: NOWHERE, ttl_ms };
        if prev != NOWHERE {
            set_next(entries, prev, index);
        }
        self.waiting_count += 1;
    }

    /// Takes a place out, wherever it stands.
    pub(crate) fn leave(&mut self, index: u32, entries: &mut Entries) {
        let priority = entries[index].priority;
        let EntryState::Waiting { prev, next, .. } = entries[index].state else {
            unreachable!("only those who wait stand in line")
        };
        if prev != NOWHERE {
            set_next(entries, prev, next);
        }
        if next != NOWHERE {
            set_prev(entries, next, prev);
        }
        self.waiting_count -= 1;
        if prev == NOWHERE && next == NOWHERE {
            self.lanes.remove(&priority);
            return;
        }
        let bucket = self.lanes.get_mut(&priority).expect("whoever waits has a lane");
        if prev == NOWHERE {
            bucket.head = next;
        }
        if next == NOWHERE {
            bucket.tail = prev;
        }
    }
}

fn set_next(entries: &mut Entries, index: u32, to: u32) {
    if let EntryState::Waiting { next, .. } = &mut entries[index].state {
        *next = to;
    }
}

fn set_prev(entries: &mut Entries, index: u32, to: u32) {
    if let EntryState::Waiting { prev, .. } = &mut entries[index].state {
        *prev = to;
    }
}
