//! Letters between queues under load: none is left behind, none overtakes another.

use std::time::{Duration, Instant};

use lanekeeper_actors::{
    Node,
    queue::{NackOptions, Queue, QueueConfig},
};
use serde_json::{Value, json};

/// Messages that die in each queue, so many at a time.
const MESSAGES: u64 = 600;
const AT_ONCE: usize = 3;

/// How long dead letters may be on their way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has all messages of a queue die, one after the other.
async fn let_die(queue: Queue) {
    let config = QueueConfig { max_deliveries: Some(1), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    for first in (0..MESSAGES).step_by(AT_ONCE) {
        for n in first..first + AT_ONCE as u64 {
            queue.push(json!({ "n": n })).await.unwrap();
        }
        let leases = queue.lease(AT_ONCE).await.unwrap();
        let tokens: Vec<_> = leases.into_iter().map(|lease| lease.detach().1).collect();
        queue.nack(&tokens, NackOptions::default()).await.unwrap();
    }
}

/// What a dead-letter queue holds, in order, once it is all there.
async fn dead(queue: &Queue) -> Vec<u64> {
    let began = Instant::now();
    let mut dead = Vec::new();
    while (dead.len() as u64) < MESSAGES && began.elapsed() < PATIENCE {
        let popped = queue.pop(100).wait(Duration::from_millis(100)).await.unwrap();
        let items = popped.iter().map(|message| message.item.parse::<Value>().unwrap());
        dead.extend(items.map(|item| item["n"].as_u64().unwrap()));
    }
    dead
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dead_letters_of_many_queues_all_arrive_and_in_order() {
    let node = Node::in_memory();
    let queues: Vec<_> = (0..8).map(|n| node.queue(&format!("q{n}"))).collect();
    let dying: Vec<_> = queues.iter().map(|queue| tokio::spawn(let_die(queue.clone()))).collect();
    for queue in dying {
        queue.await.unwrap();
    }
    for queue in &queues {
        let dead = dead(&node.queue(&format!("{}-deadletter", queue.id()))).await;
        assert!(dead.is_sorted(), "{}: {dead:?}", queue.id());
        assert_eq!(dead.len() as u64, MESSAGES, "{}", queue.id());
    }
}
