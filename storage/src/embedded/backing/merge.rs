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
    embedded::backing::port::{Base, Change, Changes, Direction, FoldRoom},
    error::LoadError,
    key::Key,
    stopwatch::Moment,
};

/// What is done between two calls of `pause`, and between two fsyncs: one of the journal, for which
/// somebody waits, would else have to wait for all that a checkpoint writes.
#[derive(Debug)]
pub(crate) struct Step {
    /// Entries at most.
    count: u64,
    /// Bytes of entries at which it ends.
    bytes: u64,
    /// Bytes that the store's files may grow by: each changed key can have its page written anew.
    pub(crate) ahead_bytes: u64,
}

impl Step {
    /// The same for so many bytes in all: where they are few, they need little.
    fn for_bytes(self, bytes: u64) -> Self {
        let ahead_bytes = bytes.saturating_mul(16).saturating_add(TIGHTEST.ahead_bytes);
        Self { ahead_bytes: ahead_bytes.min(self.ahead_bytes), ..self }
    }
}

const AMPLE: Step = Step { count: 2_048, bytes: 2 << 20, ahead_bytes: 16 << 20 };
const TIGHT: Step = Step { count: 64, bytes: 64 << 10, ahead_bytes: 4 << 20 };
/// What deletes needs less, so that it can go on where nothing more can be set.
pub(crate) const TIGHTEST: Step = Step { count: 256, bytes: 64 << 10, ahead_bytes: 3 << 19 };
const COPY: Step = Step { count: 1_024, bytes: 512 << 10, ahead_bytes: 4 << 20 };
/// Keys folded in until threads that wait for a processor may go first: whoever waits for a commit
/// would else wait for the end of a time slice, some milliseconds.
const YIELD_COUNT: u64 = 8;
/// How long a flush is waited for until another one looks whether it has failed.
const FLUSH_LOOK: Duration = Duration::from_secs(1);

/// A store that is written to.
pub(crate) trait Target {
    /// A key as the store hands it out.
    type Found: AsRef<[u8]>;
    /// Refuses to write to files that cannot be trusted, and takes the space a step may need.
    fn begin(&self, step: &Step) -> Result<(), LoadError>;
    /// Sets or removes one key. Says whether that changed anything.
    fn change(&self, key: &Key, value: Option<&Bytes>) -> Result<bool, LoadError>;
    /// Whether a key has this value.
    fn has(&self, key: &Key, value: &Bytes) -> Result<bool, LoadError>;
    /// The first key at or after this one.
    fn next_from(&self, key: &Key) -> Result<Option<Self::Found>, LoadError>;
    /// Makes what was changed durable.
    fn make_durable(&self) -> Result<(), LoadError>;
}

/// Folds changes in, durably. Returns how many keys changed.
pub(crate) fn fold<T: Target>(
    target: &T,
    changes: &Changes,
    room: FoldRoom,
    pause: &mut dyn FnMut(),
) -> Result<u64, LoadError> {
    match room {
        FoldRoom::Ample => fold_some(target, changes.iter(), &AMPLE, pause),
        FoldRoom::Tight => {
            // What is deleted leaves room in the store's files for what is set.
            let deleted = changes.iter().filter(|(_, change)| change.value.is_none());
            let deleted_count = fold_some(target, deleted, &TIGHTEST, pause)?;
            // An earlier attempt may have set some of it.
            let is_left = |(key, change): &(&Key, &Change)| {
                let value = change.value.as_ref();
                value.is_some_and(|value| !matches!(target.has(key, value), Ok(true)))
            };
            let set: Vec<_> = changes.iter().filter(is_left).collect();
            let step = TIGHT.for_bytes(set.iter().map(|(_, change)| change.bytes()).sum());
            Ok(deleted_count + fold_some(target, set.into_iter(), &step, pause)?)
        }
    }
}

/// Folds some of the changes in, in key order.
fn fold_some<'a, T: Target>(
    target: &T,
    changes: impl Iterator<Item = (&'a Key, &'a Change)>,
    step: &Step,
    pause: &mut dyn FnMut(),
) -> Result<u64, LoadError> {
    let (mut folded_count, mut count, mut bytes) = (0, 0, 0);
    // The key the store has next after a deleted one that it did not have: up to there, further
    // deleted keys need no look-up.
    let mut next: Option<Option<T::Found>> = None;
    for (key, Change { value, .. }) in changes {
        let is_before =
            |at: &Option<T::Found>| at.as_ref().is_none_or(|at| key.as_bytes() < at.as_ref());
        if value.is_none() && next.as_ref().is_some_and(is_before) {
            continue;
        }
        if count == 0 {
            target.begin(step)?;
        }
        let is_changed = target.change(key, value.as_ref())?;
        next = if is_changed { None } else { Some(target.next_from(key)?) };
        folded_count += u64::from(is_changed);
        count += 1;
        bytes += value.as_ref().map_or(0, |value| value.len() as u64);
        if count % YIELD_COUNT == 0 {
            thread::yield_now();
        }
        if count >= step.count || bytes >= step.bytes {
            target.make_durable()?;
            pause();
            (count, bytes) = (0, 0);
        }
    }
    if count > 0 {
        target.make_durable()?;
    }
    Ok(folded_count)
}

/// Copies every entry of a store into an empty one.
pub(crate) fn copy<T: Target>(
    from: &dyn Base,
    to: &T,
    pause: &mut dyn FnMut(),
) -> Result<(), LoadError> {
    let (mut count, mut bytes) = (0, 0);
    let step = COPY.for_bytes(from.live_bytes());
    let mut entries = from.all(Direction::Forward);
    while entries.key()?.is_some() {
        if let Some((key, value)) = entries.entry() {
            if count == 0 {
                to.begin(&step)?;
            }
            to.change(&key, Some(&value))?;
            (count, bytes) = (count + 1, bytes + value.len() as u64);
            if count >= step.count || bytes >= step.bytes {
                pause();
                (count, bytes) = (0, 0);
            }
        }
        entries.pass();
    }
    to.begin(&step)?;
    to.make_durable()
}

/// Waits for a flush. Where a write fails, whoever waits for it may be left asleep; the next one
/// who asks is told, and wakes the others.
pub(crate) fn wait_for_flush<'a, T>(
    mut start: impl FnMut() -> Pin<Box<dyn Future<Output = T> + 'a>>,
) -> T {
    let waker = Waker::from(Arc::new(ThisThread(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut flushes = Vec::new();
    let mut patience = FLUSH_LOOK;
    loop {
        flushes.push(start());
        let began = Moment::now();
        while began.until(patience) > Duration::ZERO {
            for flush in &mut flushes {
                if let Poll::Ready(done) = flush.as_mut().poll(&mut cx) {
                    return done;
                }
            }
            thread::park_timeout(began.until(patience));
        }
        patience *= 2;
    }
}

struct ThisThread(thread::Thread);

impl Wake for ThisThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
