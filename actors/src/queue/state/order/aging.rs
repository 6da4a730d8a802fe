//! Aging: a message that waits rises by one priority after each interval, so that none starves.
//!
//! Inside one priority the first message is the one that waits longest, whatever it rose to: which
//! message is next is decided among the first ones of all priorities in use. Of these a small entry
//! each is in memory, and what more is needed of a message is read when its turn comes.

use std::collections::BTreeMap;

use lanekeeper_storage::{
    KeyRange, ScanLimit,
    key::{self, MessageState, Priority},
};

use crate::queue::state::{
    message::stored_message::StoredMessage,
    order::{
        aging_order::{Heads, PriorityHead, summit_ms},
        head_cache::HeadCache,
        position::Position,
    },
    queue_state::{Blocked, MissingData, QueueState},
};

/// Priorities of which messages are kept in memory.
const WINDOWS_MAX: usize = 256;
/// What is kept in memory of each: at least its first message.
const WINDOW: ScanLimit = ScanLimit { count_max: 8, bytes_max: 4 << 10 };
/// Priorities read at a time.
const PAGE: usize = 1_024;

/// The heads of the priorities in use, for a queue whose messages age.
#[derive(Debug, Default)]
pub(crate) struct Aging {
    heads: Heads,
    by_priority: BTreeMap<Priority, PriorityHead>,
    /// The first messages of some of them.
    windows: BTreeMap<Priority, HeadCache>,
    known: KnownHeads,
    /// Priorities whose messages the plan under way needs.
    wanted: Vec<Priority>,
}

/// Which priorities in use are known.
#[derive(Debug, Default)]
enum KnownHeads {
    #[default]
    Nothing,
    /// Those before this range.
    Before(KeyRange),
    All,
}

impl Aging {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Begins with a queue in which nothing is ready: all there will be is seen as it comes.
    pub(crate) fn begin(&mut self) {
        *self = Self { known: KnownHeads::All, ..Self::default() };
    }

    /// Bytes held, with what the entries themselves take.
    pub(crate) fn bytes(&self) -> usize {
        let windows = self.windows.values();
        let windows = windows.map(|own| size_of::<(Priority, HeadCache)>() + own.bytes());
        let entries = self.by_priority.len() * size_of::<(Priority, PriorityHead)>();
        windows.sum::<usize>() + entries + self.heads.bytes()
    }

    fn head_cache(&mut self, priority: Priority) -> &mut HeadCache {
        let new = || HeadCache::new(WINDOW.count_max, WINDOW.bytes_max);
        self.windows.entry(priority).or_insert_with(new)
    }

    /// Sees a new message of a priority that had so many before.
    pub(crate) fn offer(
        &mut self,
        position: Position,
        stored: &StoredMessage,
        count_before: u64,
        aging_ms: u64,
    ) {
        if count_before == 0 {
            self.head_cache(position.priority).settle(0);
        }
        if let Some(head_cache) = self.windows.get_mut(&position.priority) {
            head_cache.offer(position, stored.clone());
        }
        if matches!(self.known, KnownHeads::Nothing) {
            return;
        }
        let own = head_of(position, stored, aging_ms);
        match self.by_priority.get(&position.priority).copied() {
            None => self.put(own),
            Some(head) if head.is_exact && own.arrival < head.arrival => self.put(own),
            Some(head) if !head.is_exact => self.put(PriorityHead {
                summit_ms: head.summit_ms.min(own.summit_ms),
                arrival: head.arrival.min(own.arrival),
                ..head
            }),
            Some(_) => {}
        }
    }

    /// Takes in messages read from the store, behind those that are known, and those accepted since
    /// it was written; answers whether there were any.
    pub(crate) fn extend(
        &mut self,
        priority: Priority,
        messages: Vec<(Position, StoredMessage)>,
        fresh: Vec<(Position, StoredMessage)>,
    ) -> bool {
        let head_cache = self.head_cache(priority);
        let known = head_cache.len();
        head_cache.extend_with(messages, fresh);
        let is_more = head_cache.len() > known;
        self.trim();
        is_more
    }

