//! State: loaded before the first turn, saved with the turn that changed it, told when durable.

use lanekeeper_storage::{Failure, FaultEngine};
use std::{pin::pin, sync::Arc, task::Poll};

use futures_util::poll;
use lanekeeper_actors::{AskError, CommitError, Handler, Node, Request, Turn, VirtualActor};
use serde::{Deserialize, Serialize};

use crate::support::counter::{Add, Counter, Keep, Panic};

fn node_on(engine: &Arc<FaultEngine>) -> Node {
    Node::builder().start(Arc::clone(engine) as _).unwrap()
}

#[tokio::test]
async fn saved_state_survives_passivation_and_unsaved_does_not() {
    let node = Node::in_memory();
    let counter = node.actor::<Counter>("c");
    counter.ask(Keep(5)).await.unwrap();
    counter.ask(Add(90)).await.unwrap();
    assert!(counter.passivate().await);
    assert!(!counter.passivate().await, "there is nothing left to put away");
    assert_eq!(counter.ask(Add(1)).await.unwrap(), 6);
}

#[tokio::test]
async fn a_panic_keeps_nothing_of_its_turn() {
    let node = Node::in_memory();
    let counter = node.actor::<Counter>("c");
    counter.ask(Keep(5)).await.unwrap();
    counter.ask(Panic).await.unwrap_err();
    assert_eq!(counter.ask(Add(0)).await.unwrap(), 5);
}

#[tokio::test]
async fn a_reply_waits_until_its_turn_is_durable() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = node_on(&engine);
    let counter = node.actor::<Counter>("c");
    engine.hold_commits();
    let mut reply = pin!(async { counter.ask(Keep(1)).await });
    assert!(poll!(&mut reply).is_pending());
    engine.let_commits_go();
    assert!(matches!(poll!(&mut reply), Poll::Ready(Ok(1))));
}

#[tokio::test]
async fn turns_do_not_wait_for_the_disk_but_what_they_saw_does() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = node_on(&engine);
    let counter = node.actor::<Counter>("c");
    engine.hold_commits();
    let mut write = pin!(async { counter.ask(Keep(1)).await });
    assert!(poll!(&mut write).is_pending());
    let mut read = pin!(async { counter.ask(Add(0)).await });
    assert!(poll!(&mut read).is_pending(), "it saw what may yet be lost");
    assert_eq!(node.actor::<Counter>("other").ask(Add(1)).await.unwrap(), 1);
    engine.let_commits_go();
    assert_eq!((write.await.unwrap(), read.await.unwrap()), (1, 1));
}

#[tokio::test]
async fn a_passivated_actor_does_not_show_what_is_not_durable() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = node_on(&engine);
    let counter = node.actor::<Counter>("c");
    engine.hold_commits();
    let mut write = pin!(async { counter.ask(Keep(1)).await });
    assert!(poll!(&mut write).is_pending());
    let mut passivated = pin!(counter.passivate());
    assert!(poll!(&mut passivated).is_pending());
    let mut read = pin!(async { counter.ask(Add(0)).await });
    assert!(poll!(&mut read).is_pending());
    engine.let_commits_go();
    assert_eq!((write.await.unwrap(), read.await.unwrap()), (1, 1));
}

#[tokio::test]
async fn a_refused_commit_leaves_the_actor_as_it_was() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = node_on(&engine);
    let counter = node.actor::<Counter>("c");
    counter.ask(Keep(5)).await.unwrap();
    engine.refuse_commits(true);
    let error = counter.ask(Keep(1)).await.unwrap_err();
    assert!(matches!(error, AskError::Refused(CommitError::DiskFull)), "{error}");
    assert!(error.is_without_effect());
    assert_eq!(counter.ask(Add(0)).await.unwrap(), 5);
    engine.refuse_commits(false);
    assert_eq!(counter.ask(Keep(1)).await.unwrap(), 6, "service resumes without a restart");
}

#[tokio::test]
async fn a_failed_commit_leaves_the_outcome_unknown() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = node_on(&engine);
    let counter = node.actor::<Counter>("c");
    // The journal is begun, so that a commit is a write and an fsync.
    counter.ask(Keep(1)).await.unwrap();
    engine.hold_commits();
    let mut write = pin!(async { counter.ask(Keep(1)).await });
    assert!(poll!(&mut write).is_pending());
    engine.disk().fail_after(1, Failure::Io);
    engine.let_commits_go();
    let error = write.await.unwrap_err();
    assert!(!error.is_without_effect(), "{error}");
    let error = counter.ask(Keep(1)).await.unwrap_err();
    assert!(matches!(error, AskError::Refused(CommitError::Poisoned(_))), "{error}");
}

/// Version 1 of an actor, and its later shape.
#[derive(Default, Serialize, Deserialize)]
struct Old {
    total: u32,
}

#[derive(Default, Serialize, Deserialize)]
struct New {
    totals: Vec<u64>,
}

#[derive(Default, Serialize, Deserialize)]
struct Newer;

impl VirtualActor for Old {
    const KIND: &'static str = "versioned";
}

impl VirtualActor for New {
    const KIND: &'static str = "versioned";
    const VERSION: u32 = 2;

    fn upgrade(found: u32, state: &[u8]) -> Result<Self, String> {
        match found {
            1 => {
                let old: Old =
                    lanekeeper_storage::decode_state(state).map_err(|error| error.to_string())?;
                Ok(Self { totals: vec![u64::from(old.total)] })
            }
            other => Err(format!("version {other} never was")),
        }
    }
}

impl VirtualActor for Newer {
    const KIND: &'static str = "versioned";
    const VERSION: u32 = 3;
}

struct Set(u32);
struct Read;

impl Request for Set {
    type Reply = ();
}

impl Request for Read {
    type Reply = Vec<u64>;
}

impl Handler<Set> for Old {
    async fn handle(&mut self, Set(n): Set, turn: &mut Turn<'_, Self>) {
        self.total = n;
        turn.save();
    }
}

impl Handler<Read> for New {
    async fn handle(&mut self, _: Read, _turn: &mut Turn<'_, Self>) -> Vec<u64> {
        self.totals.clone()
    }
}

impl Handler<Read> for Newer {
    async fn handle(&mut self, _: Read, _turn: &mut Turn<'_, Self>) -> Vec<u64> {
        Vec::new()
    }
}

#[tokio::test]
async fn an_older_state_is_upgraded_or_refused_by_name() {
    let engine = Arc::new(FaultEngine::new(1));
    node_on(&engine).actor::<Old>("v").ask(Set(7)).await.unwrap();
    assert_eq!(node_on(&engine).actor::<New>("v").ask(Read).await.unwrap(), [7]);
    let error = node_on(&engine).actor::<Newer>("v").ask(Read).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "not executed: the actor could not be activated: state version 1 cannot be read by \
         version 3: no upgrade from version 1 is written"
    );
}
