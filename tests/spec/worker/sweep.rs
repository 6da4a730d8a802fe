//! Who is silent for too long is taken for dead, and nobody else is.

use std::time::Duration;

use futures_util::poll;
use lanekeeper_actors::{
    Event,
    worker::{InvalidLiveness, LivenessError, LivenessOptions, WorkerStatus},
};

use crate::support::fleet::Fleet;

#[tokio::test]
async fn a_worker_silent_for_longer_than_the_bound_is_offline_at_the_next_sweep() {
    let fleet = Fleet::new();
    let mut events = fleet.node.events();
    fleet.beat("w1").await;
    fleet.pass(150).await;
    assert_eq!(fleet.status("w1").await, WorkerStatus::Online, "150 s are not too long");
    fleet.pass(30).await;
    let info = fleet.worker("w1").status().await.unwrap();
    assert_eq!((info.status, info.offline_since), (WorkerStatus::Offline, Some(fleet.clock.now())));
    let is_told =
        |event: &Event| matches!(event, Event::WorkerOffline { worker } if &**worker == "w1");
    events.until(is_told).await.unwrap();
    let stats = fleet.node.liveness().stats();
    assert_eq!((stats.online, stats.offline, stats.silent_total), (0, 1, 1));
}

#[tokio::test]
async fn a_worker_that_beats_as_expected_is_never_taken_for_dead() {
    let fleet = Fleet::new();
    for _ in 0..100 {
        fleet.beat("w1").await;
        fleet.pass(15).await;
        assert_eq!(fleet.status("w1").await, WorkerStatus::Online);
    }
    assert_eq!(fleet.node.liveness().stats().arrived_total, 1);
}

#[tokio::test]
async fn a_worker_whose_beat_is_pending_is_not_swept() {
    let fleet = Fleet::new();
    fleet.beat("pending").await;
    fleet.beat("silent").await;
    fleet.engine.refuse_commits(true);
    fleet.beat("pending").await;
    // Every flush fails, so that the beat goes on waiting for the disk.
    fleet.pass(600).await;
    assert_eq!(fleet.pending(), 1);
    assert_eq!(fleet.status("silent").await, WorkerStatus::Online, "it could not be written");
    fleet.engine.refuse_commits(false);
    fleet.pass(30).await;
    assert_eq!(fleet.status("silent").await, WorkerStatus::Offline);
    assert_eq!(fleet.status("pending").await, WorkerStatus::Online);
    fleet.pass(60).await;
    assert_eq!(fleet.status("pending").await, WorkerStatus::Offline, "written, and still silent");
}

#[tokio::test]
async fn a_sweep_racing_a_flush_heals() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    fleet.beat("w1").await;
    fleet.engine.hold_commits();
    let liveness = fleet.node.liveness();
    let mut flush = Box::pin(liveness.flush_now());
    assert!(poll!(&mut flush).is_pending());
    // The flush has handed its beat over, and the disk takes its time.
    fleet.clock.advance(Duration::from_secs(180));
    assert_eq!(liveness.sweep_now().await.unwrap(), 0, "its beat is still on the way");
    fleet.engine.let_commits_go();
    flush.await.unwrap();
    assert_eq!(liveness.sweep_now().await.unwrap(), 1);
    assert_eq!(fleet.status("w1").await, WorkerStatus::Offline);
    fleet.beat("w1").await;
    assert_eq!(fleet.status("w1").await, WorkerStatus::Online);
    fleet.pass(60).await;
    let fleet = fleet.reopened(|builder| builder);
    assert_eq!(fleet.status("w1").await, WorkerStatus::Online);
}

#[tokio::test]
async fn a_deregistered_worker_stays_offline_until_its_next_beat() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    fleet.worker("w1").deregister().await.unwrap();
    let before = fleet.commits();
    fleet.worker("w1").deregister().await.unwrap();
    assert_eq!(fleet.commits(), before, "once more changes nothing");
    fleet.pass(300).await;
    assert_eq!(fleet.status("w1").await, WorkerStatus::Offline);
    let fleet = fleet.reopened(|builder| builder);
    assert_eq!(fleet.status("w1").await, WorkerStatus::Offline);
    fleet.beat("w1").await;
    let info = fleet.worker("w1").status().await.unwrap();
    assert_eq!((info.status, info.offline_since), (WorkerStatus::Online, None));
    assert_eq!(fleet.node.liveness().stats().silent_total, 0);
}

