//! Permits counted against the values of a group, and the lines that stand aside because of them.

use std::collections::{BTreeSet, HashMap};

use crate::gate::{
    api::{group::Group, policy::GroupLimit},
    state::group_queue::Bucket,
};

/// Permits of one value, such as of one tenant.
#[derive(Debug)]
pub(crate) struct GroupCounter {
    key: (Box<str>, Box<str>),
    limit: u32,
    held: u32,
    /// Lines that are counted here.
    line_count: u32,
    /// The heads of lines that stand aside until this one has room.
    pub(crate) parked: BTreeSet<Bucket>,
}

impl GroupCounter {
    pub(crate) fn is_full(&self) -> bool {
        self.held >= self.limit
    }
}

/// The counters that a policy asks for.
#[derive(Debug, Default)]
pub(crate) struct GroupCounters {
    all: Vec<Option<GroupCounter>>,
    vacant: Vec<u32>,
    by_key: HashMap<(Box<str>, Box<str>), u32>,
}

impl GroupCounters {
    /// The counters of a group, made where they are missing, for one line more.
    pub(crate) fn enlist(&mut self, group: &Group, limits: &[GroupLimit]) -> Box<[u32]> {
        let own = limits.iter().filter_map(|limit| Some((limit, group.value(&limit.name)?)));
        own.map(|(limit, value)| self.enlist_one(limit, value)).collect()
    }

    fn enlist_one(&mut self, limit: &GroupLimit, value: &str) -> u32 {
        let key: (Box<str>, Box<str>) = (limit.name.as_str().into(), value.into());
        if let Some(&index) = self.by_key.get(&key) {
            self.get_mut(index).line_count += 1;
            return index;
        }
        let limit = limit.max_concurrent;
        let parked = BTreeSet::new();
        let group_counter =
            GroupCounter { key: key.clone(), limit, held: 0, line_count: 1, parked };
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => {
                self.all.push(None);
                (self.all.len() - 1) as u32
            }
        };
        self.all[index as usize] = Some(group_counter);
        self.by_key.insert(key, index);
        index
    }

    /// Lets one line go.
    pub(crate) fn dismiss(&mut self, counters: &[u32]) {
        for &index in counters {
            let group_counter = self.get_mut(index);
            group_counter.line_count -= 1;
            if group_counter.line_count == 0 {
                debug_assert!(
                    group_counter.parked.is_empty() && group_counter.held == 0,
                    "it has lines"
                );
                let gone = self.all[index as usize].take().expect("it was there");
                self.by_key.remove(&gone.key);
                self.vacant.push(index);
            }
        }
    }

    /// Counts so many permits more.
    pub(crate) fn take(&mut self, counters: &[u32], count: u32) {
        counters.iter().for_each(|&index| self.get_mut(index).held += count);
    }

    /// Counts one permit less.
    pub(crate) fn give_back(&mut self, counters: &[u32]) {
        counters.iter().for_each(|&index| self.get_mut(index).held -= 1);
    }

    /// The first of these that has no room.
    pub(crate) fn full_one(&self, counters: &[u32]) -> Option<u32> {
        let is_full =
            |&index: &u32| self.all[index as usize].as_ref().is_some_and(GroupCounter::is_full);
        counters.iter().copied().find(is_full)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut GroupCounter {
        self.all[index as usize].as_mut().expect("a line keeps its counters")
    }
}
