//! Aging: a message that waits rises by one priority after each interval, so that none starves.
//!
//! Inside one priority the first message is the one that waits longest, whatever it rose to: which
//! message is next is decided among the first ones of the priorities in use.

use std::collections::BTreeMap;

use lanekeeper_storage::{
    ScanLimit,
    key::{self, MessageState, Priority},
};

use super::{
    held::Held,
    place::Place,
    rules::{Need, Rules, Stop},
    window::Window,
};

/// Priorities that take part, the most urgent ones in use; as many as whose counts are in memory.
pub(super) const PRIORITIES_MAX: usize = 256;
/// What is kept in memory of each: at least its first message.
const HEAD: ScanLimit = ScanLimit { count_max: 8, bytes_max: 4 << 10 };

/// The heads of the priorities in use, for a queue whose messages age.
#[derive(Debug, Default)]
pub(super) struct Aged {
    heads: BTreeMap<Priority, Window>,
}

impl Aged {
    pub(super) fn clear(&mut self) {
        self.heads.clear();
    }

    /// Bytes held, with what the entries themselves take.
    pub(super) fn bytes(&self) -> usize {
        self.heads.values().map(|head| size_of::<(Priority, Window)>() + head.bytes()).sum()
    }

    fn head(&mut self, priority: Priority) -> &mut Window {
        let new = || Window::new(HEAD.count_max, HEAD.bytes_max);
        self.heads.entry(priority).or_insert_with(new)
    }

    /// Sees a new message of a priority that had so many before.
    pub(super) fn offer(&mut self, place: Place, held: Held, count_before: u64) {
        let head = self.head(place.priority);
        if count_before == 0 {
            head.settle(0);
        }
        head.offer(place, held);
    }

    /// Takes in messages read from the store, behind those that are known.
    pub(super) fn extend(&mut self, priority: Priority, messages: Vec<(Place, Held)>) {
        self.head(priority).extend(messages);
    }

    /// Ends a turn: brings every head back within its bounds. `count_of` says how many messages a
    /// priority has now, if that is known.
    pub(super) fn settle(&mut self, count_of: impl Fn(Priority) -> Option<u64>) {
        for (&priority, head) in &mut self.heads {
            // Without a count it cannot be told that a head is all there is; it is read again.
            head.settle(count_of(priority).unwrap_or(u64::MAX));
        }
    }

    /// Forgets a message that is gone, of a priority that has so many left.
    pub(super) fn remove(&mut self, place: Place, count_after: u64) {
        if count_after == 0 {
            self.heads.remove(&place.priority);
        } else if let Some(head) = self.heads.get_mut(&place.priority) {
            head.remove(place);
        }
    }

    fn message(&self, priority: Priority, index: usize) -> Option<(Place, &Held)> {
        self.heads.get(&priority)?.messages().nth(index)
    }

    /// Where reading on begins: behind this place, or at the first message.
    fn end(&self, priority: Priority) -> Option<Place> {
        self.heads.get(&priority)?.end()
    }

    fn held(&self, place: Place) -> Option<&Held> {
        let head = self.heads.get(&place.priority)?;
        head.messages().find(|(own, _)| *own == place).map(|(_, held)| held)
    }
}

