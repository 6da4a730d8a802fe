//! Beats are merged in memory and written together; what changes a status is written at once.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use futures_util::poll;
use lanekeeper_actors::{
    AskError, Clock, CommitError, Node, NotExecuted, ShutdownError,
    worker::{LivenessError, LivenessOptions, WorkerStatus},
};
use lanekeeper_storage::{CommitSeq, Durability, Engine, FaultEngine};
use serde_json::json;

use crate::support::fleet::Fleet;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_concurrent_beats_of_one_worker_leave_one_pending_write() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    let before = fleet.commits();
    let beats: Vec<_> =
        (0..50).map(|_| tokio::spawn(fleet.worker("w1").heartbeat().into_future())).collect();
    for beat in beats {
        beat.await.unwrap().unwrap();
    }
    assert_eq!((fleet.pending(), fleet.commits()), (1, before));
    assert_eq!(fleet.node.liveness().flush_now().await.unwrap(), 1);
    assert_eq!((fleet.pending(), fleet.commits()), (0, before + 1));
}

#[tokio::test]
async fn fifty_first_beats_at_once_are_one_write_and_none_is_answered_before_it_is_durable() {
    let fleet = Fleet::new();
    fleet.engine.hold_commits();
    let mut beats: Vec<_> = (0..50).map(|_| fleet.worker("w1").heartbeat().into_future()).collect();
    for beat in &mut beats {
        assert!(poll!(beat).is_pending());
    }
    fleet.engine.let_commits_go();
    for beat in beats {
        beat.await.unwrap();
    }
    assert_eq!(fleet.commits(), 1);
}

#[tokio::test]
async fn beats_of_many_workers_are_one_write_at_the_flush_and_none_before() {
    let fleet = Fleet::new();
    let ids: Vec<_> = (0..200).map(|number| format!("w{number}")).collect();
    for id in &ids {
        fleet.beat(id).await;
    }
    let before = fleet.commits();
    fleet.pass(59).await;
    for id in &ids {
        fleet.beat(id).await;
        fleet.beat(id).await;
    }
    assert_eq!((fleet.pending(), fleet.commits()), (200, before));
    fleet.pass(1).await;
    assert_eq!((fleet.pending(), fleet.commits()), (0, before + 1));
}

#[tokio::test]
async fn going_offline_and_coming_back_are_written_before_they_are_answered() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    fleet.beat("w1").await;
    fleet.engine.hold_commits();
    let worker = fleet.worker("w1");
    let mut goodbye = Box::pin(worker.deregister());
    assert!(poll!(&mut goodbye).is_pending());
    fleet.engine.let_commits_go();
    goodbye.await.unwrap();
    assert_eq!(fleet.pending(), 0, "the beat before it went along");
    assert_eq!(fleet.status("w1").await, WorkerStatus::Offline);
    fleet.engine.hold_commits();
    let mut back = worker.heartbeat().into_future();
    assert!(poll!(&mut back).is_pending());
    fleet.engine.let_commits_go();
    back.await.unwrap();
    let fleet = fleet.reopened(|builder| builder);
    assert_eq!(fleet.status("w1").await, WorkerStatus::Online);
}

#[tokio::test]
async fn an_empty_flush_writes_nothing() {
    let fleet = Fleet::new();
    assert_eq!(fleet.node.liveness().flush_now().await.unwrap(), 0);
    fleet.pass(180).await;
    assert_eq!(fleet.commits(), 0, "not even for a fleet of none");
    fleet.beat("w1").await;
    let before = (fleet.commits(), fleet.engine.status().fsyncs);
    assert_eq!(fleet.node.liveness().flush_now().await.unwrap(), 0);
    fleet.pass(120).await;
    assert_eq!((fleet.commits(), fleet.engine.status().fsyncs), before);
}

