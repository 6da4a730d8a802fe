//! Passivation: by idle time, by number, by memory; nothing lost, nothing run twice around it.

use std::{sync::Arc, time::Duration};

use lanekeeper_actors::{Clock, Event, Handler, Node, NodeBuilder, Request, Turn, VirtualActor};
use serde::{Deserialize, Serialize};

use crate::support::counter::{Add, Counter, Keep};

/// A node whose duties are done when the test says so, and at no other time.
fn by_hand(clock: &Clock) -> NodeBuilder {
    Node::builder().clock(clock.clone()).without_duties()
}

fn idle_after_a_minute(clock: &Clock) -> NodeBuilder {
    by_hand(clock).idle_timeout(Duration::from_secs(60))
}

#[tokio::test]
async fn an_idle_activation_is_put_away_after_the_timeout_and_not_before() {
    let clock = Clock::manual();
    let builder = idle_after_a_minute(&clock);
    let node = builder.open().await.unwrap();
    node.run_duties().await.unwrap();
    node.actor::<Counter>("c").ask(Keep(3)).await.unwrap();
    clock.advance(Duration::from_secs(59));
    node.run_duties().await.unwrap();
    assert_eq!(node.status().activations, 1);
    clock.advance(Duration::from_secs(3));
    node.run_duties().await.unwrap();
    assert_eq!(node.status().activations, 0);
    assert_eq!(node.actor::<Counter>("c").ask(Add(0)).await.unwrap(), 3);
}

#[tokio::test]
async fn a_used_activation_stays() {
    let clock = Clock::manual();
    let builder = idle_after_a_minute(&clock);
    let node = builder.open().await.unwrap();
    for _ in 0..10 {
        node.actor::<Counter>("c").ask(Add(1)).await.unwrap();
        clock.advance(Duration::from_secs(50));
        node.run_duties().await.unwrap();
    }
    assert_eq!(node.status().activated_total, 1);
}

#[tokio::test]
async fn the_longest_idle_go_when_there_are_too_many() {
    let clock = Clock::manual();
    let builder = by_hand(&clock).activations_max(10);
    let node = builder.open().await.unwrap();
    for n in 0..30 {
        node.actor::<Counter>(&n.to_string()).ask(Keep(n)).await.unwrap();
        clock.advance(Duration::from_millis(1));
        node.run_duties().await.unwrap();
    }
    assert_eq!(node.status().activations, 10);
    for n in 20..30 {
        node.actor::<Counter>(&n.to_string()).ask(Add(0)).await.unwrap();
    }
    assert_eq!(node.status().activated_total, 30, "the last ten were still there");
    assert_eq!(node.actor::<Counter>("5").ask(Add(0)).await.unwrap(), 5);
}

#[tokio::test]
async fn the_longest_idle_go_when_they_hold_too_much_memory() {
    #[derive(Default, Serialize, Deserialize)]
    struct Big;
    impl VirtualActor for Big {
        const KIND: &'static str = "big";
        fn memory_bytes(&self) -> usize {
            1_000_000
        }
    }
    impl Handler<Add> for Big {
        async fn handle(&mut self, Add(n): Add, _turn: &mut Turn<'_, Self>) -> u64 {
            n
        }
    }
    let clock = Clock::manual();
    let builder = by_hand(&clock).memory_max_bytes(5_500_000);
    let node = builder.open().await.unwrap();
    for n in 0..20 {
        node.actor::<Big>(&n.to_string()).ask(Add(n)).await.unwrap();
        clock.advance(Duration::from_millis(1));
        node.run_duties().await.unwrap();
    }
    assert_eq!(node.status().activations, 5);
}

/// Keeps what each caller sent, and is slow to come and go.
#[derive(Default, Serialize, Deserialize)]
struct Slow {
    seen: Vec<(u32, u32)>,
}

impl VirtualActor for Slow {
    const KIND: &'static str = "slow";

    async fn on_activate(&mut self, _turn: &mut Turn<'_, Self>) -> Result<(), String> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn on_passivate(&mut self, _turn: &mut Turn<'_, Self>) {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }
}

struct Send {
    caller: u32,
    number: u32,
}

impl Request for Send {
    type Reply = ();
}

struct Seen;

impl Request for Seen {
    type Reply = Vec<(u32, u32)>;
}

impl Handler<Send> for Slow {
    async fn handle(&mut self, Send { caller, number }: Send, turn: &mut Turn<'_, Self>) {
        if number % 3 == 0 {
            tokio::task::yield_now().await;
        }
        self.seen.push((caller, number));
        turn.save();
    }
}

impl Handler<Seen> for Slow {
    async fn handle(&mut self, _: Seen, _turn: &mut Turn<'_, Self>) -> Vec<(u32, u32)> {
        self.seen.clone()
    }
}

const CALLERS: u32 = 64;
const ACTORS: u32 = 1_000;
const ASKS: u32 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_fire_no_ask_is_lost_or_doubled_and_each_caller_keeps_its_order() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(41);
    println!("SEED={seed}");
    let node = Node::builder().idle_timeout(Duration::from_millis(1)).open().await.unwrap();
    let node = Arc::new(node);
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let node = Arc::clone(&node);
            let mut random = fastrand::Rng::with_seed(seed + u64::from(caller));
            tokio::spawn(async move {
                let mut sent = Vec::new();
                for number in 0..ASKS {
                    let actor = random.u32(0..ACTORS);
                    let asked = node.actor::<Slow>(&actor.to_string());
                    asked.ask(Send { caller, number }).await.expect("no ask fails");
                    sent.push((actor, (caller, number)));
                }
                sent
            })
        })
        .collect();
    let mut sent = vec![Vec::new(); ACTORS as usize];
    for task in tasks {
        for (actor, request) in task.await.unwrap() {
            sent[actor as usize].push(request);
        }
    }
    assert!(node.status().passivated_total > 0, "nothing was ever put away");
    for (actor, sent) in sent.iter_mut().enumerate() {
        let mut seen = node.actor::<Slow>(&actor.to_string()).ask(Seen).await.unwrap();
        // A stable sort by caller keeps each caller's order as the actor saw it.
        seen.sort_by_key(|(caller, _)| *caller);
        sent.sort_unstable();
        assert_eq!(seen, *sent, "actor {actor}");
    }
}

#[tokio::test]
async fn events_tell_each_coming_and_going() {
    let node = Node::in_memory();
    let mut events = node.events();
    let counter = node.actor::<Counter>("c");
    counter.ask(Keep(1)).await.unwrap();
    counter.passivate().await;
    let mut told = Vec::new();
    while told.len() < 4 {
        told.push(match events.next().await.unwrap() {
            Event::Activated { .. } => "activated",
            Event::Commit { .. } => "commit",
            Event::Turn { .. } => "turn",
            Event::Passivated { .. } => "passivated",
            _ => continue,
        });
    }
    assert_eq!(told, ["activated", "commit", "turn", "passivated"]);
}
