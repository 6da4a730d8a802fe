//! A clock that was wrong, and is right again after a restart: whatever was under way keeps the
//! time that was left, neither more nor less.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use lanekeeper_actors::{
    Clock, Handler, Node, Reminder, Request, Turn, VirtualActor, gate::GatePolicy,
    queue::QueueConfig,
};
use lanekeeper_storage::{
    Batch, Crash, Durability, EmbeddedEngine, EmbeddedOptions, Engine, FaultDisk, FaultEngine,
    Fence, Key, ShardNo, key, record::WorkerRecord,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

const DAY: Duration = Duration::from_secs(86_400);
const MS: Duration = Duration::from_millis(1);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the system's clock says when it is right. A manual clock does not run backwards either, so
/// it is set to later times only.
fn right() -> SystemTime {
    Clock::manual().now() + 10 * DAY
}

/// Counts how often it was reminded.
#[derive(Default, Serialize, Deserialize)]
struct Sleeper(u32);

impl VirtualActor for Sleeper {
    const KIND: &'static str = "sleeper";

    async fn on_reminder(&mut self, _: &Reminder, turn: &mut Turn<'_, Self>) {
        self.0 += 1;
        turn.save();
    }
}

/// Be reminded after so long, if it is said; answers how often it was.
struct Remind(Option<Duration>);

impl Request for Remind {
    type Reply = u32;
}

impl Handler<Remind> for Sleeper {
    async fn handle(&mut self, Remind(after): Remind, turn: &mut Turn<'_, Self>) -> u32 {
        if let Some(after) = after {
            turn.remind("wake", turn.now() + after).unwrap();
        }
        self.0
    }
}

/// A node whose machine may be restarted with another time of day.
struct Machine {
    node: Node,
    clock: Clock,
    engine: Arc<FaultEngine>,
}

impl Machine {
    fn start(disk: &FaultDisk, wall: SystemTime) -> Self {
        let clock = Clock::manual();
        clock.set_wall(wall);
        let engine = Arc::new(FaultEngine::open(disk, FaultEngine::options()).unwrap());
        let builder = Node::builder().clock(clock.clone()).without_duties();
        let node = builder.start(Arc::clone(&engine) as Arc<dyn Engine>).unwrap();
        node.register::<Sleeper>().unwrap();
        Self { node, clock, engine }
    }

    /// Kills the node and starts it when the system's clock says this.
    fn killed_until(self, wall: SystemTime) -> Self {
        let disk = self.engine.disk().crash(Crash::Kill);
        drop(self);
        Self::start(&disk, wall)
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.node.settle_duties().await.unwrap();
    }

    fn commits(&self) -> u64 {
        self.engine.status().commits
    }

    /// A lease of 30 s, a delay of 5 s, a permit for 20 s and who waits for it at most 15 s, a key
    /// that is remembered for 25 s, and a reminder in 10 s.
    async fn arm(&self) {
        let queue = self.node.queue("leased");
        queue.push(json!({ "n": 1 })).await.unwrap();
        queue.lease(1).ttl(s(30)).await.unwrap().remove(0).detach();
        self.node.queue("delayed").push(json!({ "n": 2 })).delay(s(5)).await.unwrap();
        let config = QueueConfig { dedup_window: Some(s(25)), ..QueueConfig::default() };
        self.node.queue("once").configure(config).await.unwrap();
        self.node.queue("once").push(json!({ "n": 3 })).key("key").await.unwrap();
        let gate = self.node.gate("gate");
        let policy = GatePolicy { max_concurrent: Some(1), ..GatePolicy::default() };
        gate.set_policy(policy).await.unwrap();
        gate.acquire("holder").ttl(s(20)).await.unwrap();
        gate.acquire("waiter").timeout(s(15)).ticket().await.unwrap();
        self.node.actor::<Sleeper>("a").ask(Remind(Some(s(10)))).await.unwrap();
    }

    /// What has happened of that: the lease ended, the delay, the permit, the wait, the memory of
    /// the key, and the reminder came.
    async fn happened(&self) -> [bool; 6] {
        let leased = self.node.queue("leased").stats().await.unwrap().leased;
        let ready = self.node.queue("delayed").stats().await.unwrap().ready;
        let gate = self.node.gate_totals();
        let once = self.node.queue("once");
        once.push(json!({ "n": 3 })).key("key").await.unwrap();
        let reminded = self.node.actor::<Sleeper>("a").ask(Remind(None)).await.unwrap();
        [
            leased == 0,
            ready == 1,
            gate.expired_total == 1,
            gate.timed_out_total == 1,
            once.stats().await.unwrap().ready == 2,
            reminded == 1,
        ]
    }
}

/// Fails unless each thing happens at its millisecond, `gone` after it was armed.
async fn happens_in_time(machine: &Machine, gone: Duration) {
    let order = [(5, 1), (10, 5), (15, 3), (20, 2), (25, 4), (30, 0)];
    let (mut expected, mut now) = ([false; 6], gone);
    for (due, what) in order {
        machine.advance(s(due) - MS - now).await;
        assert_eq!(machine.happened().await, expected, "just before {due} s");
        machine.advance(MS).await;
        now = s(due);
        expected[what] = true;
        assert_eq!(machine.happened().await, expected, "at {due} s");
    }
}

#[tokio::test]
async fn a_clock_corrected_over_a_restart_leaves_everything_the_time_that_was_left() {
    let right = right();
    let machine = Machine::start(&FaultDisk::new(3), right + DAY);
    machine.arm().await;
    machine.advance(s(2)).await;
    // What is committed says how late it is.
    machine.node.queue("other").push(json!({ "n": 0 })).await.unwrap();
    let machine = machine.killed_until(right + s(3));
    assert_eq!(machine.node.status().clock_ahead, DAY - s(1));
    assert_eq!(machine.clock.now(), right + DAY + s(2));
    happens_in_time(&machine, s(2)).await;
    // The system's clock catches up.
    machine.clock.set_wall(right + DAY * 2);
    assert_eq!(machine.clock.now(), right + DAY * 2);
    assert_eq!(machine.node.status().clock_ahead, Duration::ZERO);
    let report = machine.engine.disk().crash(Crash::Kill).check().unwrap();
    assert!(report.is_sound(), "{report}");
}

#[tokio::test]
async fn what_was_committed_a_moment_before_the_kill_says_how_late_it_was() {
    let right = right();
    let machine = Machine::start(&FaultDisk::new(4), right);
    machine.node.queue("q").push(json!({ "n": 0 })).await.unwrap();
    machine.clock.set_wall(right + DAY);
    machine.arm().await;
    let machine = machine.killed_until(right);
    happens_in_time(&machine, Duration::ZERO).await;
}

#[tokio::test]
async fn time_goes_on_over_many_restarts_and_an_ordered_end() {
    let right = right();
    let machine = Machine::start(&FaultDisk::new(5), right + DAY);
    machine.arm().await;
    machine.advance(s(4)).await;
    // Nothing was committed since, but an ordered end tells how late it is.
    machine.node.shutdown(s(1)).await.unwrap();
    let machine = machine.killed_until(right);
    let machine = machine.killed_until(right - DAY);
    happens_in_time(&machine, s(4)).await;
}

#[tokio::test]
async fn a_clock_that_is_behind_by_a_little_or_ahead_is_followed() {
    let right = right();
    let machine = Machine::start(&FaultDisk::new(6), right);
    machine.node.queue("q").push(json!({ "n": 0 })).await.unwrap();
    let machine = machine.killed_until(right - s(2));
    assert_eq!(machine.clock.now(), right - s(2));
    assert_eq!(machine.node.status().clock_ahead, Duration::ZERO);
    let machine = machine.killed_until(right + s(60));
    assert_eq!(machine.clock.now(), right + s(60));
    // A node that is idle says nothing.
    let commits = machine.commits();
    for _ in 0..5 {
        machine.advance(s(60)).await;
    }
    assert_eq!(machine.commits(), commits);
}

#[tokio::test]
async fn no_worker_was_seen_in_the_future() {
    let engine = Arc::new(FaultEngine::new(7));
    let clock = Clock::manual();
    let tomorrow_ms = clock.now_ms() + 86_400_000;
    let record = WorkerRecord {
        first_seen_at_ms: 1,
        last_seen_at_ms: tomorrow_ms,
        offline_since_ms: None,
        life: tomorrow_ms,
    };
    let mut batch = Batch::new();
    batch.put(key::worker("w"), record.encode());
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    engine.commit(fence, batch, Durability::Relaxed).unwrap();
    let builder = Node::builder().clock(clock.clone()).without_duties();
    let node = builder.start(engine as Arc<dyn Engine>).unwrap();
    let info = node.worker("w").status().await.unwrap();
    assert_eq!(info.last_seen_at, clock.now());
    assert_eq!(info.first_seen_at, SystemTime::UNIX_EPOCH + MS);
}

#[tokio::test]
async fn a_directory_without_a_stamp_was_not_written_before_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let open = || EmbeddedEngine::open(dir.path(), EmbeddedOptions::default()).unwrap();
    let engine = open();
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    let mut batch = Batch::new();
    batch.put(Key::from_bytes(b"\xff"), vec![7]);
    engine.commit(fence, batch, Durability::Durable).unwrap();
    engine.close().unwrap();
    drop(engine);
    let wrong = right() + 10 * DAY;
    for file in std::fs::read_dir(dir.path().join("journal")).unwrap() {
        let file = std::fs::File::options().write(true).open(file.unwrap().path()).unwrap();
        file.set_modified(wrong).unwrap();
    }
    let clock = Clock::manual();
    clock.set_wall(right());
    let start = |engine| Node::builder().clock(clock.clone()).without_duties().start(engine);
    let node = start(Arc::new(open())).unwrap();
    assert_eq!(clock.now(), wrong);
    // From the first commit on there is a stamp, whatever becomes of the files.
    node.queue("q").push(json!({})).await.unwrap();
    node.shutdown(s(60)).await.unwrap();
    clock.advance(s(5));
    assert_eq!(clock.now(), wrong + s(5));
}