#[tokio::test]
async fn a_failed_flush_is_retried_with_what_came_meanwhile() {
    let fleet = Fleet::new();
    for id in ["w1", "w2", "w3"] {
        fleet.beat(id).await;
    }
    fleet.beat("w1").await;
    fleet.worker("w2").heartbeat().meta(json!({"slots": 4})).await.unwrap();
    let before = fleet.commits();
    fleet.engine.refuse_commits(true);
    let refused = fleet.node.liveness().flush_now().await.unwrap_err();
    let expected = matches!(refused, LivenessError::Ask(AskError::Refused(CommitError::DiskFull)));
    assert!(expected, "{refused}");
    fleet.pass(60).await;
    assert_eq!((fleet.pending(), fleet.commits()), (2, before));
    for _ in 0..100 {
        fleet.beat("w1").await;
        fleet.beat("w3").await;
    }
    assert_eq!(fleet.pending(), 3, "the fleet bounds what is kept");
    assert_eq!(fleet.node.liveness().stats().flush_failures_total, 2);
    fleet.engine.refuse_commits(false);
    fleet.pass(60).await;
    assert_eq!((fleet.pending(), fleet.commits()), (0, before + 1));
    let seen = fleet.worker("w2").status().await.unwrap();
    let fleet = fleet.reopened(|builder| builder);
    assert_eq!(fleet.worker("w2").status().await.unwrap(), seen);
}

#[tokio::test]
async fn a_beat_while_its_flush_is_under_way_is_pending_again() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    fleet.beat("w1").await;
    fleet.engine.hold_commits();
    let liveness = fleet.node.liveness();
    let mut flush = Box::pin(liveness.flush_now());
    assert!(poll!(&mut flush).is_pending());
    fleet.beat("w1").await;
    fleet.engine.let_commits_go();
    assert_eq!(flush.await.unwrap(), 1);
    assert_eq!(fleet.pending(), 1);
    assert_eq!(liveness.flush_now().await.unwrap(), 1);
}

#[tokio::test]
async fn a_flush_that_was_given_up_is_made_up_for() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    fleet.beat("w1").await;
    fleet.engine.hold_commits();
    let liveness = fleet.node.liveness();
    let mut flush = Box::pin(liveness.flush_now());
    assert!(poll!(&mut flush).is_pending());
    drop(flush);
    fleet.engine.let_commits_go();
    assert_eq!(fleet.pending(), 1);
    assert_eq!(liveness.flush_now().await.unwrap(), 1);
    assert_eq!(fleet.pending(), 0);
}

#[tokio::test]
async fn stop_drains() {
    let fleet = Fleet::new();
    for id in ["w1", "w2"] {
        fleet.beat(id).await;
    }
    fleet.clock.advance(Duration::from_secs(20));
    for id in ["w1", "w2"] {
        fleet.beat(id).await;
    }
    let seen = fleet.worker("w2").status().await.unwrap();
    fleet.node.shutdown(Duration::from_secs(10)).await.unwrap();
    assert_eq!(fleet.pending(), 0);
    let refused = fleet.worker("w1").heartbeat().await.unwrap_err();
    let is_told =
        matches!(refused, LivenessError::Ask(AskError::NotExecuted(NotExecuted::ShuttingDown)));
    assert!(is_told, "{refused}");
    let fleet = fleet.reopened(|builder| builder);
    assert_eq!(fleet.worker("w2").status().await.unwrap(), seen);
}