impl Rules {
    /// The next messages in the order in which they have aged, so many of which are alive; those
    /// between them whose time to live has ended are among them.
    pub(super) fn plan_aged(
        &self,
        wanted: usize,
        aging_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Place>, Stop> {
        if !self.lanes.are_all_known() {
            let limit = ScanLimit::count(PRIORITIES_MAX);
            return Err(Stop::Load(Need::AllLanes(key::lanes(self.number()), limit)));
        }
        let mut left: Vec<(Priority, u64, usize)> =
            self.lanes.in_use().map(|(priority, count)| (priority, count, 0)).collect();
        left.truncate(PRIORITIES_MAX);
        let (mut plan, mut alive) = (Vec::new(), 0);
        while alive < wanted {
            let mut best: Option<(u32, Place, usize)> = None;
            for (lane, &(priority, count, taken)) in left.iter().enumerate() {
                if taken as u64 == count {
                    continue;
                }
                let Some((place, held)) = self.aged.message(priority, taken) else {
                    return Err(self.load_head(priority));
                };
                let risen = risen(priority, now_ms.saturating_sub(held.pushed_at_ms), aging_ms);
                let is_better = best.is_none_or(|(best_risen, best_place, _)| {
                    (risen, place.arrival) < (best_risen, best_place.arrival)
                });
                if is_better {
                    best = Some((risen, place, lane));
                }
            }
            let Some((_, place, lane)) = best else { break };
            left[lane].2 += 1;
            alive +=
                usize::from(self.aged.held(place).is_some_and(|held| !held.is_expired(now_ms)));
            plan.push(place);
        }
        Ok(plan)
    }

    /// A message that a plan named.
    pub(super) fn aged_message(&self, place: Place) -> Held {
        self.aged.held(place).expect("a plan names what is in memory").clone()
    }

    fn load_head(&self, priority: Priority) -> Stop {
        let queue = self.number();
        let range = key::messages_of(queue, MessageState::Ready, priority);
        let range = match self.aged.end(priority) {
            Some(end) => range.after(&end.key(queue, MessageState::Ready)),
            None => range,
        };
        // As many as one request can ask for, so that it finds all it needs.
        let limit = ScanLimit { count_max: 100, bytes_max: 256 << 10 };
        Stop::Load(Need::LaneHead(priority, range, limit))
    }
}

/// The priority that a message has risen to.
fn risen(priority: Priority, age_ms: u64, aging_ms: u64) -> u32 {
    let steps = u32::try_from(age_ms / aging_ms.max(1)).unwrap_or(u32::MAX);
    priority.get().saturating_sub(steps)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::queue::{
        QueueConfig,
        trial::{TIGHT, Trial},
    };

    const AGING_MS: u64 = 1_000;

    fn aging() -> Trial {
        let mut trial = Trial::new(TIGHT);
        let aging = Some(Duration::from_millis(AGING_MS));
        trial.configure(&QueueConfig { aging, ..QueueConfig::default() }).unwrap();
        trial
    }

    fn pop(trial: &mut Trial, depth: usize) -> Vec<String> {
        let popped = trial.pop(depth).unwrap();
        popped.into_iter().map(|message| message.item.as_str().to_owned()).collect()
    }

    #[test]
    fn a_message_that_waits_rises_by_one_priority_after_each_interval() {
        let mut trial = aging();
        trial.push(&[(2, "old")]).unwrap();
        trial.now_ms += AGING_MS - 1;
        trial.push(&[(1, "a"), (2, "b")]).unwrap();
        assert_eq!(pop(&mut trial, 1), ["a"], "it has not risen yet");
        trial.now_ms += 1;
        trial.push(&[(1, "c"), (0, "d")]).unwrap();
        assert_eq!(pop(&mut trial, 1), ["d"]);
        assert_eq!(pop(&mut trial, 9), ["old", "c", "b"], "risen, it is older than its equals");
    }

    #[test]
    fn the_stored_priority_is_kept() {
        let mut trial = aging();
        let id = trial.push(&[(7, "x")]).unwrap()[0];
        trial.now_ms += 20 * AGING_MS;
        let popped = trial.pop(1).unwrap().remove(0);
        assert_eq!((popped.id, popped.priority), (id, 7));
    }

    #[test]
    fn aged_messages_come_in_the_order_of_the_simplest_queue() {
        let seed =
            std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut trial, mut naive, mut number) = (aging(), Vec::new(), 0_u64);
        for _ in 0..3_000 {
            match random.u32(0..10) {
                0..5 => {
                    number += 1;
                    let (priority, text) = (random.u32(0..6), number.to_string());
                    trial.push(&[(priority, &text)]).unwrap();
                    naive.push((priority, trial.now_ms, number));
                }
                5..7 => trial.now_ms += random.u64(0..2_500),
                7 => trial.reactivate(),
                _ => {
                    let depth = random.usize(1..5);
                    let mut expected = Vec::new();
                    let risen = |&(priority, pushed_ms, number): &(u32, u64, u64)| {
                        let steps = (trial.now_ms - pushed_ms) / AGING_MS;
                        (u64::from(priority).saturating_sub(steps), number)
                    };
                    naive.sort_by_key(risen);
                    naive.drain(..depth.min(naive.len())).for_each(|(.., number)| {
                        expected.push(number.to_string());
                    });
                    assert_eq!(pop(&mut trial, depth), expected);
                }
            }
        }
    }
}
