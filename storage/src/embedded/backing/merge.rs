//! Folding changes into a store, and copying one, in steps: each takes the space it may need before
//! it begins, and is durable before the next one.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    embedded::backing::port::{Backing, Changes, Direction, KeyChange, MergeSpace},
    error::LoadError,
    key::Key,
    stopwatch::Stopwatch,
};

/// What is done between two calls of `pause`, and between two fsyncs: one of the journal, for which
/// somebody waits, would else have to wait for all that a checkpoint writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MergeStep {
    /// Entries of the store at most.
    count: u64,
    /// Bytes of entries at which it ends.
    bytes: u64,
    /// Bytes that the store's log may grow by.
    ahead_bytes: u64,
    /// Bytes that are left to the log beyond that: whatever sets something leaves enough for what
    /// deletes, or the way out of a full disk would be closed by the last thing that still fitted.
    left_bytes: u64,
}

impl MergeStep {
    /// Bytes that the log must have before it begins.
    pub(crate) fn needs_bytes(&self) -> u64 {
        self.ahead_bytes + self.left_bytes
    }

    /// The same for so many bytes in all: where they are few, they need little.
    fn for_bytes(self, bytes: u64) -> Self {
        let ahead_bytes = bytes.saturating_mul(16).saturating_add(TIGHTEST.ahead_bytes);
        Self { ahead_bytes: ahead_bytes.min(self.ahead_bytes), ..self }
    }

    /// The same where the first value has so many bytes: a large one is a step of its own.
    fn beginning_with(self, bytes: u64) -> Self {
        if bytes <= self.bytes {
            return self;
        }
        let ahead_bytes = bytes.saturating_mul(8).saturating_add(TIGHTEST.ahead_bytes);
        Self { ahead_bytes: ahead_bytes.max(self.ahead_bytes), ..self }
    }
}

const AMPLE: MergeStep =
    MergeStep { count: 2_048, bytes: 2 << 20, ahead_bytes: 16 << 20, ..TIGHTER };
const TIGHT: MergeStep = MergeStep { count: 64, bytes: 64 << 10, ahead_bytes: 4 << 20, ..TIGHTER };
/// Where there is no space for more: each entry may have a page of sixteen written anew.
const TIGHTER: MergeStep =
    MergeStep { count: 8, bytes: 16 << 10, ahead_bytes: 3 << 19, left_bytes: TIGHTEST.ahead_bytes };
/// What deletes needs less, so that it can go on where nothing more can be set.
pub(crate) const TIGHTEST: MergeStep =
    MergeStep { count: 64, bytes: 64 << 10, ahead_bytes: 3 << 19, left_bytes: 0 };
/// The last of what is set, where it is little: it may take what is left for deletes, as all of
/// those are folded in, and the journal is freed with it.
const LAST: MergeStep = MergeStep { ahead_bytes: 1 << 20, left_bytes: 0, ..TIGHTER };
/// The number of the checkpoint.
pub(crate) const RECORD: MergeStep = MergeStep { ahead_bytes: 256 << 10, left_bytes: 0, ..TIGHTER };
/// What deletes, where there is space for more at once.
const DELETES: MergeStep = MergeStep { count: 256, ahead_bytes: 3 << 20, ..TIGHTEST };
const COPY: MergeStep =
    MergeStep { count: 1_024, bytes: 512 << 10, ahead_bytes: 4 << 20, left_bytes: 0 };
/// What the store may write beside the changes themselves: it takes its log in segments, and
/// rewrites pages when it splits or merges them.
const FREE_BYTES: u64 = 16 << 20;
const COPY_FREE_BYTES: u64 = 3 << 20;

/// Bytes that must be free on the disk to fold in changes of so many bytes.
pub(crate) fn needs_bytes(bytes: u64) -> u64 {
    bytes.saturating_mul(4).saturating_add(FREE_BYTES)
}

/// Bytes that must be free on the disk to copy so many that are alive.
pub(crate) fn copy_needs_bytes(bytes: u64) -> u64 {
    bytes.saturating_mul(4).saturating_add(COPY_FREE_BYTES)
}

/// Keys folded in until threads that wait for a processor may go first: whoever waits for a commit
/// would else wait for the end of a time slice, some milliseconds.
const YIELD_COUNT: u64 = 8;
/// How long a flush is waited for until another one looks whether it has failed.
const FLUSH_LOOK: Duration = Duration::from_millis(100);

/// A store that is written to.
pub(crate) trait MergeTarget {
    /// A key as the store hands it out.
    type Found: AsRef<[u8]>;
    /// Refuses to write to files that cannot be trusted, and takes the space a step may need.
    fn begin(&self, step: &MergeStep) -> Result<(), LoadError>;
    /// Sets or removes one key. Answers how many entries that changed.
    fn change(&self, key: &Key, value: Option<&Bytes>) -> Result<u64, LoadError>;
    /// Whether a key has this value.
    fn has(&self, key: &Key, value: &Bytes) -> Result<bool, LoadError>;
    /// The first key at or after this one.
    fn next_from(&self, key: &Key) -> Result<Option<Self::Found>, LoadError>;
    /// Makes what was changed durable.
    fn make_durable(&self) -> Result<(), LoadError>;
}