    /// Ends a turn: brings everything back within its bounds. `count_of` says how many messages a
    /// priority has now, if that is known.
    pub(crate) fn settle(&mut self, count_of: impl Fn(Priority) -> Option<u64>) {
        for (&priority, head_cache) in &mut self.windows {
            // Without a count it cannot be told that it is all there is; it is read again.
            head_cache.settle(count_of(priority).unwrap_or(u64::MAX));
        }
        self.wanted.clear();
        self.trim();
    }

    /// Forgets a message that is gone, of a priority that has so many left.
    pub(crate) fn remove(&mut self, position: Position, count_after: u64, aging_ms: u64) {
        let priority = position.priority;
        if count_after == 0 {
            self.windows.remove(&priority);
            return self.forget(priority);
        }
        if let Some(head_cache) = self.windows.get_mut(&priority) {
            head_cache.remove(position);
        }
        let Some(&head) = self.by_priority.get(&priority) else { return };
        if head.is_exact && head.arrival == position.arrival {
            self.advance(head, 0, aging_ms);
        }
    }

    /// Puts the message behind a head in its place: the one of this index, or a bound for it.
    fn advance(&mut self, head: PriorityHead, index: usize, aging_ms: u64) {
        let next = self.message(head.priority, index);
        let next = next.map(|(position, stored)| head_of(position, stored, aging_ms));
        let arrival = key::Arrival(head.arrival.0.saturating_add(1));
        self.put(next.unwrap_or(PriorityHead { arrival, is_exact: false, ..head }));
    }

    /// Puts a head in the place of the one its priority had.
    fn put(&mut self, head: PriorityHead) {
        if let Some(old) = self.by_priority.insert(head.priority, head) {
            self.heads.remove(&old);
        }
        self.heads.insert(head);
    }

    fn forget(&mut self, priority: Priority) {
        if let Some(old) = self.by_priority.remove(&priority) {
            self.heads.remove(&old);
        }
    }

    /// Lets go of messages beyond the bound, if the plan under way does not need them.
    fn trim(&mut self) {
        let excess = self.windows.len().saturating_sub(WINDOWS_MAX);
        if excess > 0 {
            let is_spare = |priority: &&Priority| !self.wanted.contains(priority);
            let spare: Vec<_> = self.windows.keys().filter(is_spare).copied().collect();
            spare.iter().rev().take(excess).for_each(|spare| drop(self.windows.remove(spare)));
        }
    }

    fn message(&self, priority: Priority, index: usize) -> Option<(Position, &StoredMessage)> {
        self.windows.get(&priority)?.messages().nth(index)
    }

    /// Where reading on begins: behind this place, or at the first message.
    fn end(&self, priority: Priority) -> Option<Position> {
        self.windows.get(&priority)?.end()
    }

    fn stored(&self, position: Position) -> Option<&StoredMessage> {
        let head_cache = self.windows.get(&position.priority)?;
        head_cache.messages().find(|(own, _)| *own == position).map(|(_, stored)| stored)
    }
}

fn head_of(position: Position, stored: &StoredMessage, aging_ms: u64) -> PriorityHead {
    let Position { priority, arrival } = position;
    let summit_ms = summit_ms(priority, stored.pushed_at_ms, aging_ms);
    PriorityHead { priority, summit_ms, arrival, is_exact: true }
}

/// A plan under way: which messages are next, and what stood in their places before it began.
#[derive(Default)]
struct AgingPlan {
    positions: Vec<Position>,
    before: BTreeMap<Priority, (PriorityHead, usize)>,
}

