//! How far commits are written and durable, and who waits for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{
    engine::seam::{CommitSeq, Durability},
    error::CommitError,
};

/// One level of durability: how far it is reached, and the tasks that wait for more.
#[derive(Default)]
struct DurableLevel {
    reached: AtomicU64,
    waiting: Mutex<CommitWaiter>,
}

/// Tasks in the order of what they wait for. A task whose future was dropped stays until its commit
/// is reached, which is soon; a task that polls again replaces itself.
#[derive(Default)]
struct CommitWaiter {
    tasks: VecDeque<(u64, Waker)>,
    poisoned: Option<Arc<str>>,
    /// What holds back all that is not reached, for longer than anybody should wait.
    held: Option<Arc<str>>,
}

/// The tasks that wait for commits.
#[derive(Default)]
pub(crate) struct Waiters {
    written: DurableLevel,
    durable: DurableLevel,
}

impl Waiters {
    fn level(&self, durability: Durability) -> Option<&DurableLevel> {
        match durability {
            Durability::Memory => None,
            Durability::Relaxed => Some(&self.written),
            Durability::Durable => Some(&self.durable),
        }
    }

    /// Whether a commit has reached a durability.
    pub(crate) fn is_reached(&self, seq: CommitSeq, durability: Durability) -> bool {
        let level = self.level(durability);
        level.is_none_or(|level| seq.0 <= level.reached.load(Ordering::Acquire))
    }

    /// Ready if the commit has reached the durability or never will; keeps the waker otherwise.
    pub(crate) fn poll(
        &self,
        seq: CommitSeq,
        durability: Durability,
        cx: &Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
        let Some(level) = self.level(durability) else { return Poll::Ready(Ok(())) };
        let mut waiting = level.waiting.lock();
        if self.is_reached(seq, durability) {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &waiting.poisoned {
            return Poll::Ready(Err(CommitError::Poisoned(reason.clone())));
        }
        if let Some(reason) = &waiting.held {
            return Poll::Ready(Err(CommitError::Held { reason: reason.clone() }));
        }
        waiting.keep(seq.0, cx.waker());
        Poll::Pending
    }

    /// Says that every commit up to `seq` has reached the durability, and wakes who waited for one.
    pub(crate) fn publish(&self, seq: CommitSeq, durability: Durability) {
        let Some(level) = self.level(durability) else { return };
        level.reached.store(seq.0, Ordering::Release);
        let woken: SmallVec<[Waker; 64]> = {
            let mut waiting = level.waiting.lock();
            let count = waiting.tasks.partition_point(|(wanted, _)| *wanted <= seq.0);
            waiting.tasks.drain(..count).map(|(_, waker)| waker).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Tells everybody who waits, now or until this is called with nothing, that what they wait for
    /// is held back and may never be written.
    pub(crate) fn tell_held(&self, reason: Option<&Arc<str>>) {
        for level in [&self.written, &self.durable] {
            let tasks = {
                let mut waiting = level.waiting.lock();
                waiting.held = reason.cloned();
                if reason.is_some() { std::mem::take(&mut waiting.tasks) } else { VecDeque::new() }
            };
            tasks.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    /// Tells everybody who waits, now or later, that it will not be known any more.
    pub(crate) fn poison(&self, reason: &Arc<str>) {
        for level in [&self.written, &self.durable] {
            let tasks = {
                let mut waiting = level.waiting.lock();
                waiting.poisoned = Some(reason.clone());
                std::mem::take(&mut waiting.tasks)
            };
            tasks.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }
}

impl CommitWaiter {
    fn keep(&mut self, seq: u64, waker: &Waker) {
        let end = self.tasks.partition_point(|(wanted, _)| *wanted <= seq);
        let same = self.tasks.range(..end).rev().take_while(|(wanted, _)| *wanted == seq);
        if same.into_iter().any(|(_, kept)| kept.will_wake(waker)) {
            return;
        }
        self.tasks.insert(end, (seq, waker.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        task::{Context, Wake},
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_once_for_its_commit_and_level() {
        let waiters = Waiters::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let cx = Context::from_waker(&waker);
        for _ in 0..3 {
            assert!(waiters.poll(CommitSeq(2), Durability::Durable, &cx).is_pending());
        }
        assert!(waiters.poll(CommitSeq(1), Durability::Durable, &cx).is_pending());
        waiters.publish(CommitSeq(2), Durability::Relaxed);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        waiters.publish(CommitSeq(1), Durability::Durable);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        waiters.publish(CommitSeq(5), Durability::Durable);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert!(waiters.poll(CommitSeq(5), Durability::Durable, &cx).is_ready());
        assert!(waiters.durable.waiting.lock().tasks.is_empty());
    }

    #[test]
    fn poison_answers_everything_unfinished() {
        let waiters = Waiters::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let cx = Context::from_waker(&waker);
        assert!(waiters.poll(CommitSeq(1), Durability::Relaxed, &cx).is_pending());
        waiters.poison(&Arc::from("it broke"));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let answer = waiters.poll(CommitSeq(1), Durability::Relaxed, &cx);
        assert!(matches!(answer, Poll::Ready(Err(CommitError::Poisoned(_)))));
        assert!(waiters.poll(CommitSeq(0), Durability::Durable, &cx).is_ready());
    }
}