/// Folds changes in, durably. Returns how many keys changed.
pub(crate) fn merge<T: MergeTarget>(
    target: &T,
    changes: &Changes,
    room: MergeSpace,
    pause: &mut dyn FnMut(),
) -> Result<u64, LoadError> {
    match room {
        MergeSpace::Ample => fold_some(target, changes.iter(), &[AMPLE], pause),
        MergeSpace::Tight => {
            // What is deleted leaves room in the store's files for what is set.
            let deleted = changes.iter().filter(|(_, change)| change.value.is_none());
            let deleted_count = fold_some(target, deleted, &[DELETES, TIGHTEST], pause)?;
            // An earlier attempt may have set some of it.
            let is_left = |(key, change): &(&Key, &KeyChange)| {
                let value = change.value.as_ref();
                value.is_some_and(|value| !matches!(target.has(key, value), Ok(true)))
            };
            let set: Vec<_> = changes.iter().filter(is_left).collect();
            let bytes = set.iter().map(|(_, change)| change.bytes()).sum();
            let is_little = set.len() as u64 <= LAST.count && bytes <= LAST.bytes;
            let last = if is_little { LAST } else { TIGHTER };
            let steps = [TIGHT.for_bytes(bytes), TIGHTER, last];
            Ok(deleted_count + fold_some(target, set.into_iter(), &steps, pause)?)
        }
    }
}

/// Folds some of the changes in, in key order, in the first kind of steps for which there is space.
fn fold_some<'a, T: MergeTarget>(
    target: &T,
    changes: impl Iterator<Item = (&'a Key, &'a KeyChange)>,
    mut steps: &[MergeStep],
    pause: &mut dyn FnMut(),
) -> Result<u64, LoadError> {
    let (mut merged_count, mut done) = (0, Done::default());
    // The key the store has next after a deleted one that it did not have: up to there, further
    // deleted keys need no look-up.
    let mut next: Option<Option<T::Found>> = None;
    for (key, change) in changes {
        let KeyChange { value, .. } = change;
        let is_before =
            |at: &Option<T::Found>| at.as_ref().is_none_or(|at| key.as_bytes() < at.as_ref());
        if value.is_none() && next.as_ref().is_some_and(is_before) {
            continue;
        }
        if done.ends(&steps[0], change.bytes()) {
            target.make_durable()?;
            pause();
            done = Done::default();
        }
        if done.key_count == 0 {
            begin(target, &mut steps, change.bytes())?;
        }
        let changed_count = target.change(key, value.as_ref())?;
        next = if changed_count > 0 { None } else { Some(target.next_from(key)?) };
        merged_count += u64::from(changed_count > 0);
        done.add(changed_count, change.bytes());
        if done.key_count.is_multiple_of(YIELD_COUNT) {
            thread::yield_now();
        }
    }
    if done.key_count > 0 {
        target.make_durable()?;
    }
    Ok(merged_count)
}

/// Begins a step, of the first kind that there is space for; what was too large is not tried again.
fn begin<T: MergeTarget>(
    target: &T,
    steps: &mut &[MergeStep],
    bytes: u64,
) -> Result<(), LoadError> {
    loop {
        match target.begin(&steps[0].beginning_with(bytes)) {
            Err(LoadError::NoSpace(_)) if steps.len() > 1 => *steps = &steps[1..],
            begun => return begun,
        }
    }
}

/// What was done in a step.
#[derive(Default)]
struct Done {
    key_count: u64,
    count: u64,
    bytes: u64,
}

impl Done {
    fn add(&mut self, count: u64, bytes: u64) {
        self.key_count += 1;
        self.count += count.max(1);
        self.bytes += bytes;
    }

    /// Whether a step ends before a value of so many bytes.
    fn ends(&self, step: &MergeStep, next_bytes: u64) -> bool {
        self.key_count > 0 && (self.count >= step.count || self.bytes + next_bytes > step.bytes)
    }
}

/// Copies every entry of a store into an empty one.
pub(crate) fn copy<T: MergeTarget>(
    from: &dyn Backing,
    to: &T,
    pause: &mut dyn FnMut(),
) -> Result<(), LoadError> {
    let mut done = Done::default();
    let step = COPY.for_bytes(from.live_bytes());
    let mut entries = from.all(Direction::Forward);
    while entries.key()?.is_some() {
        if let Some((key, value)) = entries.entry()? {
            let bytes = value.len() as u64;
            if done.ends(&step, bytes) {
                pause();
                done = Done::default();
            }
            if done.key_count == 0 {
                to.begin(&step.beginning_with(bytes))?;
            }
            done.add(to.change(&key, Some(&value))?, bytes);
        }
        entries.pass();
    }
    to.begin(&step)?;
    to.make_durable()
}

