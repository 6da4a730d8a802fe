//! The one clock of a node: everything that asks for the time asks here.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;

/// A clock: wall time, for what users see and what survives a restart, and monotonic time, for
/// timeouts. Cloning shares it.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System { origin: Instant, wall: Arc<Onward> },
    Manual(Arc<Mutex<Manual>>),
}

struct Manual {
    wall: SystemTime,
    onward: Onward,
    elapsed: Duration,
    sleeper_next: u64,
    sleepers: BTreeMap<(Duration, u64), Waker>,
}

impl Clock {
    /// The clock of the operating system.
    pub fn system() -> Self {
        Self(Source::System { origin: Instant::now(), wall: Arc::default() })
    }

    /// A clock that stands still until it is told to [`advance`](Clock::advance). It begins at
    /// 2026-01-01T00:00:00Z.
    pub fn manual() -> Self {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let manual = Manual {
            wall,
            onward: Onward::default(),
            elapsed: Duration::ZERO,
            sleeper_next: 0,
            sleepers: BTreeMap::new(),
        };
        Self(Source::Manual(Arc::new(Mutex::new(manual))))
    }

    /// Wall time, which never runs backwards here: when the system's is set back by a second or
    /// more, this one goes on from where it was last asked, until the system's has caught up or the
    /// process ends.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Source::System { wall, .. } => wall.follow(SystemTime::now()),
            Source::Manual(manual) => {
                let manual = manual.lock();
                manual.onward.follow(manual.wall)
            }
        }
    }

    /// Wall time in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        unix_ms(self.now())
    }

    /// Monotonic time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System { origin, .. } => origin.elapsed(),
            Source::Manual(manual) => manual.lock().elapsed,
        }
    }

    /// Ready once the monotonic time has grown by `duration`. Dropping it is safe at any time.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.elapsed().saturating_add(duration))
    }

    /// Ready once the [monotonic time](Clock::elapsed) is `moment`, whatever becomes of the clock
    /// between the choice of that moment and this call. Dropping it is safe at any time.
    pub fn sleep_until(&self, moment: Duration) -> Sleep {
        match &self.0 {
            Source::System { origin, .. } => {
                let left = moment.saturating_sub(origin.elapsed());
                Sleep::System(Box::pin(tokio::time::sleep(left)))
            }
            Source::Manual(manual) => Sleep::Manual(ManualSleep::new(manual, moment)),
        }
    }

    /// Moves a manual clock on, wall and monotonic time alike, and wakes who sleeps until then.
    ///
    /// # Panics
    /// On the system's clock, which nobody can move.
    pub fn advance(&self, duration: Duration) {
        let Source::Manual(manual) = &self.0 else { panic!("the system's clock cannot be moved") };
        let mut manual = manual.lock();
        manual.elapsed += duration;
        manual.wall += duration;
        let after = (manual.elapsed + Duration::from_nanos(1), 0);
        let later = manual.sleepers.split_off(&after);
        let due = std::mem::replace(&mut manual.sleepers, later);
        drop(manual);
        due.into_values().for_each(Waker::wake);
    }

    /// Sets the wall time of a manual clock, as an administrator may; monotonic time goes on, and
    /// [`Clock::now`] too.
    ///
    /// # Panics
    /// On the system's clock.
    pub fn set_wall(&self, wall: SystemTime) {
        let Source::Manual(manual) = &self.0 else { panic!("the system's clock cannot be set") };
        let mut manual = manual.lock();
        manual.onward.follow(manual.wall);
        manual.wall = wall;
        manual.onward.follow(wall);
    }
}

/// Wall time that goes on when the clock it follows is set back.
#[derive(Debug, Default)]
struct Onward {
    /// The last time told, in Unix nanoseconds, as of some milliseconds ago.
    last: AtomicU64,
    /// How far the clock that is followed is behind.
    ahead: AtomicU64,
}

