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
        entry::{NEVER, NOWHERE, Place, Places, State},
        group_counter::Counters,
        group_queue::{Head, Line, Standing},
    },
};

/// The line of those without a group.
const PLAIN: u32 = 0;

/// An owner on its way in.
#[derive(Debug)]
pub(crate) struct Arriving {
    pub(crate) owner: Box<str>,
    pub(crate) arrival: u64,
    pub(crate) priority: u32,
    pub(crate) since_ms: u64,
    pub(crate) due_ms: u64,
    pub(crate) attempt: u32,
}

/// Everyone at a gate that somebody is at.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) places: Places,
    pub(crate) waiting_count: u32,
    pub(crate) held_count: u32,
    owners: HashTable<u32>,
    hasher: RandomState,
    deadlines: Deadlines,
    plain: Line,
    grouped: Vec<Option<Line>>,
    vacant: Vec<u32>,
    by_group: HashMap<Group, u32>,
    counters: Counters,
    ready: BTreeSet<Head>,
    by_priority: BTreeMap<u32, u32>,
    workers: HashMap<u32, Box<str>>,
}

impl Crowd {
    /// The place of an owner.
    pub(crate) fn find(&self, owner: &str) -> Option<u32> {
        let is_it = |&index: &u32| *self.places[index].owner == *owner;
        self.owners.find(self.hasher.hash_one(owner), is_it).copied()
    }

