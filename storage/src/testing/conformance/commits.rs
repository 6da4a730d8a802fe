//! What commits promise.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use crate::{
    batch::Batch,
    engine::seam::{CommitSeq, Durability, Epoch, Fence, ShardNo},
    error::CommitError,
    testing::conformance::{Open, Owner, batch, wait_committed},
};

const LEVELS: [Durability; 3] = [Durability::Memory, Durability::Relaxed, Durability::Durable];

/// All writes of a batch, a later one to the same key outdoing the earlier.
pub fn a_batch_is_applied_wholly_in_its_order(open: Open<'_>) {
    let owner = Owner::new(open);
    owner.commit(batch(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("b", None)]));
    assert_eq!((owner.get("a").as_deref(), owner.get("b")), (Some("2"), None));
    owner.commit(batch(&[("a", None), ("a", Some("3"))]));
    assert_eq!(owner.get("a").as_deref(), Some("3"));
}

/// Batches take effect in the order of their numbers.
pub fn a_later_batch_outdoes_an_earlier_one(open: Open<'_>) {
    let owner = Owner::new(open);
    let mut last = CommitSeq::ZERO;
    for value in ["1", "2", "3"] {
        for level in LEVELS {
            let seq = owner.commit_at(batch(&[("a", Some(value))]), level);
            assert!(seq > last);
            assert_eq!(owner.engine.handed_over(), seq);
            assert_eq!(owner.get("a").as_deref(), Some(value));
            last = seq;
        }
    }
}

/// A batch without writes has a number and is committed.
pub fn an_empty_batch_takes_its_place(open: Open<'_>) {
    let owner = Owner::new(open);
    for level in LEVELS {
        let before = owner.engine.handed_over();
        let seq = owner.commit_at(Batch::new(), level);
        assert!(seq > before);
        assert!(wait_committed(&*owner.engine, seq, Durability::Durable).is_ok());
    }
}

/// Whoever does not own the shard is refused, and nothing is applied.
pub fn a_commit_without_the_owners_fence_changes_nothing(open: Open<'_>) {
    let owner = Owner::new(open);
    let before = owner.engine.handed_over();
    let unclaimed = Fence { shard: ShardNo(6), ..owner.fence };
    let later = Fence { epoch: Epoch(owner.fence.epoch.0 + 1), ..owner.fence };
    for fence in [unclaimed, later] {
        for level in LEVELS {
            let refused = owner.engine.commit(fence, batch(&[("a", Some("1"))]), level);
            assert!(matches!(refused, Err(CommitError::Fenced)), "{refused:?}");
        }
        assert!(matches!(owner.engine.renew(fence), Err(CommitError::Fenced)));
    }
    assert_eq!(owner.get("a"), None);
    assert_eq!(owner.engine.handed_over(), before);
    assert!(owner.engine.renew(owner.fence).is_ok());
}

/// After a release the old fence is refused; a new claim has a later epoch.
pub fn a_released_shard_is_claimed_anew(open: Open<'_>) {
    let owner = Owner::new(open);
    owner.engine.release(owner.fence);
    let refused = owner.engine.commit(owner.fence, batch(&[("a", Some("1"))]), Durability::Durable);
    assert!(matches!(refused, Err(CommitError::Fenced)), "{refused:?}");
    assert_eq!(owner.get("a"), None);
    let epoch = owner.engine.claim(owner.fence.shard).expect("a released shard can be claimed");
    assert!(epoch > owner.fence.epoch);
    let owner = Owner { fence: Fence { epoch, ..owner.fence }, ..owner };
    owner.commit(batch(&[("a", Some("2"))]));
    assert_eq!(owner.get("a").as_deref(), Some("2"));
}

/// Before the first commit there is nothing to wait for.
pub fn nothing_handed_over_is_always_committed(open: Open<'_>) {
    let owner = Owner::new(open);
    for level in LEVELS {
        assert!(wait_committed(&*owner.engine, CommitSeq::ZERO, level).is_ok());
        let handed_over = owner.engine.handed_over();
        assert!(wait_committed(&*owner.engine, handed_over, level).is_ok());
    }
}

