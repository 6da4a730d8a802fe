//! Everyone at a gate: who waits, in which order, and who holds a permit.
//!
//! Owners of the same group stand in one line, in strict order of priority and arrival. The next
//! permit goes to the first of all lines that a group's limit does not hold up: a line that is held
//! up stands aside, at one counter without room, and keeps its place. While a counter has room, the
//! first of the lines that stand aside there is back among the others; so a permit that ends costs
//! the same however many wait.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
};

use hashbrown::HashTable;

use crate::gate::{
    api::{group::Group, policy::GroupLimit},
    state::{
        deadline::Deadlines,
        entry::{Entries, Entry, EntryState, NEVER, NOWHERE},
        group_counter::GroupCounters,
        group_queue::{Blocked, Bucket, GroupQueue},
    },
};

/// The line of those without a group.
const PLAIN: u32 = 0;

/// An owner on its way in.
#[derive(Debug)]
pub(crate) struct NewEntry {
    pub(crate) owner: Box<str>,
    pub(crate) arrival: u64,
    pub(crate) priority: u32,
    pub(crate) since_ms: u64,
    pub(crate) due_ms: u64,
    pub(crate) attempt: u32,
}

/// Everyone at a gate that somebody is at.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    pub(crate) entries: Entries,
    pub(crate) waiting_count: u32,
    pub(crate) held_count: u32,
    owners: HashTable<u32>,
    hasher: RandomState,
    deadlines: Deadlines,
    plain: GroupQueue,
    grouped: Vec<Option<GroupQueue>>,
    vacant: Vec<u32>,
    by_group: HashMap<Group, u32>,
    counters: GroupCounters,
    ready: BTreeSet<Bucket>,
    by_priority: BTreeMap<u32, u32>,
    workers: HashMap<u32, Box<str>>,
}

impl WaitQueue {
    /// The place of an owner.
    pub(crate) fn find(&self, owner: &str) -> Option<u32> {
        let is_it = |&index: &u32| *self.entries[index].owner == *owner;
        self.owners.find(self.hasher.hash_one(owner), is_it).copied()
    }

