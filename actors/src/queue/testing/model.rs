//! Random verbs against the rules and against the simplest queue there is.

use lanekeeper_storage::record::OnFull;
use std::collections::BTreeMap;

use lanekeeper_storage::record::{QueueMeta, QueueTotals};

use crate::queue::{
    api::{
        config::QueueConfig,
        error::QueueError,
        message::{Message, MessageId},
    },
    state::{order::position::Position, queue_state::MemoryBounds},
    testing::test_harness::{TIGHT, TestHarness},
    verb::push::PushRequest,
};

/// The simplest queue: every message, sorted when somebody asks.
#[derive(Default)]
struct Model {
    messages: Vec<(Position, String)>,
    scheduled: Vec<(Position, String)>,
    config: QueueConfig,
    pushed: u64,
    popped: u64,
    rejected: u64,
    evicted: u64,
    cancelled: u64,
    purged: u64,
}

impl Model {
    fn push(&mut self, messages: &[(u32, String)], ids: &[MessageId]) {
        let new = messages.iter().zip(ids).map(|((_, text), &id)| (id.into(), text.clone()));
        self.messages.extend(new);
        self.messages.sort();
        self.pushed += messages.len() as u64;
    }

    /// How many give way to these newcomers; `None` if they are refused.
    fn evictions(&self, newcomers: &[(u32, String)]) -> Option<usize> {
        let Some(capacity) = self.config.capacity else { return Some(0) };
        let stored = self.messages.len() + self.scheduled.len();
        let room = (capacity as usize).saturating_sub(stored);
        let excess = newcomers.len().saturating_sub(room);
        let kept = self.messages.len().checked_sub(excess)?;
        let least_urgent = newcomers.iter().map(|(priority, _)| *priority).max()?;
        let give_way = self.messages[kept..].iter();
        let is_refused = excess > 0
            && (self.config.on_full == OnFull::Reject
                || give_way.clone().any(|(position, _)| position.priority.get() <= least_urgent));
        (!is_refused).then_some(excess)
    }

    fn remove(&mut self, is_gone: impl Fn(Position) -> bool) -> u64 {
        let before = self.messages.len();
        self.messages.retain(|&(position, _)| !is_gone(position));
        (before - self.messages.len()) as u64
    }

    fn priority_counts(&self) -> Vec<(u32, u64)> {
        let mut priority_counts = BTreeMap::new();
        for (position, _) in &self.messages {
            *priority_counts.entry(position.priority.get()).or_insert(0) += 1;
        }
        priority_counts.into_iter().collect()
    }
}

struct Run {
    random: fastrand::Rng,
    harness: TestHarness,
    model: Model,
    bounds: MemoryBounds,
}

impl Run {
    fn new(seed: u64) -> Self {
        let bounds = TIGHT;
        let random = fastrand::Rng::with_seed(seed);
        let mut harness = TestHarness::new(bounds);
        harness.create();
        Self { random, harness, model: Model::default(), bounds }
    }

    fn newcomers(&mut self) -> Vec<(u32, String)> {
        let count = if self.random.bool() { 1 } else { self.random.usize(1..=9) };
        let payload_max = if self.random.u8(..) < 16 { 2 << 10 } else { 40 };
        let newcomer = |random: &mut fastrand::Rng| {
            let text: String =
                (0..random.usize(..payload_max)).map(|_| random.lowercase()).collect();
            (random.u32(0..5), text)
        };
        (0..count).map(|_| newcomer(&mut self.random)).collect()
    }

    fn push(&mut self) {
        let newcomers = self.newcomers();
        let texts: Vec<_> = newcomers.iter().map(|(at, text)| (*at, text.as_str())).collect();
        let outcome = self.harness.push(&texts);
        match self.model.evictions(&newcomers) {
            None => {
                self.model.rejected += newcomers.len() as u64;
                assert!(matches!(outcome, Err(QueueError::Full { .. })), "{outcome:?}");
            }
            Some(excess) => {
                let ids = outcome.expect("there is room");
                let kept = self.model.messages.len() - excess;
                self.model.messages.truncate(kept);
                self.model.evicted += excess as u64;
                assert!(ids.windows(2).all(|two| two[0].arrival.0 + 1 == two[1].arrival.0));
                self.model.push(&newcomers, &ids);
            }
        }
    }

    fn pop(&mut self) {
        let depth = self.random.usize(1..=12);
        let popped = self.harness.pop(depth).expect("pops are not paused");
        self.expect_popped(depth, popped);
    }

    /// A push into an empty queue for which some wait.
    fn hand_on(&mut self) {
        let newcomers = self.newcomers();
        if !self.model.messages.is_empty() || self.model.evictions(&newcomers).is_none() {
            return;
        }
        let texts: Vec<_> = newcomers.iter().map(|(at, text)| (*at, text.as_str())).collect();
        let depths: Vec<_> = (0..3).map(|_| self.random.usize(1..=4)).collect();
        let (ids, popped) = self.harness.push_to(&texts, &depths).expect("there is room");
        self.model.push(&newcomers, &ids);
        self.expect_popped(depths.iter().sum(), popped);
    }

    fn expect_popped(&mut self, depth: usize, popped: Vec<Message>) {
        let count = depth.min(self.model.messages.len());
        let expected: Vec<_> = self.model.messages.drain(..count).collect();
        let popped: Vec<_> = popped
            .into_iter()
            .map(|message| {
                let priority = crate::queue::testing::test_harness::priority(message.priority);
                let position = Position { priority, arrival: message.id.arrival };
                (position, message.item.as_str().to_owned())
            })
            .collect();
        assert_eq!(popped, expected);
        self.model.popped += count as u64;
    }

