//! Turns: one at a time, in order, each request once or its sender is told.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lanekeeper_actors::{
    AskError, Clock, Event, Handler, Node, NotExecuted, ReplyHandle, Request, Turn, Unknown,
    VirtualActor,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};

use crate::support::counter::{Add, Counter, Panic};

/// An actor whose turns wait where the test wants them to.
#[derive(Default, Serialize, Deserialize)]
struct Waiter {
    #[serde(skip)]
    running: usize,
    #[serde(skip)]
    promises: VecDeque<ReplyHandle<u32>>,
}

impl VirtualActor for Waiter {
    const KIND: &'static str = "waiter";
}

/// Waits for a permit, having said that it began.
struct WaitFor {
    began: Arc<Notify>,
    permit: Arc<Semaphore>,
}

impl Request for WaitFor {
    type Reply = usize;
}

impl Handler<WaitFor> for Waiter {
    async fn handle(&mut self, request: WaitFor, _turn: &mut Turn<'_, Self>) -> usize {
        self.running += 1;
        request.began.notify_one();
        request.permit.acquire().await.expect("it is never closed").forget();
        self.running -= 1;
        self.running
    }
}

fn wait_for() -> (WaitFor, Arc<Notify>, Arc<Semaphore>) {
    let (began, permit) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    (WaitFor { began: Arc::clone(&began), permit: Arc::clone(&permit) }, began, permit)
}