#[tokio::test]
async fn a_late_beat_after_the_task_ended_is_still_written_by_stop() {
    // There is no task at all: nothing but stop can write it.
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    fleet.node.stop_admission();
    fleet.clock.advance(Duration::from_secs(5));
    let late = fleet.worker("w1").heartbeat().await.unwrap();
    assert!(late.drain, "a draining node says so");
    let at = fleet.clock.now();
    fleet.engine.hold_commits();
    let node = fleet.node.clone();
    let stopping = tokio::spawn(async move { node.shutdown(Duration::from_secs(60)).await });
    while fleet.engine.handed_over() < CommitSeq(2) {
        tokio::task::yield_now().await;
    }
    // Later still: while stop waits for the disk.
    fleet.worker("w1").heartbeat().meta(json!({"late": true})).await.unwrap();
    fleet.engine.let_commits_go();
    stopping.await.unwrap().unwrap();
    let fleet = fleet.reopened(|builder| builder);
    let found = fleet.worker("w1").status().await.unwrap();
    assert_eq!((found.last_seen_at, found.meta.unwrap().as_str()), (at, r#"{"late":true}"#));
}

#[tokio::test]
async fn stop_waits_ten_seconds_for_the_disk_and_says_what_is_left() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    fleet.beat("w1").await;
    fleet.engine.refuse_commits(true);
    let node = fleet.node.clone();
    let stopping = tokio::spawn(async move { node.shutdown(Duration::from_secs(1)).await });
    let began = fleet.clock.elapsed();
    while !stopping.is_finished() {
        fleet.clock.advance(Duration::from_millis(500));
        tokio::task::yield_now().await;
    }
    assert!(fleet.clock.elapsed() - began >= Duration::from_secs(10));
    let error = stopping.await.unwrap().unwrap_err();
    assert!(matches!(error, ShutdownError::Unfinished { .. }), "{error}");
    let expected = "1 heartbeats were not written within 10 s";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn stop_goes_on_once_there_is_room_again() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    fleet.beat("w1").await;
    fleet.engine.refuse_commits(true);
    let node = fleet.node.clone();
    let stopping = tokio::spawn(async move { node.shutdown(Duration::from_secs(1)).await });
    while fleet.node.liveness().stats().flush_failures_total == 0 {
        tokio::task::yield_now().await;
    }
    fleet.engine.refuse_commits(false);
    while !stopping.is_finished() {
        fleet.clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    stopping.await.unwrap().unwrap();
    assert_eq!(fleet.pending(), 0);
}

#[tokio::test]
async fn passthrough_writes_every_beat_and_recovers() {
    let options = LivenessOptions { is_passthrough: true, ..LivenessOptions::default() };
    let fleet = Fleet::with(options);
    fleet.beat("w1").await;
    let before = fleet.commits();
    for _ in 0..3 {
        fleet.beat("w1").await;
    }
    assert_eq!((fleet.pending(), fleet.commits()), (0, before + 3));
    fleet.engine.refuse_commits(true);
    let refused = fleet.worker("w1").heartbeat().await.unwrap_err();
    let expected = matches!(refused, LivenessError::Ask(AskError::Refused(CommitError::DiskFull)));
    assert!(expected, "{refused}");
    assert_eq!(fleet.pending(), 1, "it was a sign of life all the same");
    fleet.pass(200).await;
    assert_eq!(fleet.status("w1").await, WorkerStatus::Online);
    fleet.engine.refuse_commits(false);
    fleet.beat("w1").await;
    assert_eq!(fleet.pending(), 0);
    fleet.worker("w1").deregister().await.unwrap();
    fleet.beat("w1").await;
    let fleet = fleet.reopened(|builder| builder.liveness(options).unwrap());
    assert_eq!(fleet.status("w1").await, WorkerStatus::Online);
}

#[tokio::test]
async fn a_first_beat_that_the_disk_refuses_leaves_nobody_behind() {
    let fleet = Fleet::new();
    fleet.engine.refuse_commits(true);
    assert!(fleet.worker("w1").heartbeat().await.is_err());
    let missing = fleet.worker("w1").status().await.unwrap_err();
    assert!(matches!(missing, LivenessError::NotFound), "{missing}");
    assert_eq!(fleet.pending(), 0);
    fleet.engine.refuse_commits(false);
    fleet.beat("w1").await;
    assert_eq!(fleet.node.liveness().stats().online, 1);
}

#[tokio::test]
async fn a_kill_takes_merged_beats_and_never_a_status() {
    let fleet = Fleet::new();
    for id in ["steady", "gone"] {
        fleet.beat(id).await;
    }
    let written = fleet.worker("steady").status().await.unwrap();
    fleet.clock.advance(Duration::from_secs(30));
    fleet.beat("steady").await;
    fleet.worker("gone").deregister().await.unwrap();
    let fleet = fleet.reopened(|builder| builder);
    assert_eq!(fleet.worker("steady").status().await.unwrap(), written);
    assert_eq!(fleet.status("gone").await, WorkerStatus::Offline);
}

#[tokio::test]
async fn a_flush_asks_for_the_durability_of_the_node() {
    let (engine, clock) = (Arc::new(FaultEngine::new(1)), Clock::manual());
    let builder = Node::builder().clock(clock).without_duties().durability(Durability::Relaxed);
    let node = builder.start(Arc::clone(&engine) as _).unwrap();
    let fsyncs = engine.status().fsyncs;
    node.worker("w1").heartbeat().await.unwrap();
    node.worker("w1").heartbeat().await.unwrap();
    assert_eq!(node.liveness().flush_now().await.unwrap(), 1);
    assert_eq!(engine.status().fsyncs, fsyncs);
}
