//! Queues that enter memory and leave it: everything they keep is in one place, and nothing that is
//! not there any more keeps a node busy.

use std::{sync::Arc, time::Duration};

use lanekeeper_actors::{
    Clock, Durability, Node,
    queue::{LeaseError, NewMessage, Queue, QueueConfig, QueueError, Redrive},
};
use lanekeeper_storage::{Crash, Engine, FaultDisk, FaultEngine, key};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    node::settling,
    process::{Serving, lanekeeper, run},
};

/// A node on a disk that can be crashed, on a manual clock.
struct Disk {
    disk: FaultDisk,
    clock: Clock,
    engine: Arc<FaultEngine>,
    node: Node,
}

impl Disk {
    fn new() -> Self {
        Self::open(FaultDisk::new(7), Clock::manual())
    }

    fn open(disk: FaultDisk, clock: Clock) -> Self {
        let engine = Arc::new(FaultEngine::open(&disk, FaultEngine::options()).unwrap());
        let node = Node::builder().clock(clock.clone()).without_duties();
        let node = node.start(Arc::clone(&engine) as Arc<dyn Engine>).unwrap();
        Self { disk, clock, engine, node }
    }

    fn queue(&self) -> Queue {
        self.node.queue("q")
    }

    async fn restart(self) -> Self {
        self.node.shutdown(Duration::from_secs(60)).await.unwrap();
        Self::open(self.disk, self.clock)
    }

    fn crash(self) -> Self {
        Self::open(self.disk.crash(Crash::Kill), self.clock)
    }

    /// Does what is due until nothing is; fails if there is no end to that.
    async fn come_to_rest(&self) {
        for _ in 0..20 {
            let turns = self.node.status().turns_total;
            self.node.settle_duties().await.unwrap();
            if self.node.status().turns_total == turns {
                return;
            }
        }
        panic!("it goes on and on");
    }

    #[track_caller]
    fn check(&self) {
        let report = self.disk.check().unwrap();
        assert!(report.is_sound(), "{report}");
    }
}

async fn push(queue: &Queue, delay_ms: u64, key: &str) {
    let message = NewMessage::new(json!({ "key": key })).unwrap();
    let message = message.delay(Duration::from_millis(delay_ms)).key(key);
    queue.push_all(vec![message]).await.unwrap();
}