#[tokio::test]
async fn a_reply_comes_from_the_state_the_last_turn_left() {
    let node = Node::in_memory();
    let counter = node.actor::<Counter>("visits");
    assert_eq!(counter.ask(Add(2)).await.unwrap(), 2);
    assert_eq!(counter.ask(Add(3)).await.unwrap(), 5);
    assert_eq!(node.actor::<Counter>("others").ask(Add(1)).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_runs_alone_and_other_actors_run_meanwhile() {
    let node = Node::in_memory();
    let (first, began, permit) = wait_for();
    let waiter = node.actor::<Waiter>("w");
    let running = tokio::spawn({
        let waiter = waiter.clone();
        async move { waiter.ask(first).await }
    });
    began.notified().await;
    assert_eq!(node.actor::<Counter>("c").ask(Add(1)).await.unwrap(), 1);
    let (second, second_began, second_permit) = wait_for();
    let waiting = tokio::spawn(async move { waiter.ask(second).await });
    permit.add_permits(1);
    assert_eq!(running.await.unwrap().unwrap(), 0);
    second_began.notified().await;
    second_permit.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap(), 0, "no two turns ran at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_caller_run_in_the_order_they_were_sent() {
    #[derive(Default, Serialize, Deserialize)]
    struct Log(Vec<u32>);
    impl VirtualActor for Log {
        const KIND: &'static str = "log";
    }
    struct Write(u32);
    impl Request for Write {
        type Reply = Vec<u32>;
    }
    impl Handler<Write> for Log {
        async fn handle(&mut self, Write(n): Write, _turn: &mut Turn<'_, Self>) -> Vec<u32> {
            tokio::task::yield_now().await;
            self.0.push(n);
            self.0.clone()
        }
    }
    let node = Node::in_memory();
    let log = node.actor::<Log>("l");
    for n in 0..100 {
        log.tell(Write(n)).unwrap();
    }
    assert_eq!(log.ask(Write(100)).await.unwrap(), (0..=100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_first_touch_by_64_callers_activates_once() {
    let node = Node::in_memory();
    let mut events = node.events();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let counter = node.actor::<Counter>("one");
            tokio::spawn(async move { counter.ask(Add(1)).await.unwrap() })
        })
        .collect();
    let mut replies = Vec::new();
    for task in tasks {
        replies.push(task.await.unwrap());
    }
    replies.sort_unstable();
    assert_eq!(replies, (1..=64).collect::<Vec<_>>());
    node.shutdown(Duration::from_secs(10)).await.unwrap();
    let mut activations = 0;
    loop {
        match events.next().await.unwrap() {
            Event::Activated { .. } => activations += 1,
            Event::Stopped { .. } => break,
            _ => {}
        }
    }
    assert_eq!(activations, 1);
}

#[tokio::test]
async fn a_full_mailbox_answers_overloaded() {
    let node = Node::builder().mailbox_max(1).open().await.unwrap();
    let waiter = node.actor::<Waiter>("w");
    let (first, began, permit) = wait_for();
    let mut running = Box::pin(tokio::spawn({
        let waiter = waiter.clone();
        async move { waiter.ask(first).await }
    }));
    began.notified().await;
    let (second, ..) = wait_for();
    waiter.tell(second).unwrap();
    let (third, ..) = wait_for();
    let refused = waiter.tell(third).unwrap_err();
    assert!(matches!(refused, NotExecuted::Overloaded { waiting_max: 1, .. }), "{refused}");
    permit.add_permits(1);
    running.as_mut().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_deadline_before_the_start_withdraws_the_request() {
    let clock = Clock::manual();
    let node = Node::builder().clock(clock.clone()).open().await.unwrap();
    let waiter = node.actor::<Waiter>("w");
    let (first, began, permit) = wait_for();
    let running = tokio::spawn({
        let waiter = waiter.clone();
        async move { waiter.ask(first).await }
    });
    began.notified().await;
    let (late, late_began, _) = wait_for();
    let mut late = Box::pin(async { waiter.ask(late).deadline(Duration::from_secs(1)).await });
    tokio::select! {
        biased;
        _ = &mut late => panic!("it cannot be ready"),
        () = tokio::task::yield_now() => {}
    }
    clock.advance(Duration::from_secs(2));
    let error = late.await.unwrap_err();
    assert!(matches!(error, AskError::NotExecuted(NotExecuted::DeadlinePassed)), "{error}");
    permit.add_permits(1);
    running.await.unwrap().unwrap();
    let (next, _, next_permit) = wait_for();
    next_permit.add_permits(1);
    waiter.ask(next).await.unwrap();
    let unbegun = tokio::select! {
        biased;
        () = late_began.notified() => false,
        () = std::future::ready(()) => true,
    };
    assert!(unbegun, "a withdrawn request never runs");
}

#[tokio::test]
async fn a_deadline_after_the_start_leaves_the_outcome_unknown_and_the_turn_running() {
    let clock = Clock::manual();
    let node = Node::builder().clock(clock.clone()).open().await.unwrap();
    let waiter = node.actor::<Waiter>("w");
    let (request, began, permit) = wait_for();
    let mut asked = Box::pin(async { waiter.ask(request).deadline(Duration::from_secs(1)).await });
    tokio::select! {
        biased;
        _ = &mut asked => panic!("it cannot be ready"),
        () = began.notified() => {}
    }
    clock.advance(Duration::from_secs(2));
    let error = asked.await.unwrap_err();
    assert!(matches!(error, AskError::Unknown(Unknown::DeadlinePassed)), "{error}");
    permit.add_permits(1);
    let (next, _, next_permit) = wait_for();
    next_permit.add_permits(1);
    assert_eq!(waiter.ask(next).await.unwrap(), 0, "the first turn ended");
}

#[tokio::test]
async fn a_turn_goes_on_when_its_asker_goes_away() {
    let node = Node::in_memory();
    let waiter = node.actor::<Waiter>("w");
    let (request, began, permit) = wait_for();
    let mut asked = Box::pin(async { waiter.ask(request).await });
    tokio::select! {
        biased;
        _ = &mut asked => panic!("it cannot be ready"),
        () = began.notified() => {}
    }
    drop(asked);
    permit.add_permits(1);
    let (next, _, next_permit) = wait_for();
    next_permit.add_permits(1);
    assert_eq!(waiter.ask(next).await.unwrap(), 0);
}

/// Asks the next of a ring or row of actors, and replies how many there were.
#[derive(Default, Serialize, Deserialize)]
struct Relay;

impl VirtualActor for Relay {
    const KIND: &'static str = "relay";
}

#[derive(Clone)]
struct Pass {
    to: VecDeque<String>,
}

impl Request for Pass {
    type Reply = Result<u32, AskError>;
}

impl Handler<Pass> for Relay {
    async fn handle(
        &mut self,
        Pass { mut to }: Pass,
        turn: &mut Turn<'_, Self>,
    ) -> Result<u32, AskError> {
        let Some(next) = to.pop_front() else { return Ok(1) };
        Ok(turn.actor::<Self>(&next).ask(Pass { to }).await?? + 1)
    }
}

#[tokio::test]
async fn a_call_cycle_is_refused_with_its_chain() {
    let node = Node::in_memory();
    let to = ["b", "c", "a"].map(String::from).into();
    let error = node.actor::<Relay>("a").ask(Pass { to }).await.unwrap().unwrap_err();
    let AskError::NotExecuted(NotExecuted::CallCycle { chain }) = error else { panic!("{error}") };
    let chain: Vec<_> = chain.iter().map(ToString::to_string).collect();
    assert_eq!(chain, ["relay/a", "relay/b", "relay/c", "relay/a"]);
}

#[tokio::test]
async fn a_long_row_of_calls_does_not_overflow_the_stack() {
    let node = Node::in_memory();
    let to = (0..2_000).map(|n| format!("r{n}")).collect();
    let count = node.actor::<Relay>("first").ask(Pass { to }).await.unwrap().unwrap();
    assert_eq!(count, 2_001);
}

#[tokio::test]
async fn a_panic_fails_its_request_and_drops_its_activation_alone() {
    let node = Node::in_memory();
    let (one, other) = (node.actor::<Counter>("one"), node.actor::<Counter>("other"));
    one.ask(Add(5)).await.unwrap();
    other.ask(Add(5)).await.unwrap();
    let error = one.ask(Panic).await.unwrap_err();
    assert!(matches!(error, AskError::Panicked), "{error}");
    assert_eq!(one.ask(Add(1)).await.unwrap(), 1, "a fresh activation, nothing was kept");
    assert_eq!(other.ask(Add(1)).await.unwrap(), 6);
    assert_eq!(node.status().panics_total, 1);
}

#[tokio::test]
async fn a_key_or_kind_that_cannot_be_is_refused_by_every_ask() {
    #[derive(Default, Serialize, Deserialize)]
    struct Impostor;
    impl VirtualActor for Impostor {
        const KIND: &'static str = "counter";
    }
    impl Handler<Add> for Impostor {
        async fn handle(&mut self, _: Add, _turn: &mut Turn<'_, Self>) -> u64 {
            0
        }
    }
    let node = Node::in_memory();
    let error = node.actor::<Counter>("a/b").ask(Add(1)).await.unwrap_err();
    assert!(matches!(error, AskError::NotExecuted(NotExecuted::InvalidId(_))), "{error}");
    let error = node.actor::<Impostor>("a").ask(Add(1)).await.unwrap_err();
    assert!(matches!(error, AskError::NotExecuted(NotExecuted::KindTaken { .. })), "{error}");
}

/// Replies in a later turn.
struct Later;
/// Gives the reply.
struct Now(u32);

impl Request for Later {
    type Reply = lanekeeper_actors::DeferredReply<u32>;
}

impl Request for Now {
    type Reply = bool;
}

impl Handler<Later> for Waiter {
    async fn handle(
        &mut self,
        _: Later,
        turn: &mut Turn<'_, Self>,
    ) -> lanekeeper_actors::DeferredReply<u32> {
        let (promise, deferred) = turn.defer();
        self.promises.push_back(promise);
        deferred
    }
}

impl Handler<Now> for Waiter {
    async fn handle(&mut self, Now(value): Now, turn: &mut Turn<'_, Self>) -> bool {
        match self.promises.pop_front() {
            Some(promise) if !promise.is_abandoned() => {
                turn.fulfil(promise, value);
                true
            }
            _ => false,
        }
    }
}

#[tokio::test]
async fn a_deferred_reply_is_given_by_a_later_turn() {
    let node = Node::in_memory();
    let waiter = node.actor::<Waiter>("w");
    let deferred = waiter.ask(Later).await.unwrap();
    assert!(waiter.ask(Now(7)).await.unwrap());
    assert_eq!(deferred.wait().await.unwrap(), 7);
    drop(waiter.ask(Later).await.unwrap());
    assert!(!waiter.ask(Now(8)).await.unwrap(), "an abandoned promise is told from a kept one");
}

#[tokio::test]
async fn an_activation_that_fails_tells_everyone_who_waits() {
    static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);
    #[derive(Default, Serialize, Deserialize)]
    struct Reluctant;
    impl VirtualActor for Reluctant {
        const KIND: &'static str = "reluctant";
        async fn on_activate(&mut self, _turn: &mut Turn<'_, Self>) -> Result<(), String> {
            tokio::task::yield_now().await;
            match ATTEMPTS.fetch_add(1, Ordering::Relaxed) {
                0 => Err("not today".to_owned()),
                _ => Ok(()),
            }
        }
    }
    impl Handler<Add> for Reluctant {
        async fn handle(&mut self, Add(n): Add, _turn: &mut Turn<'_, Self>) -> u64 {
            n
        }
    }
    let node = Node::in_memory();
    let actor = node.actor::<Reluctant>("r");
    let (first, second) =
        tokio::join!(async { actor.ask(Add(1)).await }, async { actor.ask(Add(2)).await });
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(error.to_string(), "not executed: the actor could not be activated: not today");
    }
    assert_eq!(actor.ask(Add(3)).await.unwrap(), 3, "the next ask tries anew");
}