    /// The line of a group, made if it is missing: to be [left alone](Self::tidy) if nobody enters.
    pub(crate) fn line_of(&mut self, group: &Group, limits: &[GroupLimit]) -> u32 {
        if group.is_empty() {
            return PLAIN;
        }
        if let Some(&line) = self.by_group.get(group) {
            return line;
        }
        let counters = self.counters.enlist(group, limits);
        let line = Line::new(group.clone(), counters);
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => {
                self.grouped.push(None);
                self.grouped.len() as u32
            }
        };
        self.grouped[index as usize - 1] = Some(line);
        self.by_group.insert(group.clone(), index);
        index
    }

    /// Forgets a line that nobody is in.
    pub(crate) fn tidy(&mut self, line: u32) {
        if line == PLAIN || !self.line(line).is_unused() {
            return;
        }
        let gone = self.grouped[line as usize - 1].take().expect("lines are forgotten once");
        self.counters.dismiss(&gone.counters);
        self.by_group.remove(&gone.group);
        self.vacant.push(line);
    }

    /// Whether a newcomer in this line would run at once. Nobody who could run waits while there is
    /// a permit, so that it passes nobody.
    pub(crate) fn has_room(&self, line: u32, max_concurrent: Option<u32>) -> bool {
        max_concurrent.is_none_or(|max| self.held_count < max)
            && self.counters.full_one(&self.line(line).counters).is_none()
    }

    /// Lets an owner in that holds a permit from the start.
    pub(crate) fn admit(&mut self, new: Arriving, line: u32, waited_ms: u32) -> u32 {
        let index = self.enter(new, line, State::Held { waited_ms });
        self.note_held(line);
        index
    }

    /// Puts an owner at the end of its priority in a line.
    pub(crate) fn join(&mut self, new: Arriving, line: u32, ttl_ms: u32) -> u32 {
        let state = State::Waiting { prev: NOWHERE, next: NOWHERE, ttl_ms };
        let index = self.enter(new, line, state);
        let own = line_mut(&mut self.plain, &mut self.grouped, line);
        own.join(index, ttl_ms, &mut self.places);
        let is_first = own.first() == Some(index);
        self.waiting_count += 1;
        *self.by_priority.entry(self.places[index].priority).or_default() += 1;
        if is_first {
            self.stand(line);
        }
        index
    }

    fn enter(&mut self, new: Arriving, line: u32, state: State) -> u32 {
        let Arriving { owner, arrival, priority, since_ms, due_ms, attempt } = new;
        let hash = self.hasher.hash_one(&*owner);
        let heap_at = NOWHERE;
        let place =
            Place { owner, since_ms, due_ms, arrival, priority, line, heap_at, attempt, state };
        let index = self.places.insert(place);
        let Self { owners, hasher, places, deadlines, .. } = self;
        owners.insert_unique(hash, index, |&at| hasher.hash_one(&*places[at].owner));
        if due_ms != NEVER {
            deadlines.add(index, places);
        }
        index
    }

    /// The line whose first gets the next permit, if one is free and somebody can have it.
    pub(crate) fn next_line(&mut self, max_concurrent: Option<u32>) -> Option<u32> {
        loop {
            if max_concurrent.is_some_and(|max| self.held_count >= max) {
                return None;
            }
            let line = self.ready.first()?.line;
            if self.counters.full_one(&self.line(line).counters).is_none() {
                return Some(line);
            }
            self.stand(line);
        }
    }

    /// Gives a permit to the first of a line.
    pub(crate) fn grant_first(&mut self, line: u32, now_ms: u64) -> u32 {
        let index = self.line(line).first().expect("a line that is ready has a first");
        let State::Waiting { ttl_ms, .. } = self.places[index].state else {
            unreachable!("those in line wait")
        };
        self.leave_line(index);
        let waited = now_ms.saturating_sub(self.places[index].since_ms);
        let waited_ms = u32::try_from(waited).unwrap_or(u32::MAX);
        let due_ms = if ttl_ms == 0 { NEVER } else { now_ms + u64::from(ttl_ms) };
        let place = &mut self.places[index];
        (place.state, place.since_ms) = (State::Held { waited_ms }, now_ms);
        self.move_deadline(index, due_ms);
        self.note_held(line);
        self.stand(line);
        index
    }

    /// Sets when a place is due.
    pub(crate) fn move_deadline(&mut self, index: u32, due_ms: u64) {
        self.deadlines.remove(index, &mut self.places);
        self.places[index].due_ms = due_ms;
        if due_ms != NEVER {
            self.deadlines.add(index, &mut self.places);
        }
    }

    /// The place that is due first, and when.
    pub(crate) fn first_due(&self) -> Option<(u32, u64)> {
        self.deadlines.first().map(|index| (index, self.places[index].due_ms))
    }

    /// Takes an owner out, whatever it does.
    pub(crate) fn remove(&mut self, index: u32) -> Place {
        self.deadlines.remove(index, &mut self.places);
        let line = self.places[index].line;
        if self.places[index].is_held() {
            self.held_count -= 1;
            self.line_mut(line).held_count -= 1;
            let own = line_mut(&mut self.plain, &mut self.grouped, line);
            self.counters.give_back(&own.counters);
            self.call_back(line);
        } else {
            self.leave_line(index);
            self.stand(line);
        }
        let hash = self.hasher.hash_one(&*self.places[index].owner);
        let entry = self.owners.find_entry(hash, |&at| at == index);
        entry.expect("every place is found by its owner").remove();
        self.workers.remove(&index);
        let place = self.places.remove(index);
        self.tidy(line);
        place
    }

    fn leave_line(&mut self, index: u32) {
        let Place { line, priority, .. } = self.places[index];
        let own = line_mut(&mut self.plain, &mut self.grouped, line);
        own.leave(index, &mut self.places);
        self.waiting_count -= 1;
        let count = self.by_priority.get_mut(&priority).expect("whoever waits is counted");
        *count -= 1;
        if *count == 0 {
            self.by_priority.remove(&priority);
        }
    }

    fn note_held(&mut self, line: u32) {
        self.held_count += 1;
        let own = line_mut(&mut self.plain, &mut self.grouped, line);
        own.held_count += 1;
        self.counters.take(&own.counters, 1);
    }

    /// Puts a line where it belongs now that its first may be another.
    fn stand(&mut self, line: u32) {
        let own = line_mut(&mut self.plain, &mut self.grouped, line);
        match std::mem::take(&mut own.standing) {
            Standing::Nowhere => {}
            Standing::Ready(head) => drop(self.ready.remove(&head)),
            Standing::Parked(head, at) => drop(self.counters.get_mut(at).parked.remove(&head)),
        }
        if let Some(first) = own.first() {
            let Place { priority, arrival, .. } = self.places[first];
            let head = Head { priority, arrival, line };
            match self.counters.full_one(&own.counters) {
                Some(at) => {
                    own.standing = Standing::Parked(head, at);
                    self.counters.get_mut(at).parked.insert(head);
                }
                None => {
                    own.standing = Standing::Ready(head);
                    self.ready.insert(head);
                }
            }
        }
        self.call_back(line);
    }

    /// Calls back the first of those who stand aside at the counters of a line, where there is
    /// room: whoever represented them may be gone.
    fn call_back(&mut self, line: u32) {
        for place in 0..self.line(line).counters.len() {
            let at = self.line(line).counters[place];
            let counter = self.counters.get_mut(at);
            if counter.is_full() {
                continue;
            }
            if let Some(head) = counter.parked.pop_first() {
                self.line_mut(head.line).standing = Standing::Ready(head);
                self.ready.insert(head);
            }
        }
    }

    /// Counts by other limits from now on.
    pub(crate) fn regroup(&mut self, limits: &[GroupLimit]) {
        self.counters = Counters::default();
        self.ready.clear();
        let lines: Vec<u32> = self.by_group.values().copied().chain([PLAIN]).collect();
        for &line in &lines {
            let own = line_mut(&mut self.plain, &mut self.grouped, line);
            own.standing = Standing::Nowhere;
            own.counters = self.counters.enlist(&own.group, limits);
            self.counters.take(&own.counters, own.held_count);
        }
        lines.into_iter().for_each(|line| self.stand(line));
    }

    /// The group of a place.
    pub(crate) fn group_of(&self, index: u32) -> &Group {
        &self.line(self.places[index].line).group
    }

    /// How many of a priority and of more urgent ones wait.
    pub(crate) fn waiting_up_to(&self, priority: u32) -> u32 {
        self.by_priority.range(..=priority).map(|(_, count)| count).sum()
    }

    /// How many wait, up to this one: its position. Looks at everyone.
    pub(crate) fn position(&self, index: u32) -> u32 {
        let Place { priority, arrival, .. } = self.places[index];
        let is_ahead = |place: &Place| {
            !place.is_held() && (place.priority, place.arrival) <= (priority, arrival)
        };
        self.places.iter().filter(|(_, place)| is_ahead(place)).count() as u32
    }

    /// Who has waited longest.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.lines().flat_map(Line::heads).min_by_key(|&index| self.places[index].arrival)
    }

    /// Who came last.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.lines().flat_map(Line::tails).max_by_key(|&index| self.places[index].arrival)
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
        let lines = self.grouped.len() * size_of::<Line>();
        let names: usize = self.places.iter().map(|(_, place)| place.owner.len()).sum();
        let places = self.places.memory_bytes() + names;
        size_of::<Self>() + places + self.deadlines.memory_bytes() + owners + lines
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        std::iter::once(&self.plain).chain(self.grouped.iter().flatten())
    }

    fn line(&self, line: u32) -> &Line {
        match line.checked_sub(1) {
            None => &self.plain,
            Some(at) => self.grouped[at as usize].as_ref().expect("a line is there while used"),
        }
    }

    fn line_mut(&mut self, line: u32) -> &mut Line {
        line_mut(&mut self.plain, &mut self.grouped, line)
    }
}

fn line_mut<'a>(plain: &'a mut Line, grouped: &'a mut [Option<Line>], line: u32) -> &'a mut Line {
    match line.checked_sub(1) {
        None => plain,
        Some(at) => grouped[at as usize].as_mut().expect("a line is there while used"),
    }
}
