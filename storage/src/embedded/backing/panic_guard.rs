//! Calls into a store that panics where it should answer with an error: over files that are
//! damaged.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    embedded::{
        backing::port::{Cursor, Direction},
        os_error::file_name,
    },
    error::LoadError,
    key::Key,
    stopwatch::Stopwatch,
};

/// The beginning of the names of the store's own threads.
const THREADS: &str = "sled-";

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls, and answers with what a panic means, which is told nowhere else.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(clear);
    let before = IS_GUARDED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(before);
    done.map_err(|payload| format!("the files of the store are damaged ({})", message(&*payload)))
}

/// Keeps panics that are answered as errors out of stderr, and those of the store's own threads:
/// whoever waits for these learns of it.
fn clear() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        let is_named = || thread::current().name().is_some_and(|name| name.starts_with(THREADS));
        if IS_GUARDED.get() || is_named() {
            tracing::debug!(%panicked, "a panic is answered as an error");
        } else {
            told(panicked);
        }
    }));
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    // Of a long one the first line says what it is about.
    let text = text.unwrap_or_else(|| "it panicked".to_owned());
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// How long threads of a store that was closed are waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Tries until it succeeds, or fails for something that does not pass, for some seconds.
pub(crate) fn wait_while<T, E>(
    mut open: impl FnMut() -> Result<T, E>,
    passes: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let began = Stopwatch::now();
    loop {
        match open() {
            Err(error) if passes(&error) && began.elapsed() < LOCK_WAIT => {
                thread::sleep(Duration::from_millis(2));
            }
            opened => return opened,
        }
    }
}

/// The guard of one store: once it has panicked, it is not called again.
#[derive(Clone, Debug)]
pub(crate) struct PanicGuard {
    dir: PathBuf,
    is_broken: Arc<AtomicBool>,
}

impl PanicGuard {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), is_broken: Arc::default() }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// Calls the store. A panic is answered as damage, now and from now on.
    pub(crate) fn call<T>(
        &self,
        call: impl FnOnce() -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let damaged = |what: &str| {
            Err(LoadError::Corrupt(format!("{}: {what}", file_name(&self.dir)).into()))
        };
        if self.is_broken() {
            return damaged("it was found damaged before");
        }
        guarded(call).unwrap_or_else(|what| {
            self.is_broken.store(true, Ordering::Release);
            damaged(&what)
        })
    }
}

/// A scan of a guarded store.
pub(crate) struct GuardedCursor<I, V, W> {
    guard: PanicGuard,
    /// `None` once there are no more.
    entries: Option<I>,
    direction: Direction,
    at: Option<(V, V)>,
    /// Makes of a key and what was found at it the value, unless it is gone by now.
    whole: W,
}

impl<I, V, W> GuardedCursor<I, V, W> {
    pub(crate) fn new(
        guard: PanicGuard,
        entries: Option<I>,
        direction: Direction,
        whole: W,
    ) -> Self {
        Self { guard, entries, direction, at: None, whole }
    }
}

impl<I, V, W> Cursor for GuardedCursor<I, V, W>
where
    I: DoubleEndedIterator<Item = Result<(V, V), LoadError>>,
    V: AsRef<[u8]>,
    W: Fn(&[u8], &[u8]) -> Result<Option<Bytes>, LoadError>,
{
    fn key(&mut self) -> Result<Option<&[u8]>, LoadError> {
        if self.at.is_none()
            && let Some(entries) = &mut self.entries
        {
            self.at = self.guard.call(|| {
                let next = match self.direction {
                    Direction::Forward => entries.next(),
                    Direction::Back => entries.next_back(),
                };
                next.transpose()
            })?;
            if self.at.is_none() {
                self.entries = None;
            }
        }
        Ok(self.at.as_ref().map(|(key, _)| key.as_ref()))
    }

    fn entry(&self) -> Result<Option<(Key, Bytes)>, LoadError> {
        let Some((key, found)) = &self.at else { return Ok(None) };
        let value = self.guard.call(|| (self.whole)(key.as_ref(), found.as_ref()))?;
        Ok(value.map(|value| (Key::from_bytes(key.as_ref()), value)))
    }

    fn pass(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_damage_from_then_on() {
        let guard = PanicGuard::new(Path::new("base-1"));
        assert!(matches!(guard.call(|| Ok(7)), Ok(7)));
        let answer: Result<(), _> = guard.call(|| panic!("the {} broke", "page"));
        let told = answer.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("base-1: ") && told.contains("the page broke"), "{told}");
        assert!(matches!(guard.call(|| Ok(7)), Err(LoadError::Corrupt(_))));
    }
}
