//! A history: one random thing after another, done to a queue and to the naive one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use fastrand::Rng;
use lanekeeper_actors::{
    Clock, Durability, Node,
    queue::{
        LeaseToken, MessageState, NewMessage, OnExpire, OnFull, Pushed, Queue, QueueConfig,
        QueueError,
    },
};
use lanekeeper_storage::{Crash, FaultDisk, FaultEngine};
use serde_json::{Value, json};

use crate::queue::model::naive::{Life, Message, Naive};

/// Messages beyond which nothing is pushed, so that a look at everything stays cheap.
pub(crate) const MESSAGES_MAX: usize = 60;
/// Steps between two looks at everything.
const LOOK_EVERY: u64 = 25;

pub(crate) struct History {
    pub(crate) random: Rng,
    pub(crate) clock: Clock,
    disk: FaultDisk,
    engine: Arc<FaultEngine>,
    pub(crate) node: Node,
    pub(crate) naive: Naive,
    /// Tokens ever given, the latest last.
    pub(crate) tokens: Vec<LeaseToken>,
    number: u64,
}

/// A message to be pushed: number, priority, delay, time to live, key.
type Planned = (u64, u32, Duration, Option<Duration>, Option<String>);

fn open(disk: &FaultDisk, clock: &Clock) -> (Arc<FaultEngine>, Node) {
    let engine = Arc::new(FaultEngine::open(disk, FaultEngine::options()).unwrap());
    let node = Node::builder().clock(clock.clone()).without_duties();
    (Arc::clone(&engine), node.start(engine).unwrap())
}

pub(crate) fn number_of(item: &lanekeeper_actors::queue::Item) -> u64 {
    item.parse::<Value>().unwrap()["n"].as_u64().unwrap()
}

impl History {
    pub(crate) async fn begin(seed: u64) -> Self {
        let (disk, clock) = (FaultDisk::new(seed), Clock::manual());
        let (engine, node) = open(&disk, &clock);
        let random = Rng::with_seed(seed);
        let (naive, tokens) = (Naive::default(), Vec::new());
        Self { random, clock, disk, engine, node, naive, tokens, number: 0 }
    }