    fn cancel(&mut self) {
        let count = self.model.messages.len();
        if count == 0 {
            return;
        }
        let (position, _) = self.model.messages.remove(self.random.usize(..count));
        self.harness.cancel(position.into()).expect("it is there");
        assert!(matches!(self.harness.cancel(position.into()), Err(QueueError::MessageNotFound)));
        self.model.cancelled += 1;
    }

    fn schedule(&mut self) {
        let (priority, text) = self.newcomers().swap_remove(0);
        if self.model.evictions(&[(priority, text.clone())]) != Some(0) {
            return;
        }
        let arrival = self.harness.rules.arrival_next();
        let at = crate::queue::testing::test_harness::priority(priority);
        self.harness
            .accept(&[PushRequest { delay_ms: 1, ..PushRequest::new(at, text.clone().into()) }]);
        self.model.scheduled.push((Position { priority: at, arrival }, text));
        self.model.scheduled.sort();
        self.model.pushed += 1;
    }

    fn promote(&mut self) {
        let promoted = self.harness.promote_first();
        let first = (!self.model.scheduled.is_empty()).then(|| self.model.scheduled.remove(0));
        let expected = first.clone().map(|(position, text)| (position, text.into()));
        assert_eq!(promoted, expected);
        self.model.messages.extend(first);
        self.model.messages.sort();
    }

    fn reprioritise(&mut self) {
        let count = self.model.messages.len();
        if count == 0 {
            return;
        }
        let index = self.random.usize(..count);
        let to = crate::queue::testing::test_harness::priority(self.random.u32(0..5));
        let position = self.model.messages[index].0;
        if position.priority != to {
            self.model.messages[index].0 = self.harness.reprioritise(position, to);
            self.model.messages.sort();
        }
    }

    fn purge(&mut self) {
        let only = self.random.bool().then(|| self.random.u32(0..5));
        let slice = self.random.usize(1..=5);
        let expected =
            self.model.remove(|position| only.is_none_or(|at| position.priority.get() == at));
        assert_eq!(self.harness.purge(only, slice), expected);
        self.model.purged += expected;
    }

    fn configure(&mut self) {
        let on_full = if self.random.bool() { OnFull::EvictLowest } else { OnFull::Reject };
        let capacity = self.random.bool().then(|| self.random.u64(1..30));
        self.model.config = QueueConfig { capacity, on_full, ..QueueConfig::default() };
        self.harness.configure(&self.model.config).expect("a valid configuration");
    }

    fn reactivate(&mut self) {
        // What was refused and not written since is forgotten with the memory.
        self.model.rejected = self.harness.stored_meta().totals.rejected;
        self.harness.reactivate();
    }

    fn step(&mut self) {
        match self.random.u32(..100) {
            0..40 => self.push(),
            40..64 => self.pop(),
            64..68 => self.hand_on(),
            68..72 => self.schedule(),
            72..75 => self.promote(),
            75..80 => self.reprioritise(),
            80..88 => self.cancel(),
            88..90 => self.purge(),
            90..96 => self.configure(),
            _ => self.reactivate(),
        }
        self.check();
    }

    fn check(&self) {
        let Self { harness, model, .. } = self;
        let stored = harness.stored().into_iter();
        let stored: Vec<_> = stored
            .map(|(position, stored)| {
                (position, String::from_utf8(stored.payload.to_vec()).expect("text"))
            })
            .collect();
        assert_eq!(stored, model.messages);
        assert_eq!(harness.stored_lanes(), model.priority_counts());
        let meta = &harness.rules.meta;
        let stored = model.messages.iter().chain(&model.scheduled);
        let bytes: usize = stored.map(|(_, text)| text.len()).sum();
        assert_eq!(meta.scheduled_count, model.scheduled.len() as u64);
        let totals =
            [meta.totals.pushed, meta.totals.popped, meta.totals.rejected, meta.totals.evicted];
        assert_eq!(totals, [model.pushed, model.popped, model.rejected, model.evicted]);
        assert_eq!([meta.totals.cancelled, meta.totals.purged], [model.cancelled, model.purged]);
        let holds = [meta.ready_count, meta.bytes];
        assert_eq!(holds, [model.messages.len() as u64, bytes as u64]);
        let written = harness.stored_meta();
        assert_eq!(
            QueueMeta {
                totals: QueueTotals { rejected: written.totals.rejected, ..meta.totals },
                ..*meta
            },
            written
        );
        self.check_memory();
    }

    fn check_memory(&self) {
        let rules = &self.harness.rules;
        let head_cache = &rules.head_cache;
        assert!(head_cache.len() <= self.bounds.window_count_max);
        assert!(head_cache.bytes() <= self.bounds.window_bytes_max || head_cache.len() == 1);
        assert!(rules.tail_cache.len() <= self.bounds.tail_count_max);
        assert!(rules.priority_counts.len() <= self.bounds.lane_count_max);
        let all = || self.model.messages.iter().map(|(position, _)| *position);
        assert!(
            head_cache.messages().map(|(position, _)| position).eq(all().take(head_cache.len())),
            "the window is the head"
        );
        let tail_cache = rules.tail_cache.back().map(|(position, _)| position);
        assert!(tail_cache.eq(all().rev().take(rules.tail_cache.len())), "the tail is the end");
    }
}

#[test]
fn any_sequence_of_verbs_leaves_what_the_simplest_queue_would_hold() {
    let first =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    for seed in (0..200).map(|run| first.wrapping_add(run)) {
        let run = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            (0..300).for_each(|_| run.step());
        });
        assert!(run.is_ok(), "SEED={seed}");
    }
}
