//! A manual clock in a user's own test: whoever moves it sees everything done that fell due.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lanekeeper::{
    Clock, Handler, Lanekeeper, Reminder, Request, Turn, VirtualActor,
    gate::{GateError, GatePolicy},
    json,
    queue::QueueConfig,
    worker::WorkerStatus,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Writes down what happens to it, and when, in seconds.
#[derive(Default, Serialize, Deserialize)]
struct Diary {
    lines: Vec<String>,
    ticks: u32,
}

impl Diary {
    fn note(&mut self, what: &str, turn: &Turn<'_, Self>) {
        let at = turn.clock().elapsed();
        self.lines.push(format!("{what}@{}", at.as_secs()));
    }
}

impl VirtualActor for Diary {
    const KIND: &'static str = "diary";

    async fn on_reminder(&mut self, reminder: &Reminder, turn: &mut Turn<'_, Self>) {
        self.note(&reminder.name, turn);
        turn.save();
    }
}

/// What a test has the actor do.
enum Do {
    Tick(Duration),
    Timer(&'static str, Duration),
    Remind(&'static str, Duration),
    RemindEvery(&'static str, Duration),
    /// A timer whose turn sleeps for so long by the clock, then writes its name.
    Doze(&'static str, Duration, Duration),
    /// A timer whose turn arms it anew for the same moment.
    Restless,
    Read,
}

impl Request for Do {
    type Reply = Vec<String>;
}

/// The turn of a timer.
#[derive(Clone)]
struct Ring(&'static str);

#[derive(Clone)]
struct Tick;

struct Doze(&'static str, Duration);

struct Restless;

impl Request for Ring {
    type Reply = ();
}

impl Request for Tick {
    type Reply = ();
}

impl Request for Doze {
    type Reply = ();
}

impl Request for Restless {
    type Reply = ();
}

impl Handler<Ring> for Diary {
    async fn handle(&mut self, Ring(name): Ring, turn: &mut Turn<'_, Self>) {
        // Not done at its first poll, as most turns are not.
        tokio::task::yield_now().await;
        self.note(name, turn);
    }
}

impl Handler<Tick> for Diary {
    async fn handle(&mut self, _: Tick, turn: &mut Turn<'_, Self>) {
        self.ticks += 1;
        self.note("tick", turn);
    }
}

impl Handler<Doze> for Diary {
    async fn handle(&mut self, Doze(name, span): Doze, turn: &mut Turn<'_, Self>) {
        turn.clock().sleep(span).await;
        self.note(name, turn);
    }
}

impl Handler<Restless> for Diary {
    async fn handle(&mut self, _: Restless, turn: &mut Turn<'_, Self>) {
        self.ticks += 1;
        turn.timer("restless", Duration::ZERO, Restless);
    }
}

impl Handler<Do> for Diary {
    async fn handle(&mut self, what: Do, turn: &mut Turn<'_, Self>) -> Vec<String> {
        let now = turn.now();
        match what {
            Do::Tick(period) => turn.timer_every("tick", period, Tick),
            Do::Timer(name, after) => turn.timer(name, after, Ring(name)),
            Do::Remind(name, after) => turn.remind(name, now + after).unwrap(),
            Do::RemindEvery(name, period) => {
                turn.remind_every(name, now + period, period).unwrap();
            }
            Do::Doze(name, after, span) => turn.timer(name, after, Doze(name, span)),
            Do::Restless => turn.timer("restless", Duration::ZERO, Restless),
            Do::Read => {}
        }
        std::mem::take(&mut self.lines)
    }
}

async fn node() -> Lanekeeper {
    Lanekeeper::builder().clock(Clock::manual()).open().await.unwrap()
}

async fn tell(node: &Lanekeeper, what: Do) -> Vec<String> {
    node.actor::<Diary>("d").ask(what).await.unwrap()
}

#[tokio::test]
async fn a_periodic_timer_ticks_once_for_each_period_that_the_clock_is_moved_by() {
    let node = node().await;
    tell(&node, Do::Tick(s(10))).await;
    for _ in 0..3 {
        node.advance(s(10)).await.unwrap();
    }
    assert_eq!(tell(&node, Do::Read).await, ["tick@10", "tick@20", "tick@30"]);
    node.advance(s(30)).await.unwrap();
    assert_eq!(tell(&node, Do::Read).await, ["tick@40", "tick@50", "tick@60"]);
    node.advance(s(9)).await.unwrap();
    assert!(tell(&node, Do::Read).await.is_empty());
}

#[tokio::test]
async fn a_timer_ticks_also_when_the_clock_alone_is_moved() {
    let node = node().await;
    tell(&node, Do::Tick(s(10))).await;
    (0..3).for_each(|_| node.clock().advance(s(10)));
    assert_eq!(tell(&node, Do::Read).await, ["tick@10", "tick@20", "tick@30"]);
    node.clock().advance(s(30));
    assert_eq!(tell(&node, Do::Read).await, ["tick@40", "tick@50", "tick@60"]);
}

#[tokio::test]
async fn what_falls_due_in_one_move_happens_in_the_order_of_its_moments() {
    let node = node().await;
    tell(&node, Do::Tick(s(10))).await;
    tell(&node, Do::Remind("reminder", s(15))).await;
    tell(&node, Do::RemindEvery("hourly", s(12))).await;
    tell(&node, Do::Timer("timer", s(18))).await;
    tell(&node, Do::Doze("doze", s(26), s(1))).await;
    node.advance(s(31)).await.unwrap();
    let expected = [
        "tick@10",
        "hourly@12",
        "reminder@15",
        "timer@18",
        "tick@20",
        "hourly@24",
        "doze@27",
        "tick@30",
    ];
    assert_eq!(tell(&node, Do::Read).await, expected);
}

#[tokio::test]
async fn a_reminder_wakes_its_actor_and_is_done_when_the_move_returns() {
    let node = node().await;
    tell(&node, Do::Remind("tomorrow", s(86_400))).await;
    assert!(node.actor::<Diary>("d").passivate().await);
    node.advance(s(86_399)).await.unwrap();
    assert!(tell(&node, Do::Read).await.is_empty());
    node.advance(s(1)).await.unwrap();
    assert_eq!(tell(&node, Do::Read).await, ["tomorrow@86400"]);
}

#[tokio::test]
async fn leases_delays_and_waits_end_with_the_clock() {
    let node = node().await;
    let orders = node.queue("orders");
    orders.push(json!({"n": 1})).await.unwrap();
    orders.push(json!({"n": 2})).delay(s(3_600)).await.unwrap();
    let lease = orders.lease(1).ttl(s(30)).await.unwrap().remove(0);
    node.advance(s(29)).await.unwrap();
    assert_eq!(orders.stats().await.unwrap().leased, 1);
    node.advance(s(1)).await.unwrap();
    let stats = orders.stats().await.unwrap();
    assert_eq!((stats.leased, stats.ready, stats.scheduled), (0, 1, 1));
    assert!(lease.ack().await.is_err());
    node.advance(s(3_570)).await.unwrap();
    assert_eq!(orders.stats().await.unwrap().ready, 2);
    // Who waits for a message is given one that falls due, and goes away when the time is up.
    orders.purge(None).await.unwrap();
    orders.push(json!({"n": 3})).delay(s(5)).await.unwrap();
    let (popped, moved) = tokio::join!(orders.pop(1).wait(s(10)), node.advance(s(5)));
    moved.unwrap();
    assert_eq!(popped.unwrap().len(), 1);
    let (popped, moved) = tokio::join!(orders.pop(1).wait(s(10)), node.advance(s(10)));
    moved.unwrap();
    assert!(popped.unwrap().is_empty());
}

#[tokio::test]
async fn messages_age_by_the_clock() {
    let node = node().await;
    let orders = node.queue("orders");
    let config = QueueConfig { aging: Some(s(60)), ..QueueConfig::default() };
    orders.configure(config).await.unwrap();
    orders.push(json!({"n": 1})).priority(3).await.unwrap();
    node.advance(s(121)).await.unwrap();
    orders.push(json!({"n": 2})).priority(2).await.unwrap();
    assert_eq!(orders.pop(1).await.unwrap()[0].item.as_str(), r#"{"n":1}"#);
}

#[tokio::test]
async fn a_gate_times_out_and_a_permit_ends_by_the_clock() {
    let node = node().await;
    let gate = node.gate("g");
    gate.set_policy(GatePolicy::concurrent(1)).await.unwrap();
    let held = gate.acquire("a").ttl(s(60)).await.unwrap();
    let waiting = async { gate.acquire("b").timeout(s(10)).await };
    let (refused, moved) = tokio::join!(waiting, node.advance(s(10)));
    moved.unwrap();
    assert!(matches!(refused, Err(GateError::TimedOut { .. })), "{refused:?}");
    node.advance(s(50)).await.unwrap();
    assert_eq!(gate.stats().await.unwrap().active_count, 0);
    drop(held);
}

#[tokio::test]
async fn a_silent_worker_is_found_offline_and_its_leases_return() {
    let node = node().await;
    node.worker("w").heartbeat().await.unwrap();
    let orders = node.queue("orders");
    orders.push(json!({})).await.unwrap();
    let leases = orders.lease(1).ttl(s(3_600)).worker("w").await.unwrap();
    node.advance(s(300)).await.unwrap();
    let worker = node.worker("w").status().await.unwrap();
    assert_eq!(worker.status, WorkerStatus::Offline);
    assert_eq!(orders.stats().await.unwrap().ready, 1);
    drop(leases);
}

#[tokio::test]
async fn an_idle_actor_is_passivated_by_the_clock_and_its_timers_end() {
    let builder = Lanekeeper::builder().clock(Clock::manual()).idle_timeout(s(60));
    let node = builder.open().await.unwrap();
    tell(&node, Do::Timer("late", s(3_600))).await;
    assert_eq!(node.status().activations, 1);
    node.advance(s(3_600)).await.unwrap();
    assert_eq!((node.status().activations, node.armed_timers().len()), (0, 0));
    assert!(tell(&node, Do::Read).await.is_empty());
}

#[tokio::test]
async fn a_timer_armed_for_now_again_and_again_holds_up_neither_the_clock_nor_the_others() {
    let node = node().await;
    tell(&node, Do::Restless).await;
    tell(&node, Do::Timer("other", s(5))).await;
    node.advance(s(10)).await.unwrap();
    assert_eq!(tell(&node, Do::Read).await, ["other@5"]);
    // Reminders are delivered by the same thread.
    tell(&node, Do::Remind("soon", Duration::ZERO)).await;
    let mut events = node.events();
    while tell(&node, Do::Read).await.is_empty() {
        let fired =
            |event: &lanekeeper::Event| matches!(event, lanekeeper::Event::ReminderFired { .. });
        if events.until(fired).await.is_err() {
            continue;
        }
    }
}

/// An actor whose timer's turn asks for something only the test has.
#[derive(Default, Serialize, Deserialize)]
struct Patient;

impl VirtualActor for Patient {
    const KIND: &'static str = "patient";
}

struct Arm(Arc<Notify>, Arc<Notify>);

struct Wait(Arc<Notify>, Arc<Notify>);

impl Request for Arm {
    type Reply = ();
}

impl Request for Wait {
    type Reply = ();
}

impl Handler<Arm> for Patient {
    async fn handle(&mut self, Arm(began, go): Arm, turn: &mut Turn<'_, Self>) {
        turn.timer("wait", s(1), Wait(began, go));
    }
}

impl Handler<Wait> for Patient {
    async fn handle(&mut self, Wait(began, go): Wait, _: &mut Turn<'_, Self>) {
        began.notify_one();
        go.notified().await;
    }
}

#[tokio::test]
async fn a_move_returns_when_the_turns_it_began_have_ended() {
    let node = node().await;
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let patient = node.actor::<Patient>("p");
    patient.ask(Arm(Arc::clone(&began), Arc::clone(&go))).await.unwrap();
    let moving = tokio::spawn({
        let node = node.clone();
        async move { node.advance(s(1)).await.unwrap() }
    });
    began.notified().await;
    assert!(!moving.is_finished());
    go.notify_one();
    moving.await.unwrap();
}

#[tokio::test]
#[should_panic(expected = "the system's clock cannot be moved")]
async fn the_clock_of_the_system_is_moved_by_nobody() {
    let node = Lanekeeper::in_memory();
    let _ = node.advance(s(1)).await;
}

#[tokio::test]
async fn several_actors_tick_in_the_order_of_time() {
    let node = node().await;
    for (key, period) in [("a", 3), ("b", 5)] {
        node.actor::<Diary>(key).ask(Do::Tick(s(period))).await.unwrap();
    }
    node.advance(s(300)).await.unwrap();
    let mut counts = BTreeMap::new();
    for key in ["a", "b"] {
        counts.insert(key, node.actor::<Diary>(key).ask(Do::Read).await.unwrap().len());
    }
    assert_eq!(counts, BTreeMap::from([("a", 100), ("b", 60)]));
}