    pub(crate) fn queue(&self) -> Queue {
        self.node.queue("q")
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(crate) fn span(&mut self, seconds_max: u64) -> Duration {
        Duration::from_millis(self.random.u64(1..=seconds_max * 1_000))
    }

    pub(crate) async fn step(&mut self, step: u64) {
        match self.random.u32(0..100) {
            0..19 => self.push().await,
            19..20 => self.promote().await,
            20..22 => self.reprioritise().await,
            22..30 => self.pop().await,
            30..46 => self.lease().await,
            46..58 => self.ack().await,
            58..66 => self.nack().await,
            66..70 => self.extend().await,
            70..73 => self.dead_letter().await,
            73..76 => self.redrive().await,
            76..79 => self.cancel().await,
            79..81 => self.purge().await,
            81..83 => self.configure().await,
            83..93 => self.pass_time().await,
            93..95 => drop(self.queue().passivate().await),
            95..97 => drop(lanekeeper_storage::Engine::maintain(&*self.engine)),
            97..98 => self.restart().await,
            _ => self.crash().await,
        }
        self.naive.check_conservation();
        if step.is_multiple_of(LOOK_EVERY) {
            self.look().await;
        }
    }

    async fn push(&mut self) {
        let count = if self.random.bool() { 1 } else { self.random.usize(1..6) };
        if self.naive.messages.len() + count > MESSAGES_MAX {
            return;
        }
        let (now, mut messages, mut planned) = (self.now(), Vec::new(), Vec::new());
        for _ in 0..count {
            self.number += 1;
            let (number, priority) = (self.number, self.random.u32(0..4));
            let delay = if self.random.u8(..) < 50 { self.span(20) } else { Duration::ZERO };
            let ttl = (self.random.u8(..) < 50).then(|| delay + self.span(40));
            let key = (self.random.u8(..) < 80).then(|| format!("key-{}", self.random.u8(0..12)));
            let mut message = NewMessage::new(json!({ "n": number })).unwrap();
            message = message.priority(priority).delay(delay);
            message = if let Some(ttl) = ttl { message.ttl(ttl) } else { message };
            message = if let Some(key) = &key { message.key(key.clone()) } else { message };
            messages.push(message);
            planned.push((number, priority, delay, ttl.or(self.naive.config.message_ttl), key));
        }
        let keyed: Vec<_> =
            planned.iter().map(|(_, priority, _, _, key)| (*priority, key.clone())).collect();
        let newcomers = self.naive.newcomers(&keyed, now);
        // A repetition is told what was there when it came.
        let before = self.naive.clone();
        let is_admitted = self.naive.admit(&newcomers);
        let pushed = self.queue().push_all(messages).await;
        if !is_admitted {
            return assert!(matches!(pushed, Err(QueueError::Full { .. })), "{pushed:?}");
        }
        self.note_pushed(&before, &pushed.unwrap(), planned);
    }

    fn note_pushed(&mut self, before: &Naive, pushed: &[Pushed], planned: Vec<Planned>) {
        let (now, window) = (self.now(), self.naive.window());
        for (pushed, (number, priority, delay, ttl, key)) in pushed.iter().zip(planned) {
            let key = key.filter(|_| !window.is_zero());
            let known = key.as_ref().and_then(|key| self.naive.keys.get(key)).copied();
            if let Some((id, _)) = known.filter(|(_, forget_at)| *forget_at > now) {
                let is_earlier = before.keys.values().any(|(earlier, _)| *earlier == id);
                let known = if is_earlier { before } else { &self.naive };
                let state = known.state_of(id);
                assert_eq!((pushed.id, pushed.duplicate), (id, Some(state)));
                continue;
            }
            assert_eq!(pushed.duplicate, None);
            if let Some(key) = key {
                self.naive.owners.insert(key.clone(), number);
                self.naive.keys.insert(key, (pushed.id, now + window));
            }
            let scheduled = Life::Scheduled { until: now + delay, is_holding: false };
            let life = if delay.is_zero() { Life::Ready } else { scheduled };
            let expires_at = ttl.map(|ttl| now + ttl);
            let (id, deliveries) = (pushed.id, 0);
            self.naive.counts.pushed += 1;
            let message = Message { id, number, priority, life, deliveries, expires_at };
            self.naive.messages.push(message);
        }
    }

    async fn pop(&mut self) {
        let depth = self.random.usize(1..5);
        if self.naive.is_locked() {
            let popped = self.queue().pop(depth).await;
            return assert!(matches!(popped, Err(QueueError::Locked { .. })), "{popped:?}");
        }
        let expected = self.naive.take(depth, self.now());
        let popped = self.queue().pop(depth).await.unwrap();
        self.naive.counts.popped += expected.len() as u64;
        let popped: Vec<_> = popped.iter().map(|message| number_of(&message.item)).collect();
        assert_eq!(popped, expected.iter().map(|message| message.number).collect::<Vec<_>>());
    }

    async fn promote(&mut self) {
        if self.naive.messages.is_empty() {
            return;
        }
        let index = self.random.usize(0..self.naive.messages.len());
        let message = &mut self.naive.messages[index];
        let promoted = self.node.queue("q").promote(message.id).await;
        match message.life {
            Life::Leased { .. } => {
                assert!(matches!(promoted, Err(QueueError::Leased)), "{promoted:?}");
            }
            Life::Ready => assert!(!promoted.unwrap()),
            Life::Scheduled { .. } => {
                assert!(promoted.unwrap());
                message.life = Life::Ready;
            }
        }
    }

    async fn reprioritise(&mut self) {
        if self.naive.messages.is_empty() {
            return;
        }
        let index = self.random.usize(0..self.naive.messages.len());
        let priority = self.random.u32(0..4);
        let message = &mut self.naive.messages[index];
        let changed = self.node.queue("q").reprioritise(message.id, priority).await;
        if matches!(message.life, Life::Leased { .. }) {
            return assert!(matches!(changed, Err(QueueError::Leased)), "{changed:?}");
        }
        let (changed, _) = changed.unwrap();
        assert_eq!((changed.id, changed.priority), (message.id, priority));
        message.priority = priority;
    }

    async fn cancel(&mut self) {
        if self.naive.messages.is_empty() {
            return;
        }
        let id = self.naive.messages[self.random.usize(0..self.naive.messages.len())].id;
        let state = self.naive.state_of(id);
        let cancelled = self.queue().cancel(id).await;
        if state == MessageState::Leased {
            assert!(matches!(cancelled, Err(QueueError::Leased)), "{cancelled:?}");
        } else {
            cancelled.unwrap();
            self.naive.remove(id);
            self.naive.free_key(id);
            self.naive.counts.cancelled += 1;
            let again = self.queue().cancel(id).await;
            assert!(matches!(again, Err(QueueError::MessageNotFound)), "{again:?}");
        }
    }

    async fn purge(&mut self) {
        let only = self.random.bool().then(|| self.random.u32(0..4));
        let purged = self.queue().purge(only).await.unwrap();
        let is_purged = |message: &&Message| {
            only.is_none_or(|priority| message.priority == priority)
                && !matches!(message.life, Life::Leased { .. })
        };
        let ids: Vec<_> =
            self.naive.messages.iter().filter(is_purged).map(|message| message.id).collect();
        assert_eq!(purged, ids.len() as u64);
        for id in ids {
            self.naive.remove(id);
            self.naive.free_key(id);
        }
        self.naive.counts.purged += purged;
    }

    async fn configure(&mut self) {
        let (is_dying, is_short) = (self.random.bool(), self.random.bool());
        let levels = [None, Some(Durability::Memory), Some(Durability::Durable)];
        let mut durability = self.naive.config.durability;
        if self.naive.messages.is_empty() {
            durability = levels[self.random.usize(0..levels.len())];
        }
        let config = QueueConfig {
            durability,
            exclusive: self.random.u8(..) < 80,
            capacity: (self.random.u8(..) < 80).then(|| self.random.u64(5..40)),
            on_full: if self.random.bool() { OnFull::Reject } else { OnFull::EvictLowest },
            max_deliveries: is_dying.then(|| self.random.u32(1..5)),
            message_ttl: is_short.then(|| self.span(60)),
            on_expire: if self.random.bool() { OnExpire::Drop } else { OnExpire::DeadLetter },
            dedup_window: self.random.bool().then(|| Duration::from_secs(self.random.u64(0..90))),
            ..QueueConfig::default()
        };
        let was_in_memory = self.naive.config.durability == Some(Durability::Memory);
        self.naive.config = self.queue().configure(config.clone()).await.unwrap();
        assert_eq!(self.naive.config, config);
        match durability == Some(Durability::Memory) {
            true if !was_in_memory => self.naive.floor = Some(self.naive.counts),
            true => {}
            false => self.naive.floor = None,
        }
    }

    async fn pass_time(&mut self) {
        let span = self.span(8);
        match self.random.u32(0..20) {
            0 => self.clock.set_wall(self.now() + Duration::from_secs(3_600)),
            1 => self.clock.set_wall(self.now() - Duration::from_secs(3_600)),
            _ => self.clock.advance(span),
        }
        self.fall_due().await;
    }

    async fn fall_due(&mut self) {
        self.node.settle_duties().await.unwrap();
        self.naive.fall_due(self.clock.now());
    }

    async fn restart(&mut self) {
        self.node.shutdown(Duration::from_secs(60)).await.unwrap();
        self.reopen(self.disk.clone()).await;
    }

    async fn crash(&mut self) {
        if self.naive.floor.is_some() {
            // Dead letters on their way would be gone with it.
            self.fall_due().await;
        }
        let crash = if self.random.bool() { Crash::Kill } else { Crash::PowerCut };
        self.reopen(self.disk.crash(crash)).await;
    }

    async fn reopen(&mut self, disk: FaultDisk) {
        self.naive.reopen();
        if self.random.bool() {
            self.clock.advance(Duration::from_secs(self.random.u64(1..15)));
        }
        (self.engine, self.node) = open(&disk, &self.clock);
        self.disk = disk;
        self.fall_due().await;
    }

    pub(crate) async fn all_ready(&self) -> Vec<lanekeeper_actors::queue::Message> {
        let page = self.queue().peek(100).await.unwrap();
        assert!(page.messages.len() < 100, "one page holds all");
        page.messages
    }

    pub(crate) async fn dead_numbers(&self) -> Vec<u64> {
        let (queue, mut numbers, mut after) = (self.node.queue("q-deadletter"), Vec::new(), None);
        loop {
            let mut peek = queue.peek(100);
            if let Some(after) = after {
                peek = peek.after(after);
            }
            let page = peek.await.unwrap();
            numbers.extend(page.messages.iter().map(|message| number_of(&message.item)));
            after = page.next;
            if after.is_none() {
                return numbers;
            }
        }
    }

    /// Compares everything that can be seen.
    async fn look(&mut self) {
        let stats = self.queue().stats().await.unwrap();
        let naive = &self.naive;
        let states = [MessageState::Ready, MessageState::Scheduled, MessageState::Leased];
        assert_eq!(
            [stats.ready, stats.scheduled, stats.leased],
            states.map(|state| naive.count(state))
        );
        let (totals, counts) = (stats.totals, naive.counts);
        assert_eq!(
            [totals.pushed, totals.received, totals.popped, totals.acked, totals.nacked],
            [counts.pushed, counts.received, counts.popped, counts.acked, counts.nacked]
        );
        assert_eq!(
            [totals.expired, totals.dropped, totals.dead_lettered, totals.cancelled, totals.purged],
            [counts.expired, counts.dropped, counts.dead_lettered, counts.cancelled, counts.purged]
        );
        assert_eq!(stats.dead, naive.dead.len() as u64);
        let ready: Vec<_> = self.all_ready().await.iter().map(|message| message.id).collect();
        assert_eq!(ready, naive.ready().iter().map(|message| message.id).collect::<Vec<_>>());
        for message in &naive.messages {
            let (found, state) = self.queue().message(message.id).await.unwrap();
            assert_eq!(
                (number_of(&found.item), state, found.deliveries, found.expires_at),
                (
                    message.number,
                    naive.state_of(message.id),
                    message.deliveries,
                    message.expires_at
                )
            );
        }
        let mut dead: Vec<_> = naive.dead.iter().map(|(number, _)| *number).collect();
        let mut found = self.dead_numbers().await;
        dead.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, dead);
    }

    pub(crate) async fn finish(mut self) {
        self.look().await;
        self.node.shutdown(Duration::from_secs(60)).await.unwrap();
        let report = self.disk.check().unwrap();
        assert!(report.is_sound(), "{report}");
    }
}