/// Waits for a flush, for so long at most. Where a write fails, whoever waits for it may be left
/// asleep; the next one who asks is told, and wakes the others.
pub(crate) fn wait_for_flush<'a, T>(
    mut start: impl FnMut() -> Pin<Box<dyn Future<Output = T> + 'a>>,
    limit: Duration,
) -> Option<T> {
    let waker = Waker::from(Arc::new(ThisThread(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut flushes = Vec::new();
    let mut patience = FLUSH_LOOK.min(limit);
    let first = Stopwatch::now();
    while first.until(limit) > Duration::ZERO {
        flushes.push(start());
        let began = Stopwatch::now();
        while began.until(patience) > Duration::ZERO {
            for flush in &mut flushes {
                if let Poll::Ready(done) = flush.as_mut().poll(&mut cx) {
                    return Some(done);
                }
            }
            thread::park_timeout(began.until(patience));
        }
        patience *= 2;
    }
    None
}

struct ThisThread(thread::Thread);

impl Wake for ThisThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::BTreeMap,
        future,
    };

    use super::*;

    /// A store whose log takes its space from a disk with little left: whatever is set has a page
    /// written anew, and what is deleted makes as much room in the log as it takes.
    struct Log {
        free_bytes: Cell<u64>,
        ahead_bytes: Cell<u64>,
        entries: RefCell<BTreeMap<Key, Bytes>>,
    }

    /// Bytes of a page.
    const PAGE: u64 = 60 << 10;

    impl MergeTarget for Log {
        type Found = Vec<u8>;

        fn begin(&self, step: &MergeStep) -> Result<(), LoadError> {
            let wanted = step.needs_bytes().saturating_sub(self.ahead_bytes.get());
            let taken = wanted.min(self.free_bytes.get());
            self.free_bytes.set(self.free_bytes.get() - taken);
            self.ahead_bytes.set(self.ahead_bytes.get() + taken);
            if taken < wanted { Err(LoadError::NoSpace("full".into())) } else { Ok(()) }
        }

        fn change(&self, key: &Key, value: Option<&Bytes>) -> Result<u64, LoadError> {
            let mut entries = self.entries.borrow_mut();
            let Some(value) = value else { return Ok(entries.remove(key).map_or(0, |_| 1)) };
            let left = self.ahead_bytes.get().checked_sub(PAGE.max(4 * value.len() as u64));
            self.ahead_bytes.set(left.expect("no more is written than was taken"));
            entries.insert(key.clone(), value.clone());
            Ok(1)
        }

        fn has(&self, key: &Key, value: &Bytes) -> Result<bool, LoadError> {
            Ok(self.entries.borrow().get(key) == Some(value))
        }

        fn next_from(&self, key: &Key) -> Result<Option<Vec<u8>>, LoadError> {
            let entries = self.entries.borrow();
            Ok(entries.range(key..).next().map(|(key, _)| key.as_bytes().to_vec()))
        }

        fn make_durable(&self) -> Result<(), LoadError> {
            Ok(())
        }
    }

    fn changes(keys: std::ops::Range<u32>, value: Option<usize>) -> Changes {
        let change = |key: u32| {
            let value = value.map(|bytes| Bytes::from(vec![7; bytes]));
            (Key::from_bytes(&key.to_be_bytes()), KeyChange { value, is_new: false })
        };
        keys.map(change).collect()
    }

    #[test]
    fn what_still_fitted_leaves_enough_for_what_deletes() {
        for (free_bytes, value_bytes) in [(9, 1_000), (10, 1_000), (13, 1_000), (17, 200_000)] {
            let log = Log {
                free_bytes: Cell::new(free_bytes << 20),
                ahead_bytes: Cell::new(0),
                entries: RefCell::default(),
            };
            let set = changes(0..3_000, Some(value_bytes));
            for room in [MergeSpace::Ample, MergeSpace::Tight, MergeSpace::Tight] {
                let full = merge(&log, &set, room, &mut || ());
                assert!(matches!(full, Err(LoadError::NoSpace(_))), "{free_bytes} MB: {full:?}");
            }
            let count = log.entries.borrow().len();
            assert!(count > 10, "{count} of {free_bytes} MB");
            let deleted = merge(&log, &changes(0..3_000, None), MergeSpace::Tight, &mut || ());
            assert_eq!(deleted.ok(), Some(count as u64), "{free_bytes} MB");
        }
    }

    #[test]
    fn a_checkpoint_ends_with_the_little_it_sets_where_only_deletes_have_space() {
        let log = Log {
            free_bytes: Cell::new(0),
            ahead_bytes: Cell::new(TIGHTEST.needs_bytes()),
            entries: RefCell::default(),
        };
        let mut all = changes(8..3_000, None);
        all.extend(changes(0..8, Some(100)));
        assert_eq!(merge(&log, &all, MergeSpace::Tight, &mut || ()).ok(), Some(8));
        log.begin(&RECORD).unwrap();
    }

    #[test]
    fn a_flush_that_never_ends_is_not_waited_for_for_ever() {
        let limit = Duration::from_millis(20);
        assert_eq!(wait_for_flush(|| Box::pin(future::pending::<()>()), limit), None);
        assert_eq!(wait_for_flush(|| Box::pin(future::ready(7)), limit), Some(7));
    }
}
