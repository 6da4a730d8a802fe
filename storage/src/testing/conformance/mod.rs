//! The conformance suite: what every engine promises, each promise a function. An engine's tests
//! run all of them with [`conformance_suite!`](crate::conformance_suite).
//!
//! A function panics where the promise is broken. It is given a way to open a fresh engine.

mod commits;
mod reads;

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use crate::{
    batch::Batch,
    engine::seam::{CommitSeq, Durability, Engine, Fence, ShardNo},
    error::CommitError,
    key::{Key, KeyRange},
};

pub use commits::{
    a_batch_is_applied_wholly_in_its_order, a_closed_engine_refuses_and_keeps_what_it_had,
    a_commit_without_the_owners_fence_changes_nothing, a_later_batch_outdoes_an_earlier_one,
    a_polled_commit_wakes_its_task, a_released_shard_is_claimed_anew,
    a_stronger_promise_covers_the_commits_before_it, an_empty_batch_takes_its_place,
    commits_of_many_threads_are_all_there, every_durability_is_reached,
    nothing_handed_over_is_always_committed,
};
pub use reads::{
    a_bound_on_bytes_ends_a_scan_but_not_before_its_first_entry, a_bound_on_entries_ends_a_scan,
    a_deleted_key_is_gone_wherever_it_was, a_range_ends_before_its_end,
    a_scan_backwards_is_the_scan_reversed, a_volatile_batch_is_read_like_any_other,
    an_added_key_that_is_deleted_is_gone, keys_and_values_of_any_bytes_come_back,
    reads_see_a_batch_at_once, upkeep_changes_no_answer,
};

/// Opens a fresh, empty engine.
pub type Open<'a> = &'a dyn Fn() -> Arc<dyn Engine>;

/// An engine with one shard claimed.
pub(crate) struct Owner {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) fence: Fence,
}

impl Owner {
    pub(crate) fn new(open: Open<'_>) -> Self {
        let engine = open();
        let shard = ShardNo(5);
        let epoch = engine.claim(shard).expect("a fresh engine gives every shard away");
        Self { engine, fence: Fence { shard, epoch } }
    }

    pub(crate) fn commit(&self, batch: Batch) -> CommitSeq {
        self.commit_at(batch, Durability::Durable)
    }

    pub(crate) fn commit_at(&self, batch: Batch, durability: Durability) -> CommitSeq {
        let handed_over = self.engine.commit(self.fence, batch, durability);
        handed_over.expect("an engine with space takes its owner's batches")
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = self.engine.get(&key(name)).expect("reads of a sound engine succeed");
        value.map(|value| String::from_utf8_lossy(&value).into_owned())
    }
}

/// A key of these bytes.
pub(crate) fn key(name: &str) -> Key {
    Key::from_bytes(name.as_bytes())
}

/// The keys from one name on and before another.
pub(crate) fn range(start: &str, end: &str) -> KeyRange {
    KeyRange { start: key(start), end: key(end) }
}

/// A batch of puts, and of deletes where there is no value.
pub(crate) fn batch(writes: &[(&str, Option<&str>)]) -> Batch {
    let mut batch = Batch::new();
    for (name, value) in writes {
        match value {
            Some(value) => batch.put(key(name), value.as_bytes().to_vec()),
            None => batch.delete(key(name)),
        }
    }
    batch
}

struct ThisThread(Thread);

impl Wake for ThisThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks until a commit is as durable as asked for.
///
/// # Errors
/// As [`Engine::poll_committed`].
pub fn wait_committed(
    engine: &dyn Engine,
    seq: CommitSeq,
    durability: Durability,
) -> Result<(), CommitError> {
    let waker = Waker::from(Arc::new(ThisThread(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match engine.poll_committed(seq, durability, &mut cx) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Makes a module of tests, one for each promise, for the engine that the expression opens.
#[macro_export]
macro_rules! conformance_suite {
    ($module:ident, $open:expr) => {
        $crate::conformance_suite!(@tests $module, $open,
            reads_see_a_batch_at_once
            keys_and_values_of_any_bytes_come_back
            a_deleted_key_is_gone_wherever_it_was
            a_range_ends_before_its_end
            a_bound_on_entries_ends_a_scan
            a_bound_on_bytes_ends_a_scan_but_not_before_its_first_entry
            a_scan_backwards_is_the_scan_reversed
            a_volatile_batch_is_read_like_any_other
            an_added_key_that_is_deleted_is_gone
            upkeep_changes_no_answer
            a_batch_is_applied_wholly_in_its_order
            a_later_batch_outdoes_an_earlier_one
            an_empty_batch_takes_its_place
            a_commit_without_the_owners_fence_changes_nothing
            a_released_shard_is_claimed_anew
            nothing_handed_over_is_always_committed
            every_durability_is_reached
            a_stronger_promise_covers_the_commits_before_it
            a_polled_commit_wakes_its_task
            commits_of_many_threads_are_all_there
            a_closed_engine_refuses_and_keeps_what_it_had
        );
    };
    (@tests $module:ident, $open:expr, $($promise:ident)*) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $promise() {
                    $crate::conformance::$promise(&$open);
                }
            )*
        }
    };
}
