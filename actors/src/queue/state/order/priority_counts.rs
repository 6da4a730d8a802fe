//! How many messages of each priority a queue holds.

use lanekeeper_storage::{
    Batch,
    key::{self, Priority, QueueNo},
    record::PriorityMeta,
};

/// The counts of the priorities in use, as far as they are in memory: every change is written with
/// its turn, so that an entry can be dropped at any time. Bounded in count.
#[derive(Debug)]
pub(crate) struct PriorityCounts {
    /// By priority.
    known: Vec<PriorityCount>,
    count_max: usize,
    /// Where the next entry to drop is looked for.
    hand: usize,
}

#[derive(Clone, Copy, Debug)]
struct PriorityCount {
    priority: Priority,
    ready_count: u64,
    /// What the store says.
    written_count: u64,
}

impl PriorityCounts {
    pub(crate) fn new(count_max: usize) -> Self {
        Self { known: Vec::new(), count_max, hand: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Those of `priorities` that must be learnt before they can be changed, each once.
    pub(crate) fn unknown(&self, priorities: impl Iterator<Item = Priority>) -> Vec<Priority> {
        let mut unknown = Vec::new();
        let mut last = None;
        for priority in priorities {
            if last.replace(priority) != Some(priority) && self.find(priority).is_err() {
                unknown.push(priority);
            }
        }
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// Takes in what the store says of a priority.
    pub(crate) fn learn(&mut self, priority: Priority, ready_count: u64) {
        if let Err(position) = self.find(priority) {
            self.known.insert(
                position,
                PriorityCount { priority, ready_count, written_count: ready_count },
            );
        }
    }

    /// The known priorities, and how many messages each has.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Priority, u64)> {
        self.known
            .iter()
            .map(|priority_count| (priority_count.priority, priority_count.ready_count))
    }

    /// How many messages a priority has, if that is known.
    pub(crate) fn count(&self, priority: Priority) -> Option<u64> {
        self.find(priority).ok().map(|position| self.known[position].ready_count)
    }

    /// Counts one message more.
    pub(crate) fn add(&mut self, priority: Priority) {
        self.known_mut(priority).ready_count += 1;
    }

    /// Counts one message less.
    pub(crate) fn remove(&mut self, priority: Priority) {
        let priority_count = self.known_mut(priority);
        priority_count.ready_count = priority_count.ready_count.saturating_sub(1);
    }

    /// Ends a turn: writes what it changed, and drops what is beyond the bound.
    pub(crate) fn settle(&mut self, queue: QueueNo, batch: &mut Batch) {
        let is_changed = |priority_count: &&mut PriorityCount| {
            priority_count.ready_count != priority_count.written_count
        };
        for priority_count in self.known.iter_mut().filter(is_changed) {
            priority_count.written_count = priority_count.ready_count;
            let key = key::priority_count(queue, priority_count.priority);
            match priority_count.ready_count {
                0 => batch.delete(key),
                ready_count => batch.put(key, PriorityMeta { ready_count }.encode()),
            }
        }
        while self.known.len() > self.count_max {
            self.hand = (self.hand + 1) % self.known.len();
            self.known.remove(self.hand);
        }
        self.known.shrink_to(self.count_max);
    }

    fn find(&self, priority: Priority) -> Result<usize, usize> {
        self.known.binary_search_by_key(&priority, |priority_count| priority_count.priority)
    }

    fn known_mut(&mut self, priority: Priority) -> &mut PriorityCount {
        let position = self.find(priority).expect("a lane is learnt before it is changed");
        &mut self.known[position]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: QueueNo = QueueNo(7);

    fn priority(number: u32) -> Priority {
        Priority::new(number).expect("in bounds")
    }

    #[test]
    fn a_changed_lane_is_written_once_and_an_empty_one_removed() {
        let mut priority_counts = PriorityCounts::new(8);
        priority_counts.learn(priority(3), 0);
        priority_counts.add(priority(3));
        priority_counts.add(priority(3));
        let mut batch = Batch::new();
        priority_counts.settle(QUEUE, &mut batch);
        priority_counts.settle(QUEUE, &mut batch);
        priority_counts.remove(priority(3));
        priority_counts.remove(priority(3));
        priority_counts.settle(QUEUE, &mut batch);
        let mut expected = Batch::new();
        let key = key::priority_count(QUEUE, priority(3));
        expected.put(key.clone(), PriorityMeta { ready_count: 2 }.encode());
        expected.delete(key);
        assert_eq!(batch, expected);
    }

    #[test]
    fn lanes_in_memory_are_bounded() {
        let mut priority_counts = PriorityCounts::new(4);
        for number in 0..5 {
            priority_counts.learn(priority(number), 0);
        }
        assert_eq!(priority_counts.len(), 5);
        priority_counts.settle(QUEUE, &mut Batch::new());
        assert_eq!(priority_counts.len(), 4);
        assert_eq!(priority_counts.unknown((0..5).map(priority)).len(), 1);
    }

    #[test]
    fn an_unknown_lane_is_asked_for_once() {
        let priority_counts = PriorityCounts::new(4);
        let asked = [2, 1, 2, 2, 1].into_iter().map(priority);
        assert_eq!(priority_counts.unknown(asked), [priority(1), priority(2)]);
    }
}
