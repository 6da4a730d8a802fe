//! Shutdown: admission stops, turns finish, everything is flushed; bounded by a deadline.

use std::{sync::Arc, time::Duration};

use lanekeeper_actors::{
    AskError, Clock, Handler, Node, NotExecuted, Request, ShutdownError, Turn, VirtualActor,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};

use crate::support::counter::{Add, Counter};

#[derive(Default, Serialize, Deserialize)]
struct Worker;

impl VirtualActor for Worker {
    const KIND: &'static str = "worker";
}

#[derive(Clone, Default)]
struct Work {
    began: Arc<Notify>,
    end: Option<Arc<Semaphore>>,
}

impl Request for Work {
    type Reply = u64;
}

impl Handler<Work> for Worker {
    async fn handle(&mut self, work: Work, turn: &mut Turn<'_, Self>) -> u64 {
        work.began.notify_one();
        if let Some(end) = work.end {
            end.acquire().await.expect("it is never closed").forget();
        }
        turn.actor::<Counter>("c").ask(Add(1)).await.expect("a turn may finish its work")
    }
}

#[tokio::test]
async fn a_draining_node_refuses_newcomers_and_finishes_turns_with_what_they_ask() {
    let node = Node::in_memory();
    let end = Arc::new(Semaphore::new(0));
    let work = Work { end: Some(Arc::clone(&end)), ..Work::default() };
    let began = Arc::clone(&work.began);
    let worker = node.actor::<Worker>("w");
    let running = tokio::spawn(async move { worker.ask(work).await });
    began.notified().await;
    let stopping = tokio::spawn({
        let node = node.clone();
        async move { node.shutdown(Duration::from_secs(60)).await }
    });
    while !node.is_draining() {
        tokio::task::yield_now().await;
    }
    let refused = node.actor::<Counter>("d").ask(Add(1)).await.unwrap_err();
    assert!(matches!(refused, AskError::NotExecuted(NotExecuted::ShuttingDown)), "{refused}");
    end.add_permits(1);
    assert_eq!(running.await.unwrap().unwrap(), 1);
    stopping.await.unwrap().unwrap();
    assert_eq!(node.status().activations, 0);
}

#[tokio::test]
async fn a_shutdown_ends_at_its_deadline_and_says_what_still_ran() {
    let clock = Clock::manual();
    let node = Node::builder().clock(clock.clone()).open().await.unwrap();
    let work = Work { end: Some(Arc::new(Semaphore::new(0))), ..Work::default() };
    let began = Arc::clone(&work.began);
    let worker = node.actor::<Worker>("w");
    let running = tokio::spawn(async move { worker.ask(work).await });
    began.notified().await;
    let stopping = tokio::spawn({
        let node = node.clone();
        async move { node.shutdown(Duration::from_secs(10)).await }
    });
    while !stopping.is_finished() {
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    let error = stopping.await.unwrap().unwrap_err();
    assert!(matches!(error, ShutdownError::TurnsRunning(1)), "{error}");
    running.abort();
}