async fn choose(queue: &Queue, durability: Durability) {
    let config = QueueConfig { durability: Some(durability), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
}

#[tokio::test]
async fn a_queue_that_entered_and_left_memory_has_nothing_in_two_places() {
    let mut disk = Disk::new();
    push(&disk.queue(), 4_000, "first").await;
    disk.queue().purge(None).await.unwrap();
    choose(&disk.queue(), Durability::Memory).await;
    disk.check();
    push(&disk.queue(), 2_500, "second").await;
    disk.queue().purge(None).await.unwrap();
    choose(&disk.queue(), Durability::Durable).await;
    disk.check();
    push(&disk.queue(), 1_000, "third").await;
    disk = disk.restart().await;
    disk.check();
    disk.clock.advance(Duration::from_secs(5));
    disk.come_to_rest().await;
    assert_eq!(disk.queue().stats().await.unwrap().ready, 1);
    disk.clock.advance(Duration::from_secs(400));
    disk.come_to_rest().await;
    disk = disk.restart().await;
    disk.check();
}

#[tokio::test]
async fn a_queue_takes_the_keys_it_remembers_along_into_memory_and_back() {
    let mut disk = Disk::new();
    push(&disk.queue(), 0, "a").await;
    disk.queue().pop(1).await.unwrap();
    choose(&disk.queue(), Durability::Memory).await;
    push(&disk.queue(), 0, "a").await;
    assert_eq!(disk.queue().stats().await.unwrap().ready, 0, "it is known");
    push(&disk.queue(), 0, "b").await;
    disk.queue().pop(1).await.unwrap();
    choose(&disk.queue(), Durability::Relaxed).await;
    disk = disk.restart().await;
    for key in ["a", "b"] {
        push(&disk.queue(), 0, key).await;
    }
    assert_eq!(disk.queue().stats().await.unwrap().ready, 0, "both are known");
    disk.clock.advance(Duration::from_secs(301));
    disk.come_to_rest().await;
    push(&disk.queue(), 0, "a").await;
    assert_eq!(disk.queue().stats().await.unwrap().ready, 1, "it is forgotten in the end");
    disk.check();
}

#[tokio::test]
async fn a_queue_in_memory_leaves_nothing_on_disk_but_itself() {
    let mut disk = Disk::new();
    push(&disk.queue(), 4_000, "first").await;
    disk.queue().purge(None).await.unwrap();
    choose(&disk.queue(), Durability::Memory).await;
    push(&disk.queue(), 0, "second").await;
    push(&disk.queue(), 9_000, "third").await;
    // What it refuses or admits is kept, what it holds is not.
    let config = QueueConfig { capacity: Some(9), ..disk.queue().config().await.unwrap() };
    disk.queue().configure(config).await.unwrap();
    disk = disk.crash();
    disk.check();
    let (stats, config) = (disk.queue().stats().await.unwrap(), disk.queue().config().await);
    assert_eq!((stats.ready, stats.scheduled, config.unwrap().capacity), (0, 0, Some(9)));
    // And it wakes in time for what comes.
    push(&disk.queue(), 1_000, "fourth").await;
    disk.clock.advance(Duration::from_secs(2));
    disk.come_to_rest().await;
    assert_eq!(disk.queue().stats().await.unwrap().ready, 1);
}

#[tokio::test]
async fn a_queue_in_memory_gives_no_id_twice_though_it_forgets_what_it_gave() {
    let mut node = Disk::new();
    choose(&node.queue(), Durability::Memory).await;
    let mut earlier = Vec::new();
    for round in 0..4 {
        let id = node.queue().push(json!({ "n": round })).await.unwrap();
        let leased = node.queue().lease(1).await.unwrap().remove(0);
        let token = leased.token();
        let (message, _) = leased.detach();
        assert_eq!(message.id, id);
        for (id, token) in &earlier {
            let found = node.queue().message(*id).await;
            assert!(matches!(found, Err(QueueError::MessageNotFound)), "{found:?}");
            let settled = node.queue().ack(&[*token]).await.unwrap();
            assert_eq!(settled.failed, [(*token, LeaseError::NotFound)]);
        }
        earlier.push((id, token));
        node = if round % 2 == 0 { node.crash() } else { node.restart().await };
    }
}

#[tokio::test]
async fn a_letter_that_a_queue_in_memory_took_does_not_come_back() {
    let mut disk = Disk::new();
    choose(&disk.queue(), Durability::Memory).await;
    push(&disk.queue(), 0, "x").await;
    let token = disk.queue().lease(1).await.unwrap().remove(0).detach().1;
    let queue = disk.queue();
    settling(&disk.node, queue.dead_letter(&[token], "broken")).await.unwrap();
    assert_eq!(settling(&disk.node, queue.redrive(Redrive::All)).await.unwrap(), 1);
    assert_eq!(queue.pop(1).await.unwrap().len(), 1);
    drop(queue);
    disk = disk.crash();
    disk.come_to_rest().await;
    assert_eq!(disk.queue().pop(1).await.unwrap(), []);
    disk.check();
}

#[tokio::test]
async fn a_reminder_that_leads_nowhere_is_removed() {
    let disk = Disk::new();
    push(&disk.queue(), 4_000, "first").await;
    let now_ms = disk.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let due = key::reminder(now_ms + 4_000, "queue", "q", "due");
    let record = disk.engine.get(&due).unwrap().expect("it is set");
    // As an earlier version left it: found by its time, and not by its name.
    let mut batch = lanekeeper_storage::Batch::new();
    batch.put(key::reminder(now_ms + 1_000, "queue", "q", "due"), record);
    let fence = lanekeeper_storage::Fence {
        shard: lanekeeper_storage::ShardNo(1_024),
        epoch: disk.engine.claim(lanekeeper_storage::ShardNo(1_024)).unwrap(),
    };
    disk.engine.commit(fence, batch, Durability::Durable).unwrap();
    disk.clock.advance(Duration::from_secs(9));
    disk.come_to_rest().await;
    assert_eq!(disk.queue().stats().await.unwrap().ready, 1);
    let disk = disk.restart().await;
    disk.check();
}

fn end(server: Serving) -> Option<i32> {
    server.signal(Signal::TERM);
    server.wait().code
}

/// The sum of the samples of a metric.
fn metric(server: &Serving, name: &str) -> f64 {
    let text = ureq::get(format!("{}/metrics", server.url)).call().unwrap();
    let text = text.into_body().read_to_string().unwrap();
    let samples = text.lines().filter(|line| line.starts_with(name));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn an_idle_server_does_nothing_after_a_queue_left_memory() {
    let dir = tempfile::tempdir().unwrap();
    let serve = || {
        let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(dir.path());
        Serving::start(command)
    };
    let server = serve();
    let url = server.url.clone();
    let post = |verb: &str, body: serde_json::Value| {
        ureq::post(format!("{url}/queue/q/{verb}")).send(body.to_string()).unwrap();
    };
    let configure = |durability: &str| {
        let body = json!({ "durability": durability }).to_string();
        ureq::put(format!("{url}/queue/q/config")).send(body).unwrap();
    };
    post("push", json!({ "item": {}, "delay_ms": 400 }));
    post("purge", json!({}));
    configure("memory");
    post("push", json!({ "item": {}, "delay_ms": 250 }));
    post("purge", json!({}));
    configure("durable");
    post("push", json!({ "item": {}, "delay_ms": 100 }));
    assert_eq!(end(server), Some(0));
    let server = serve();
    // The stale reminder is past once a message that was pushed later is ready.
    let body = json!({ "item": {}, "delay_ms": 400 }).to_string();
    ureq::post(format!("{}/queue/q/push", server.url)).send(body).unwrap();
    let popped =
        ureq::post(format!("{}/queue/q/pop?wait_ms=20000", server.url)).send_empty().unwrap();
    assert!(popped.into_body().read_to_string().unwrap().contains("\"count\":1"));
    let popped =
        ureq::post(format!("{}/queue/q/pop?wait_ms=20000", server.url)).send_empty().unwrap();
    assert!(popped.into_body().read_to_string().unwrap().contains("\"count\":1"));
    // What goes on and on has turns between any two requests.
    let mut turns = metric(&server, "lanekeeper_turns_total");
    for _ in 0..200 {
        let before = std::mem::replace(&mut turns, metric(&server, "lanekeeper_turns_total"));
        if before == turns {
            break;
        }
    }
    let later = (0..50).map(|_| metric(&server, "lanekeeper_turns_total")).next_back().unwrap();
    assert_eq!(later, turns, "turns that nobody asked for");
    assert_eq!(end(server), Some(0));
    run(lanekeeper([std::ffi::OsStr::new("check"), dir.path().as_os_str()])).ok();
}