impl Onward {
    /// What is not told to be set back: threads that look at once see each other's past.
    const SLACK: u64 = 1_000_000_000;
    /// How seldom the last time told is noted, so that threads do not fight for it.
    const NOTED_EVERY: u64 = 10_000_000;

    fn follow(&self, wall: SystemTime) -> SystemTime {
        let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wall = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let last = self.last.load(Ordering::Acquire);
        let mut ahead = self.ahead.load(Ordering::Acquire);
        if ahead > 0 && wall >= last {
            // It was set forward again.
            ahead = 0;
            self.ahead.store(0, Ordering::Release);
        }
        let mut now = wall.saturating_add(ahead);
        if now.saturating_add(Self::SLACK) < last {
            let behind = last - wall;
            self.ahead.store(behind, Ordering::Release);
            tracing::warn!(behind_ms = behind / 1_000_000, "the clock was set back; time goes on");
            now = last;
        }
        if now > last.saturating_add(Self::NOTED_EVERY) {
            self.last.fetch_max(now, Ordering::AcqRel);
        }
        SystemTime::UNIX_EPOCH + Duration::from_nanos(now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.0 {
            Source::System { .. } => "system",
            Source::Manual(_) => "manual",
        };
        write!(f, "Clock({name}, {:?})", self.elapsed())
    }
}

/// Unix milliseconds of an instant; 0 for what was before.
pub(crate) fn unix_ms(instant: SystemTime) -> u64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The instant of so many Unix milliseconds.
pub(crate) fn from_unix_ms(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}

/// What [`Clock::sleep`] returns.
pub enum Sleep {
    /// Sleeps by the system's clock.
    System(Pin<Box<tokio::time::Sleep>>),
    /// Sleeps by a manual clock.
    Manual(ManualSleep),
}

/// A sleeper of a manual clock.
pub struct ManualSleep {
    clock: Arc<Mutex<Manual>>,
    place: (Duration, u64),
}

impl ManualSleep {
    fn new(clock: &Arc<Mutex<Manual>>, moment: Duration) -> Self {
        let mut manual = clock.lock();
        manual.sleeper_next += 1;
        let place = (moment, manual.sleeper_next);
        Self { clock: Arc::clone(clock), place }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::System(sleep) => sleep.as_mut().poll(cx),
            Self::Manual(sleep) => {
                let mut manual = sleep.clock.lock();
                if manual.elapsed >= sleep.place.0 {
                    return Poll::Ready(());
                }
                manual.sleepers.insert(sleep.place, cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        self.clock.lock().sleepers.remove(&self.place);
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleep")
    }
}

impl fmt::Debug for ManualSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualSleep({:?})", self.place.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_wakes_who_is_due_and_nobody_else() {
        let clock = Clock::manual();
        let mut cx = Context::from_waker(Waker::noop());
        let mut short = clock.sleep(Duration::from_millis(10));
        let mut long = clock.sleep(Duration::from_millis(11));
        assert!(Pin::new(&mut short).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut long).poll(&mut cx).is_pending());
        clock.advance(Duration::from_millis(10));
        assert!(Pin::new(&mut short).poll(&mut cx).is_ready());
        assert!(Pin::new(&mut long).poll(&mut cx).is_pending());
    }

    #[test]
    fn time_goes_on_when_the_wall_clock_is_set_back() {
        let clock = Clock::manual();
        let (began, hour) = (clock.now(), Duration::from_secs(3_600));
        clock.set_wall(began - hour);
        assert_eq!(clock.now(), began);
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), began + Duration::from_secs(5));
        clock.set_wall(began + hour);
        assert_eq!(clock.now(), began + hour, "set forward, it is the wall clock again");
    }

    #[test]
    fn a_dropped_sleeper_leaves_nothing_behind() {
        let clock = Clock::manual();
        let mut sleep = clock.sleep(Duration::from_secs(1));
        assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(sleep);
        let Source::Manual(manual) = &clock.0 else { unreachable!() };
        assert!(manual.lock().sleepers.is_empty());
    }
}