/// Whatever a batch asked for, each level can be waited for and is reached.
pub fn every_durability_is_reached(open: Open<'_>) {
    let owner = Owner::new(open);
    for asked in LEVELS {
        for awaited in LEVELS {
            let seq = owner.commit_at(batch(&[("a", Some("1"))]), asked);
            let answer = wait_committed(&*owner.engine, seq, awaited);
            assert!(answer.is_ok(), "{asked}, {awaited}: {answer:?}");
        }
    }
}

/// When a commit is durable, so is every commit before it that any journal keeps.
pub fn a_stronger_promise_covers_the_commits_before_it(open: Open<'_>) {
    let owner = Owner::new(open);
    let first = owner.commit_at(batch(&[("a", Some("1"))]), Durability::Relaxed);
    let second = owner.commit_at(batch(&[("b", Some("1"))]), Durability::Memory);
    let third = owner.commit_at(batch(&[("c", Some("1"))]), Durability::Durable);
    assert!(wait_committed(&*owner.engine, third, Durability::Durable).is_ok());
    let waker = Waker::noop();
    let mut cx = Context::from_waker(waker);
    for seq in [first, second, third] {
        for level in LEVELS {
            let polled = owner.engine.poll_committed(seq, level, &mut cx);
            assert!(polled.is_ready(), "{seq:?} {level}");
        }
    }
}

struct Woken {
    thread: std::thread::Thread,
    is_woken: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// A task that was told to wait is woken, and then finds its commit committed.
pub fn a_polled_commit_wakes_its_task(open: Open<'_>) {
    let owner = Owner::new(open);
    for step in 0..100 {
        let level = if step % 10 == 0 { Durability::Relaxed } else { Durability::Durable };
        let seq = owner.commit_at(batch(&[("a", Some("1"))]), level);
        let thread = std::thread::current();
        let woken = Arc::new(Woken { thread, is_woken: AtomicBool::new(false) });
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        if owner.engine.poll_committed(seq, level, &mut cx).is_pending() {
            while !woken.is_woken.load(Ordering::Acquire) {
                std::thread::park();
            }
            assert!(owner.engine.poll_committed(seq, level, &mut cx).is_ready());
        }
    }
}

/// Nothing gets lost or mixed up between threads, with upkeep going on.
pub fn commits_of_many_threads_are_all_there(open: Open<'_>) {
    let owner = Owner::new(open);
    let threads: Vec<u32> = (0..4).collect();
    std::thread::scope(|scope| {
        for thread in &threads {
            let owner = &owner;
            scope.spawn(move || {
                for step in 0..100 {
                    let (own, value) = (format!("{thread}-{step:03}"), step.to_string());
                    let shared = format!("shared-{thread}");
                    let batch = batch(&[(&own, Some(&value)), (&shared, Some(&value))]);
                    let seq = owner.commit(batch);
                    assert_eq!(owner.get(&shared), Some(value));
                    if step % 25 == 0 {
                        owner.engine.maintain().expect("upkeep of a sound engine");
                    }
                    assert!(wait_committed(&*owner.engine, seq, Durability::Durable).is_ok());
                }
            });
        }
    });
    for thread in threads {
        assert_eq!(owner.get(&format!("shared-{thread}")).as_deref(), Some("99"));
        for step in 0..100 {
            assert_eq!(owner.get(&format!("{thread}-{step:03}")), Some(step.to_string()));
        }
    }
    assert_eq!(owner.engine.handed_over(), CommitSeq(400));
}

/// After `close` commits and claims are refused; what was handed over is committed.
pub fn a_closed_engine_refuses_and_keeps_what_it_had(open: Open<'_>) {
    let owner = Owner::new(open);
    let seq = owner.commit_at(batch(&[("a", Some("1"))]), Durability::Relaxed);
    owner.engine.close().expect("a sound engine closes");
    owner.engine.close().expect("a second call does nothing");
    assert!(wait_committed(&*owner.engine, seq, Durability::Durable).is_ok());
    for level in LEVELS {
        let refused = owner.engine.commit(owner.fence, batch(&[("b", Some("1"))]), level);
        assert!(matches!(refused, Err(CommitError::Closed)), "{refused:?}");
    }
    assert!(matches!(owner.engine.claim(ShardNo(9)), Err(CommitError::Closed)));
    assert_eq!(owner.engine.handed_over(), seq);
}
