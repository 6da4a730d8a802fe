//! Whoever follows is told of every departure: once, in order, and whatever happens in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lanekeeper_actors::{
    NodeBuilder,
    worker::{Departure, LivenessError, LivenessOptions, OfflineCause},
};
use std::sync::Mutex;
use tokio::sync::Semaphore;

use crate::support::fleet::Fleet;

/// A follower that writes down what it is told, and fails when it is asked to.
#[derive(Clone, Default)]
struct Notes {
    told: Arc<Mutex<Vec<Departure>>>,
    failures: Arc<AtomicUsize>,
}

impl Notes {
    fn follow(&self, builder: NodeBuilder) -> NodeBuilder {
        let notes = self.clone();
        builder.on_worker_offline(move |departure| {
            let notes = notes.clone();
            async move {
                notes.told.lock().unwrap().push(departure);
                let fails = |left: usize| left.checked_sub(1);
                match notes.failures.fetch_update(Ordering::AcqRel, Ordering::Acquire, fails) {
                    Ok(_) => Err("not now".to_owned()),
                    Err(_) => Ok(()),
                }
            }
        })
    }

    fn workers(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(|departure| departure.worker.to_string()).collect()
    }
}

#[tokio::test]
async fn everyone_who_follows_is_told_once_for_each_departure_in_order() {
    let (first, second) = (Notes::default(), Notes::default());
    let fleet = Fleet::built(|builder| second.follow(first.follow(builder)));
    for id in ["a", "b", "c"] {
        fleet.beat(id).await;
    }
    fleet.worker("c").deregister().await.unwrap();
    fleet.worker("a").deregister().await.unwrap();
    fleet.beat("c").await;
    fleet.worker("c").deregister().await.unwrap();
    fleet.pass(300).await;
    for notes in [&first, &second] {
        assert_eq!(notes.workers(), ["c", "a", "c", "b"]);
        let told = notes.told.lock().unwrap();
        assert!(told.windows(2).all(|two| two[0].number < two[1].number), "{told:?}");
        assert_eq!(told[0].cause, OfflineCause::Deregistered);
        assert_eq!(told[3].cause, OfflineCause::Silent);
        assert!(told[3].at > told[0].at);
    }
    let stats = fleet.node.liveness().stats();
    assert_eq!((stats.told_total, stats.untold), (4, 0));
}

#[tokio::test]
async fn who_fails_is_told_again_and_nobody_else_is_and_nobody_is_told_of_a_later_one_before() {
    let (first, second) = (Notes::default(), Notes::default());
    let fleet = Fleet::built(|builder| second.follow(first.follow(builder)));
    for id in ["a", "b"] {
        fleet.beat(id).await;
        fleet.worker(id).deregister().await.unwrap();
    }
    second.failures.store(2, Ordering::Release);
    fleet.pass(1).await;
    assert_eq!((first.workers(), second.workers()), (vec!["a".into()], vec!["a".into()]));
    fleet.pass(2).await;
    assert_eq!(first.workers(), ["a", "b"]);
    assert_eq!(second.workers(), ["a", "a", "a", "b"]);
    assert_eq!(fleet.node.liveness().stats().untold, 0);
}

#[tokio::test]
async fn a_crash_between_the_write_and_the_telling_loses_no_departure() {
    let notes = Notes::default();
    let fleet = Fleet::new();
    for id in ["a", "b"] {
        fleet.beat(id).await;
        fleet.worker(id).deregister().await.unwrap();
    }
    let fleet = fleet.reopened(|builder| notes.follow(builder));
    assert_eq!(fleet.node.liveness().stats().untold, 0, "nothing was read yet");
    fleet.pass(1).await;
    assert_eq!(notes.workers(), ["a", "b"]);
    let last = notes.told.lock().unwrap().last().unwrap().number;
    let fleet = fleet.reopened(|builder| notes.follow(builder));
    fleet.pass(1).await;
    assert_eq!(notes.workers(), ["a", "b"], "what was told is not told again");
    fleet.beat("c").await;
    fleet.worker("c").deregister().await.unwrap();
    fleet.pass(1).await;
    let number = notes.told.lock().unwrap().last().unwrap().number;
    assert!(number > last, "numbers grow across restarts: {number} after {last}");
}

#[tokio::test]
async fn a_crash_before_the_answer_is_noted_tells_the_same_departure_under_the_same_number() {
    let notes = Notes::default();
    let fleet = Fleet::built(|builder| notes.follow(builder));
    fleet.beat("a").await;
    fleet.worker("a").deregister().await.unwrap();
    notes.failures.store(1, Ordering::Release);
    fleet.pass(1).await;
    let fleet = fleet.reopened(|builder| notes.follow(builder));
    fleet.pass(1).await;
    let told = notes.told.lock().unwrap().clone();
    assert_eq!((told.len(), &told[0]), (2, &told[1]));
    assert_eq!(fleet.node.liveness().stats().untold, 0);
}

#[tokio::test]
async fn a_departure_is_told_by_the_duties_alone() {
    let told = Arc::new(Semaphore::new(0));
    let builder = lanekeeper_actors::Node::builder().on_worker_offline({
        let told = Arc::clone(&told);
        move |_| {
            told.add_permits(1);
            async { Ok(()) }
        }
    });
    let node = builder.open().await.unwrap();
    node.worker("a").heartbeat().await.unwrap();
    node.worker("a").deregister().await.unwrap();
    told.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn a_follower_that_does_not_answer_is_given_up_and_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let fleet = Fleet::built(|builder| {
        let asked = Arc::clone(&asked);
        builder.on_worker_offline(move |_| {
            let is_first = asked.fetch_add(1, Ordering::AcqRel) == 0;
            async move {
                if is_first {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        })
    });
    fleet.beat("a").await;
    fleet.worker("a").deregister().await.unwrap();
    let node = fleet.node.clone();
    let duties = tokio::spawn(async move { node.run_duties().await });
    // Those who are told before it must not be given up.
    while asked.load(Ordering::Acquire) == 0 {
        tokio::task::yield_now().await;
    }
    while !duties.is_finished() {
        fleet.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(fleet.node.liveness().stats().untold, 1);
    fleet.pass(1).await;
    assert_eq!((asked.load(Ordering::Acquire), fleet.node.liveness().stats().untold), (2, 0));
}

#[tokio::test]
async fn departures_that_nobody_takes_are_bounded() {
    let notes = Notes::default();
    notes.failures.store(usize::MAX, Ordering::Release);
    let options = LivenessOptions { workers_max: 2, ..LivenessOptions::default() };
    let fleet = Fleet::built(|builder| notes.follow(builder).liveness(options).unwrap());
    for _ in 0..2 {
        fleet.beat("a").await;
        fleet.worker("a").deregister().await.unwrap();
    }
    fleet.beat("a").await;
    let refused = fleet.worker("a").deregister().await.unwrap_err();
    assert!(matches!(refused, LivenessError::TooManyUntold { departures_max: 2 }), "{refused}");
    fleet.pass(300).await;
    assert_eq!(fleet.node.liveness().stats().untold, 2, "nor does the sweep add to them");
    notes.failures.store(0, Ordering::Release);
    fleet.pass(60).await;
    let stats = fleet.node.liveness().stats();
    assert_eq!((stats.untold, stats.told_total, stats.offline), (0, 3, 1));
}