#[tokio::test]
async fn after_a_restart_everyone_has_the_whole_time_to_be_seen() {
    let fleet = Fleet::new();
    fleet.beat("back").await;
    fleet.beat("dead").await;
    fleet.clock.advance(Duration::from_secs(3_600));
    let fleet = fleet.reopened(|builder| builder);
    assert_eq!(fleet.status("back").await, WorkerStatus::Online);
    fleet.pass(140).await;
    assert_eq!(fleet.status("dead").await, WorkerStatus::Online);
    fleet.beat("back").await;
    fleet.pass(40).await;
    assert_eq!(fleet.status("back").await, WorkerStatus::Online);
    assert_eq!(fleet.status("dead").await, WorkerStatus::Offline);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_takes_nobody_for_dead() {
    let fleet = Fleet::new();
    fleet.beat("w1").await;
    let wall = fleet.clock.now();
    for wall in [wall + Duration::from_secs(7_200), wall - Duration::from_secs(7_200)] {
        fleet.clock.set_wall(wall);
        fleet.pass(60).await;
        assert_eq!(fleet.status("w1").await, WorkerStatus::Online);
    }
    fleet.pass(60).await;
    assert_eq!(fleet.status("w1").await, WorkerStatus::Offline);
}

#[tokio::test]
async fn a_whole_fleet_that_dies_at_once_is_found_dead() {
    let fleet = Fleet::new();
    for number in 0..5_000 {
        fleet.beat(&format!("w{number}")).await;
    }
    fleet.pass(150).await;
    fleet.beat("w4999").await;
    let before = fleet.commits();
    fleet.pass(30).await;
    let stats = fleet.node.liveness().stats();
    assert_eq!((stats.online, stats.silent_total), (1, 4_999));
    assert!(fleet.commits() - before < 40, "{}", fleet.commits() - before);
}

#[test]
fn settings_that_break_the_sum_are_refused_with_the_arithmetic() {
    let seconds = Duration::from_secs;
    let options = LivenessOptions { stale_after: seconds(100), ..LivenessOptions::default() };
    let refused = lanekeeper_actors::Node::builder().liveness(options).unwrap_err();
    assert_eq!(refused, InvalidLiveness::Stale(options));
    assert!(refused.to_string().contains("60s + 15s + 30s = 105s, not 100s"), "{refused}");
}

#[tokio::test]
async fn the_settings_of_a_node_are_what_it_goes_by() {
    let options = LivenessOptions {
        heartbeat_flush: Duration::from_secs(2),
        heartbeat_interval: Duration::from_secs(1),
        sweep_interval: Duration::from_secs(3),
        stale_after: Duration::from_secs(7),
        ..LivenessOptions::default()
    };
    let fleet = Fleet::with(options);
    assert_eq!(fleet.node.liveness().options(), options);
    fleet.beat("w1").await;
    fleet.pass(1).await;
    fleet.beat("w1").await;
    assert_eq!(fleet.pending(), 1);
    fleet.pass(1).await;
    assert_eq!(fleet.pending(), 0);
    fleet.pass(6).await;
    assert_eq!(fleet.status("w1").await, WorkerStatus::Online);
    fleet.pass(3).await;
    assert_eq!(fleet.status("w1").await, WorkerStatus::Offline);
}

#[tokio::test]
async fn a_full_fleet_forgets_who_is_offline_for_longest_and_refuses_only_the_living() {
    let fleet = Fleet::with(LivenessOptions { workers_max: 3, ..LivenessOptions::default() });
    for id in ["a", "b", "c"] {
        fleet.beat(id).await;
    }
    let refused = fleet.worker("d").heartbeat().await.unwrap_err();
    assert!(matches!(refused, LivenessError::FleetFull { workers_max: 3 }), "{refused}");
    fleet.worker("b").deregister().await.unwrap();
    fleet.pass(1).await;
    fleet.worker("a").deregister().await.unwrap();
    fleet.beat("d").await;
    let gone = fleet.worker("b").status().await.unwrap_err();
    assert!(matches!(gone, LivenessError::NotFound), "{gone}");
    assert_eq!(fleet.status("a").await, WorkerStatus::Offline);
    fleet.beat("a").await;
    assert!(fleet.worker("b").heartbeat().await.is_err());
    let fleet = fleet.reopened(|builder| builder);
    assert!(fleet.worker("b").status().await.is_err(), "in the store too");
    assert_eq!(fleet.node.liveness().stats().online, 3);
}