    /// The line of a group, made if it is missing: to be [left alone](Self::tidy) if nobody enters.
    pub(crate) fn line_of(&mut self, group: &Group, limits: &[GroupLimit]) -> u32 {
        if group.is_empty() {
            return PLAIN;
        }
        if let Some(&group_queue) = self.by_group.get(group) {
            return group_queue;
        }
        let counters = self.counters.enlist(group, limits);
        let group_queue = GroupQueue::new(group.clone(), counters);
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => {
                self.grouped.push(None);
                self.grouped.len() as u32
            }
        };
        self.grouped[index as usize - 1] = Some(group_queue);
        self.by_group.insert(group.clone(), index);
        index
    }

    /// Forgets a line that nobody is in.
    pub(crate) fn tidy(&mut self, group_queue: u32) {
        if group_queue == PLAIN || !self.group_queue(group_queue).is_unused() {
            return;
        }
        let gone = self.grouped[group_queue as usize - 1].take().expect("lines are forgotten once");
        self.counters.dismiss(&gone.counters);
        self.by_group.remove(&gone.group);
        self.vacant.push(group_queue);
    }

    /// Whether a newcomer in this line would run at once. Nobody who could run waits while there is
    /// a permit, so that it passes nobody.
    pub(crate) fn has_room(&self, group_queue: u32, max_concurrent: Option<u32>) -> bool {
        max_concurrent.is_none_or(|max| self.held_count < max)
            && self.counters.full_one(&self.group_queue(group_queue).counters).is_none()
    }

    /// Lets an owner in that holds a permit from the start.
    pub(crate) fn admit(&mut self, new: NewEntry, group_queue: u32, waited_ms: u32) -> u32 {
        let index = self.enter(new, group_queue, EntryState::Held { waited_ms });
        self.note_held(group_queue);
        index
    }

    /// Puts an owner at the end of its priority in a line.
    pub(crate) fn join(&mut self, new: NewEntry, group_queue: u32, ttl_ms: u32) -> u32 {
        let state = EntryState::Waiting { prev: NOWHERE, next: NOWHERE, ttl_ms };
        let index = self.enter(new, group_queue, state);
        let own = line_mut(&mut self.plain, &mut self.grouped, group_queue);
        own.join(index, ttl_ms, &mut self.entries);
        let is_first = own.first() == Some(index);
        self.waiting_count += 1;
        *self.by_priority.entry(self.entries[index].priority).or_default() += 1;
        if is_first {
            self.stand(group_queue);
        }
        index
    }

    fn enter(&mut self, new: NewEntry, group_queue: u32, state: EntryState) -> u32 {
        let NewEntry { owner, arrival, priority, since_ms, due_ms, attempt } = new;
        let hash = self.hasher.hash_one(&*owner);
        let heap_at = NOWHERE;
        let entry = Entry {
            owner,
            since_ms,
            due_ms,
            arrival,
            priority,
            group_queue,
            heap_at,
            attempt,
            state,
        };
        let index = self.entries.insert(entry);
        let Self { owners, hasher, entries, deadlines, .. } = self;
        owners.insert_unique(hash, index, |&at| hasher.hash_one(&*entries[at].owner));
        if due_ms != NEVER {
            deadlines.add(index, entries);
        }
        index
    }

    /// The line whose first gets the next permit, if one is free and somebody can have it.
    pub(crate) fn next_line(&mut self, max_concurrent: Option<u32>) -> Option<u32> {
        loop {
            if max_concurrent.is_some_and(|max| self.held_count >= max) {
                return None;
            }
            let group_queue = self.ready.first()?.group_queue;
            if self.counters.full_one(&self.group_queue(group_queue).counters).is_none() {
                return Some(group_queue);
            }
            self.stand(group_queue);
        }
    }

    /// Gives a permit to the first of a line.
    pub(crate) fn grant_first(&mut self, group_queue: u32, now_ms: u64) -> u32 {
        let index =
            self.group_queue(group_queue).first().expect("a line that is ready has a first");
        let EntryState::Waiting { ttl_ms, .. } = self.entries[index].state else {
            unreachable!("those in line wait")
        };
        self.leave_line(index);
        let waited = now_ms.saturating_sub(self.entries[index].since_ms);
        let waited_ms = u32::try_from(waited).unwrap_or(u32::MAX);
        let due_ms = if ttl_ms == 0 { NEVER } else { now_ms + u64::from(ttl_ms) };
        let entry = &mut self.entries[index];
        (entry.state, entry.since_ms) = (EntryState::Held { waited_ms }, now_ms);
        self.move_deadline(index, due_ms);
        self.note_held(group_queue);
        self.stand(group_queue);
        index
    }

    /// Sets when a place is due.
    pub(crate) fn move_deadline(&mut self, index: u32, due_ms: u64) {
        self.deadlines.remove(index, &mut self.entries);
        self.entries[index].due_ms = due_ms;
        if due_ms != NEVER {
            self.deadlines.add(index, &mut self.entries);
        }
    }

    /// The place that is due first, and when.
    pub(crate) fn first_due(&self) -> Option<(u32, u64)> {
        self.deadlines.first().map(|index| (index, self.entries[index].due_ms))
    }

    /// Takes an owner out, whatever it does.
    pub(crate) fn remove(&mut self, index: u32) -> Entry {
        self.deadlines.remove(index, &mut self.entries);
        let group_queue = self.entries[index].group_queue;
        if self.entries[index].is_held() {
            self.held_count -= 1;
            self.line_mut(group_queue).held_count -= 1;
            let own = line_mut(&mut self.plain, &mut self.grouped, group_queue);
            self.counters.give_back(&own.counters);
            self.call_back(group_queue);
        } else {
            self.leave_line(index);
            self.stand(group_queue);
        }
        let hash = self.hasher.hash_one(&*self.entries[index].owner);
        let entry = self.owners.find_entry(hash, |&at| at == index);
        entry.expect("every place is found by its owner").remove();
        self.workers.remove(&index);
        let entry = self.entries.remove(index);
        self.tidy(group_queue);
        entry
    }

    fn leave_line(&mut self, index: u32) {
        let Entry { group_queue, priority, .. } = self.entries[index];
        let own = line_mut(&mut self.plain, &mut self.grouped, group_queue);
        own.leave(index, &mut self.entries);
        self.waiting_count -= 1;
        let count = self.by_priority.get_mut(&priority).expect("whoever waits is counted");
        *count -= 1;
        if *count == 0 {
            self.by_priority.remove(&priority);
        }
    }

    fn note_held(&mut self, group_queue: u32) {
        self.held_count += 1;
        let own = line_mut(&mut self.plain, &mut self.grouped, group_queue);
        own.held_count += 1;
        self.counters.take(&own.counters, 1);
    }

    /// Puts a line where it belongs now that its first may be another.
    fn stand(&mut self, group_queue: u32) {
        let own = line_mut(&mut self.plain, &mut self.grouped, group_queue);
        match std::mem::take(&mut own.standing) {
            Blocked::Nowhere => {}
            Blocked::Ready(head) => drop(self.ready.remove(&head)),
            Blocked::Parked(head, at) => drop(self.counters.get_mut(at).parked.remove(&head)),
        }
        if let Some(first) = own.first() {
            let Entry { priority, arrival, .. } = self.entries[first];
            let head = Bucket { priority, arrival, group_queue };
            match self.counters.full_one(&own.counters) {
                Some(at) => {
                    own.standing = Blocked::Parked(head, at);
                    self.counters.get_mut(at).parked.insert(head);
                }
                None => {
                    own.standing = Blocked::Ready(head);
                    self.ready.insert(head);
                }
            }
        }
        self.call_back(group_queue);
    }

    /// Calls back the first of those who stand aside at the counters of a line, where there is
    /// room: whoever represented them may be gone.
    fn call_back(&mut self, group_queue: u32) {
        for entry in 0..self.group_queue(group_queue).counters.len() {
            let at = self.group_queue(group_queue).counters[entry];
            let group_counter = self.counters.get_mut(at);
            if group_counter.is_full() {
                continue;
            }
            if let Some(head) = group_counter.parked.pop_first() {
                self.line_mut(head.group_queue).standing = Blocked::Ready(head);
                self.ready.insert(head);
            }
        }
    }

    /// Counts by other limits from now on.
    pub(crate) fn regroup(&mut self, limits: &[GroupLimit]) {
        self.counters = GroupCounters::default();
        self.ready.clear();
        let group_queues: Vec<u32> = self.by_group.values().copied().chain([PLAIN]).collect();
        for &group_queue in &group_queues {
            let own = line_mut(&mut self.plain, &mut self.grouped, group_queue);
            own.standing = Blocked::Nowhere;
            own.counters = self.counters.enlist(&own.group, limits);
            self.counters.take(&own.counters, own.held_count);
        }
        group_queues.into_iter().for_each(|group_queue| self.stand(group_queue));
    }

    /// The group of a place.
    pub(crate) fn group_of(&self, index: u32) -> &Group {
        &self.group_queue(self.entries[index].group_queue).group
    }

    /// How many of a priority and of more urgent ones wait.
    pub(crate) fn waiting_up_to(&self, priority: u32) -> u32 {
        self.by_priority.range(..=priority).map(|(_, count)| count).sum()
    }

    /// How many wait, up to this one: its position. Looks at everyone.
    pub(crate) fn position(&self, index: u32) -> u32 {
        let Entry { priority, arrival, .. } = self.entries[index];
        let is_ahead = |entry: &Entry| {
            !entry.is_held() && (entry.priority, entry.arrival) <= (priority, arrival)
        };
        self.entries.iter().filter(|(_, entry)| is_ahead(entry)).count() as u32
    }

    /// Who has waited longest.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.group_queues()
            .flat_map(GroupQueue::heads)
            .min_by_key(|&index| self.entries[index].arrival)
    }

    /// Who came last.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.group_queues()
            .flat_map(GroupQueue::tails)
            .max_by_key(|&index| self.entries[index].arrival)
    }

    /// Ties a place to a worker.
    pub(crate) fn tie(&mut self, index: u32, worker: Box<str>) {
        self.workers.insert(index, worker);
    }

    /// The worker a place is tied to.
    pub(crate) fn worker_of(&self, index: u32) -> Option<&str> {
        self.workers.get(&index).map(|worker| &**worker)
    }

    /// Bytes of memory held, as far as they grow with the number of places.
    pub(crate) fn memory_bytes(&self) -> usize {
        let owners = self.owners.capacity() * (size_of::<u32>() + 1);
        let group_queues = self.grouped.len() * size_of::<GroupQueue>();
        let names: usize = self.entries.iter().map(|(_, entry)| entry.owner.len()).sum();
        let entries = self.entries.memory_bytes() + names;
        size_of::<Self>() + entries + self.deadlines.memory_bytes() + owners + group_queues
    }

    fn group_queues(&self) -> impl Iterator<Item = &GroupQueue> {
        std::iter::once(&self.plain).chain(self.grouped.iter().flatten())
    }

    fn group_queue(&self, group_queue: u32) -> &GroupQueue {
        match group_queue.checked_sub(1) {
            None => &self.plain,
            Some(at) => self.grouped[at as usize].as_ref().expect("a line is there while used"),
        }
    }

    fn line_mut(&mut self, group_queue: u32) -> &mut GroupQueue {
        line_mut(&mut self.plain, &mut self.grouped, group_queue)
    }
}

fn line_mut<'a>(
    plain: &'a mut GroupQueue,
    grouped: &'a mut [Option<GroupQueue>],
    group_queue: u32,
) -> &'a mut GroupQueue {
    match group_queue.checked_sub(1) {
        None => plain,
        Some(at) => grouped[at as usize].as_mut().expect("a line is there while used"),
    }
}
