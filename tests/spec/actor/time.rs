//! Timers are turns and die with the activation; reminders are durable and wake the actor.

use lanekeeper_storage::FaultEngine;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use lanekeeper_actors::{Clock, Event, Handler, Node, Reminder, Request, Turn, VirtualActor};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Writes down what it is woken by.
#[derive(Default, Serialize, Deserialize)]
struct Sleeper {
    log: Vec<String>,
}

impl VirtualActor for Sleeper {
    const KIND: &'static str = "sleeper";

    async fn on_reminder(&mut self, reminder: &Reminder, turn: &mut Turn<'_, Self>) {
        let due = reminder.due.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        self.log.push(format!("{}@{}", reminder.name, due % 1_000_000));
        turn.save();
    }
}

#[derive(Clone)]
enum Command {
    Timer(&'static str, u64),
    Every(&'static str, u64),
    CancelTimer(&'static str),
    Remind(&'static str, u64),
    RemindEvery(&'static str, u64),
    CancelReminder(&'static str),
    Log,
}

/// Begins, waits, and cancels both timer and reminder of the name.
struct CancelLate {
    name: &'static str,
    began: Arc<Notify>,
    go: Arc<Notify>,
}

impl Request for CancelLate {
    type Reply = (bool, bool);
}

impl Handler<CancelLate> for Sleeper {
    async fn handle(&mut self, late: CancelLate, turn: &mut Turn<'_, Self>) -> (bool, bool) {
        late.began.notify_one();
        late.go.notified().await;
        (turn.cancel_timer(late.name), turn.cancel_reminder(late.name).unwrap())
    }
}

#[derive(Clone)]
struct Ring(&'static str);

impl Request for Command {
    type Reply = Vec<String>;
}

impl Request for Ring {
    type Reply = ();
}

impl Handler<Ring> for Sleeper {
    async fn handle(&mut self, Ring(name): Ring, _turn: &mut Turn<'_, Self>) {
        self.log.push(name.to_owned());
    }
}

impl Handler<Command> for Sleeper {
    async fn handle(&mut self, command: Command, turn: &mut Turn<'_, Self>) -> Vec<String> {
        let ms = Duration::from_millis;
        match command {
            Command::Timer(name, after) => turn.timer(name, ms(after), Ring(name)),
            Command::Every(name, period) => turn.timer_every(name, ms(period), Ring(name)),
            Command::CancelTimer(name) => assert!(turn.cancel_timer(name)),
            Command::Remind(name, after) => turn.remind(name, turn.now() + ms(after)).unwrap(),
            Command::RemindEvery(name, period) => {
                turn.remind_every(name, turn.now() + ms(period), ms(period)).unwrap();
            }
            Command::CancelReminder(name) => assert!(turn.cancel_reminder(name).unwrap()),
            Command::Log => {}
        }
        self.log.clone()
    }
}

struct Setup {
    clock: Clock,
    node: Node,
}

impl Setup {
    async fn new() -> Self {
        let clock = Clock::manual();
        let builder = Node::builder().clock(clock.clone()).without_duties();
        let node = builder.open().await.unwrap();
        Self { clock, node }
    }

    async fn command(&self, command: Command) -> Vec<String> {
        self.node.actor::<Sleeper>("s").ask(command).await.unwrap()
    }

    async fn advance(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        self.node.run_duties().await.unwrap();
    }
}

#[tokio::test]
async fn a_timer_fires_once_when_it_is_due_and_not_before() {
    let setup = Setup::new().await;
    setup.command(Command::Timer("t", 100)).await;
    setup.advance(99).await;
    assert!(setup.command(Command::Log).await.is_empty());
    setup.advance(1).await;
    assert_eq!(setup.command(Command::Log).await, ["t"]);
    setup.advance(1_000).await;
    assert_eq!(setup.command(Command::Log).await, ["t"]);
}

#[tokio::test]
async fn a_timer_of_the_same_name_replaces_and_a_cancelled_one_is_silent() {
    let setup = Setup::new().await;
    setup.command(Command::Timer("t", 100)).await;
    setup.command(Command::Timer("t", 300)).await;
    setup.command(Command::Timer("u", 100)).await;
    setup.command(Command::CancelTimer("u")).await;
    assert_eq!(setup.node.armed_timers().len(), 1);
    setup.advance(200).await;
    assert!(setup.command(Command::Log).await.is_empty());
    setup.advance(100).await;
    assert_eq!(setup.command(Command::Log).await, ["t"]);
}

#[tokio::test]
async fn a_repeating_timer_fires_until_its_activation_is_put_away() {
    let setup = Setup::new().await;
    setup.command(Command::Every("t", 100)).await;
    for _ in 0..3 {
        setup.advance(100).await;
    }
    assert_eq!(setup.command(Command::Log).await, ["t", "t", "t"]);
    setup.node.actor::<Sleeper>("s").passivate().await;
    assert!(setup.node.armed_timers().is_empty());
    setup.advance(1_000).await;
    assert_eq!(setup.node.status().activations, 0, "a timer wakes nobody");
}

#[tokio::test]
async fn a_reminder_wakes_its_actor_and_says_what_it_was_due_for() {
    let setup = Setup::new().await;
    let mut events = setup.node.events();
    setup.command(Command::Remind("r", 1_500)).await;
    setup.node.actor::<Sleeper>("s").passivate().await;
    setup.advance(1_499).await;
    assert_eq!(setup.node.status().activations, 0);
    setup.advance(1).await;
    events.until(|event| matches!(event, Event::ReminderFired { .. })).await.unwrap();
    let due = setup.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(setup.command(Command::Log).await, [format!("r@{}", due % 1_000_000)]);
    setup.advance(10_000).await;
    assert_eq!(setup.command(Command::Log).await.len(), 1, "it is told once");
}

#[tokio::test]
async fn a_cancelled_or_moved_reminder_is_not_told_at_its_old_time() {
    let setup = Setup::new().await;
    let mut events = setup.node.events();
    setup.command(Command::Remind("gone", 100)).await;
    setup.command(Command::CancelReminder("gone")).await;
    setup.command(Command::Remind("moved", 100)).await;
    setup.command(Command::Remind("moved", 500)).await;
    setup.advance(400).await;
    assert!(setup.command(Command::Log).await.is_empty());
    setup.advance(100).await;
    events.until(|event| matches!(event, Event::ReminderFired { .. })).await.unwrap();
    assert_eq!(setup.command(Command::Log).await.len(), 1);
}

#[tokio::test]
async fn what_was_due_during_a_turn_that_cancels_it_is_not_told() {
    let setup = Setup::new().await;
    setup.command(Command::Timer("n", 100)).await;
    setup.command(Command::Remind("n", 100)).await;
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let late = CancelLate { name: "n", began: Arc::clone(&began), go: Arc::clone(&go) };
    let sleeper = setup.node.actor::<Sleeper>("s");
    let running = tokio::spawn(async move { sleeper.ask(late).await.unwrap() });
    began.notified().await;
    let mut events = setup.node.events();
    setup.advance(100).await;
    go.notify_one();
    assert_eq!(running.await.unwrap(), (true, true));
    events.until(|event| matches!(event, Event::ReminderFired { .. })).await.unwrap();
    assert!(setup.command(Command::Log).await.is_empty());
}

#[tokio::test]
async fn a_repeating_reminder_comes_again_and_tells_missed_times_once() {
    let setup = Setup::new().await;
    let mut events = setup.node.events();
    setup.command(Command::RemindEvery("r", 100)).await;
    for (step, count) in [(100, 1), (100, 2), (1_050, 3), (50, 4)] {
        setup.advance(step).await;
        events.until(|event| matches!(event, Event::ReminderFired { .. })).await.unwrap();
        assert_eq!(setup.command(Command::Log).await.len(), count);
    }
}

#[tokio::test]
async fn a_reminder_survives_a_crash_of_the_node() {
    let engine = Arc::new(FaultEngine::new(1));
    let clock = Clock::manual();
    let start = || Node::builder().clock(clock.clone()).start(Arc::clone(&engine) as _).unwrap();
    let node = start();
    node.actor::<Sleeper>("s").ask(Command::Remind("r", 1_000)).await.unwrap();
    drop(node);
    clock.advance(Duration::from_secs(60));
    let node = start();
    let mut events = node.events();
    node.register::<Sleeper>().unwrap();
    events.until(|event| matches!(event, Event::ReminderFired { .. })).await.unwrap();
    assert_eq!(node.actor::<Sleeper>("s").ask(Command::Log).await.unwrap().len(), 1);
}