impl QueueState {
    /// The next messages in the order in which they have aged, so many of which are alive; those
    /// between them whose time to live has ended are among them.
    pub(crate) fn plan_aged(
        &mut self,
        wanted: usize,
        aging_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Position>, Blocked> {
        self.know_priorities(aging_ms)?;
        let mut plan = AgingPlan::default();
        let planned = self.plan_into(&mut plan, wanted, aging_ms, now_ms);
        self.aging.wanted = plan.before.keys().copied().collect();
        if let Err(Blocked::Load(MissingData::LaneHead(priority, ..))) = &planned {
            self.aging.wanted.push(*priority);
        }
        // It was only a plan.
        plan.before.into_values().for_each(|(head, _)| self.aging.put(head));
        planned.map(|()| plan.positions)
    }

    fn plan_into(
        &mut self,
        plan: &mut AgingPlan,
        wanted: usize,
        aging_ms: u64,
        now_ms: u64,
    ) -> Result<(), Blocked> {
        let mut alive = 0;
        while alive < wanted {
            let Some(head) = self.aging.heads.next(aging_ms, now_ms) else { break };
            let priority = head.priority;
            let taken = plan.before.get(&priority).map_or(0, |(_, taken)| *taken);
            let Some((position, stored)) = self.aging.message(priority, taken) else {
                match self.priority_counts.count(priority) {
                    None => return Err(Blocked::Load(MissingData::PriorityCounts(vec![priority]))),
                    Some(count) if count <= taken as u64 => self.aging.forget(priority),
                    Some(_) => return Err(self.load_head(priority)),
                }
                continue;
            };
            let own = head_of(position, stored, aging_ms);
            if own != head {
                self.aging.put(own);
                continue;
            }
            alive += usize::from(!stored.is_expired(now_ms));
            plan.positions.push(position);
            plan.before.entry(priority).or_insert((head, 0)).1 += 1;
            self.aging.advance(head, taken + 1, aging_ms);
        }
        Ok(())
    }

    /// A message that a plan named.
    pub(crate) fn aged_message(&self, position: Position) -> StoredMessage {
        self.aging.stored(position).expect("a plan names what is in memory").clone()
    }

    /// Makes sure that every priority in use has an entry.
    fn know_priorities(&mut self, aging_ms: u64) -> Result<(), Blocked> {
        let rest = match &self.aging.known {
            KnownHeads::Nothing => key::priority_counts(self.number()),
            KnownHeads::Before(rest) => rest.clone(),
            KnownHeads::All => return Ok(()),
        };
        if rest.start < rest.end {
            return Err(Blocked::Load(MissingData::AllLanes(rest, ScanLimit::count(PAGE))));
        }
        // What changed in this turn is not in the store yet.
        let priority_counts: Vec<_> = self.priority_counts.counts().collect();
        for (priority, count) in priority_counts {
            match count {
                0 => self.aging.forget(priority),
                _ => self.learn_priority(priority, aging_ms),
            }
        }
        self.aging.known = KnownHeads::All;
        Ok(())
    }

    /// Takes in that these priorities are in use; none if there are no more.
    pub(crate) fn learn_priorities(&mut self, range: &KeyRange, priorities: &[Priority]) {
        let aging_ms = self.settings.aging_ms.unwrap_or(1);
        priorities.iter().for_each(|&priority| self.learn_priority(priority, aging_ms));
        let queue = self.number();
        let rest = match priorities.last() {
            Some(&last) if priorities.len() == PAGE => {
                range.clone().after(&key::priority_count(queue, last))
            }
            _ => KeyRange { start: range.end.clone(), end: range.end.clone() },
        };
        self.aging.known = KnownHeads::Before(rest);
    }

    fn learn_priority(&mut self, priority: Priority, aging_ms: u64) {
        if self.aging.by_priority.contains_key(&priority) {
            return;
        }
        // No message is older than its queue.
        let summit_ms = summit_ms(priority, self.created_at_ms, aging_ms);
        let arrival = key::Arrival(0);
        self.aging.put(PriorityHead { priority, summit_ms, arrival, is_exact: false });
    }

    fn load_head(&self, priority: Priority) -> Blocked {
        let queue = self.number();
        let range = key::messages_of(queue, MessageState::Ready, priority);
        let range = match self.aging.end(priority) {
            Some(end) => range.after(&end.key(queue, MessageState::Ready)),
            None => range,
        };
        // As many as one request can ask for, so that it finds all it needs.
        let limit = ScanLimit { count_max: 100, bytes_max: 256 << 10 };
        Blocked::Load(MissingData::LaneHead(priority, range, limit))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::queue::{
        api::config::QueueConfig,
        state::queue_state::MemoryBounds,
        testing::test_harness::{TIGHT, TestHarness},
    };

    const AGING_MS: u64 = 1_000;

    fn aging() -> TestHarness {
        let mut harness = TestHarness::new(TIGHT);
        let aging = Some(Duration::from_millis(AGING_MS));
        harness.configure(&QueueConfig { aging, ..QueueConfig::default() }).unwrap();
        harness
    }

    fn pop(harness: &mut TestHarness, depth: usize) -> Vec<String> {
        let popped = harness.pop(depth).unwrap();
        popped.into_iter().map(|message| message.item.as_str().to_owned()).collect()
    }

    #[test]
    fn a_message_that_waits_rises_by_one_priority_after_each_interval() {
        let mut harness = aging();
        harness.push(&[(2, "old")]).unwrap();
        harness.now_ms += AGING_MS - 1;
        harness.push(&[(1, "a"), (2, "b")]).unwrap();
        assert_eq!(pop(&mut harness, 1), ["a"], "it has not risen yet");
        harness.now_ms += 1;
        harness.push(&[(1, "c"), (0, "d")]).unwrap();
        assert_eq!(pop(&mut harness, 1), ["d"]);
        assert_eq!(pop(&mut harness, 9), ["old", "c", "b"], "risen, it is older than its equals");
    }

    #[test]
    fn the_stored_priority_is_kept() {
        let mut harness = aging();
        let id = harness.push(&[(7, "x")]).unwrap()[0];
        harness.now_ms += 20 * AGING_MS;
        let popped = harness.pop(1).unwrap().remove(0);
        assert_eq!((popped.id, popped.priority), (id, 7));
    }

    /// Random verbs, over so many priorities, against the simplest queue whose messages age.
    fn run(priorities: u32, steps: u32, bounds: MemoryBounds) {
        let seed =
            std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut harness = TestHarness::new(bounds);
        let aging = Some(Duration::from_millis(AGING_MS));
        harness.configure(&QueueConfig { aging, ..QueueConfig::default() }).unwrap();
        let (mut naive, mut number) = (Vec::new(), 0_u64);
        for _ in 0..steps {
            match random.u32(0..10) {
                0..5 => {
                    number += 1;
                    let (priority, text) = (random.u32(0..priorities), number.to_string());
                    let id = harness.push(&[(priority, &text)]).unwrap()[0];
                    naive.push((priority, harness.now_ms, number, id));
                }
                5..7 => harness.now_ms += random.u64(0..5 * AGING_MS / 2),
                7 if random.u8(..) < 40 => harness.reactivate(),
                7 if !naive.is_empty() => {
                    let (.., id) = naive.remove(random.usize(..naive.len()));
                    harness.cancel(id).unwrap();
                }
                _ => {
                    let depth = random.usize(1..5);
                    let now_ms = harness.now_ms;
                    naive.sort_by_key(|&(priority, pushed_ms, number, _)| {
                        let steps = (now_ms - pushed_ms) / AGING_MS;
                        (u64::from(priority).saturating_sub(steps), number)
                    });
                    let first = naive.drain(..depth.min(naive.len()));
                    let expected: Vec<_> =
                        first.map(|(.., number, _)| number.to_string()).collect();
                    assert_eq!(pop(&mut harness, depth), expected);
                }
            }
        }
    }

    #[test]
    fn aged_messages_come_in_the_order_of_the_simplest_queue() {
        run(6, 3_000, TIGHT);
        run(3_000, 1_500, MemoryBounds::QUEUE);
    }

    #[test]
    fn the_least_urgent_of_a_thousand_priorities_rises_like_any_other() {
        let mut harness = aging();
        harness.push(&[(999, "old")]).unwrap();
        harness.now_ms += 999 * AGING_MS;
        let names: Vec<_> = (0..999).map(|n| n.to_string()).collect();
        for (priority, name) in (1..).zip(&names) {
            harness.push(&[(priority, name)]).unwrap();
        }
        harness.reactivate();
        assert_eq!(pop(&mut harness, 2), ["old", "0"]);
    }

    #[test]
    fn a_pop_among_many_priorities_reads_what_it_takes_and_no_more() {
        let mut harness = aging();
        let names: Vec<_> = (0..2_000).map(|n| n.to_string()).collect();
        for (priority, name) in (0..).zip(&names) {
            harness.push(&[(priority, name)]).unwrap();
        }
        harness.now_ms += 5_000 * AGING_MS;
        assert_eq!(pop(&mut harness, 1), ["0"]);
        harness.scan_count = 0;
        for expected in &names[1..1_000] {
            assert_eq!(pop(&mut harness, 1), std::slice::from_ref(expected));
        }
        assert!(harness.scan_count <= 1_000, "{} reads for 999 messages", harness.scan_count);
    }
}
