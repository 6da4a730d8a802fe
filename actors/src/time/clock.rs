//! The one clock of a node: everything that asks for the time asks here.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;

use crate::runtime::call_chain;

/// Wall time, for users and for times that survive a restart, and monotonic time, for timeouts.
/// Cloning shares the clock.
#[derive(Clone)]
pub struct Clock(ClockSource);

#[derive(Clone)]
enum ClockSource {
    System { origin: Instant, wall: Arc<Onward> },
    Manual(Arc<Mutex<Manual>>),
}

struct Manual {
    wall: SystemTime,
    onward: Onward,
    elapsed: Duration,
    sleeper_next: u64,
    sleepers: BTreeMap<(Duration, u64), Sleeper>,
    driven: Vec<Weak<dyn Driven>>,
}

/// Who sleeps by a manual clock.
struct Sleeper {
    waker: Waker,
    kind: SleeperKind,
}

/// What a sleeper is waited for by, and what not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SleeperKind {
    /// Whoever asked for it.
    Other,
    /// A turn, which goes on when it wakes.
    Turn,
    /// A service of the node, which does nothing at that moment that moving the clock does not.
    Service,
}

/// What happens by itself at moments of a manual clock, and is done by whoever moves it.
pub(crate) trait Driven: Send + Sync {
    /// The first moment of monotonic time, from this one on, at which something is to happen.
    fn first_due(&self, from: Duration) -> Option<Duration>;

    /// Does what is due by `now`, or begins it.
    fn run_due(&self, now: Duration);
}

impl Clock {
    /// The clock of the operating system.
    pub fn system() -> Self {
        Self(ClockSource::System { origin: Instant::now(), wall: Arc::default() })
    }

    /// A clock that moves only by [`advance`](Clock::advance). It begins at 2026-01-01T00:00:00Z.
    pub fn manual() -> Self {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let manual = Manual {
            wall,
            onward: Onward::default(),
            elapsed: Duration::ZERO,
            sleeper_next: 0,
            sleepers: BTreeMap::new(),
            driven: Vec::new(),
        };
        Self(ClockSource::Manual(Arc::new(Mutex::new(manual))))
    }

    /// Wall time, which never runs backwards: when the system clock is set back by a second or
    /// more, it continues from where it was until the system clock has caught up. The same holds
    /// over a restart, if the data directory has a time that is more than 2 s later than the system
    /// clock.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            ClockSource::System { wall, .. } => wall.follow(SystemTime::now()),
            ClockSource::Manual(manual) => {
                let manual = manual.lock();
                manual.onward.follow(manual.wall)
            }
        }
    }

    /// Wall time in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        unix_ms(self.now())
    }

    /// Has wall time go on from a later time than the clock that it follows tells.
    pub(crate) fn go_on_from(&self, time: SystemTime) {
        match &self.0 {
            ClockSource::System { wall, .. } => wall.go_on_from(time, SystemTime::now()),
            ClockSource::Manual(manual) => {
                let manual = manual.lock();
                manual.onward.go_on_from(time, manual.wall);
            }
        }
    }

    /// How far wall time is ahead of the clock that it follows.
    pub(crate) fn ahead(&self) -> Duration {
        self.now();
        let ahead = match &self.0 {
            ClockSource::System { wall, .. } => wall.ahead.load(Ordering::Acquire),
            ClockSource::Manual(manual) => manual.lock().onward.ahead.load(Ordering::Acquire),
        };
        Duration::from_nanos(ahead)
    }

    /// Monotonic time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            ClockSource::System { origin, .. } => origin.elapsed(),
            ClockSource::Manual(manual) => manual.lock().elapsed,
        }
    }

    /// Ready after `duration` of monotonic time. Dropping it is safe at any time.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.elapsed().saturating_add(duration))
    }

    /// Ready once the [monotonic time](Clock::elapsed) is `moment`, whatever becomes of the clock
    /// between the choice of that moment and this call. Dropping it is safe at any time.
    pub fn sleep_until(&self, moment: Duration) -> Sleep {
        match &self.0 {
            ClockSource::System { origin, .. } => {
                let left = moment.saturating_sub(origin.elapsed());
                Sleep::System(Box::pin(tokio::time::sleep(left)))
            }
            ClockSource::Manual(manual) => Sleep::Manual(ManualSleep::new(manual, moment)),
        }
    }

    /// As [`Clock::sleep`], for a service whose work is also done by whoever moves the clock.
    pub(crate) fn doze(&self, duration: Duration) -> Sleep {
        let mut sleep = self.sleep(duration);
        if let Sleep::Manual(sleep) = &mut sleep {
            sleep.is_service = true;
        }
        sleep
    }

    /// Whether it moves only by [`advance`](Clock::advance).
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.0, ClockSource::Manual(_))
    }

    /// Has what is driven done by whoever moves this clock, if it is a manual one.
    pub(crate) fn drive(&self, driven: Weak<dyn Driven>) {
        if let ClockSource::Manual(manual) = &self.0 {
            manual.lock().driven.push(driven);
        }
    }

    /// Moves a manual clock, both wall and monotonic time. It stops at each moment at which a timer
    /// of a node with this clock is due, and runs its turn on this thread until it has to wait.
    /// Sleepers are woken.
    ///
    /// Everything else that falls due meanwhile (reminders, leases, delays, time limits) follows in
    /// the background. [`Node::advance`](crate::node::lifecycle::Node::advance) does that too, in
    /// order, and returns when it is done.
    ///
    /// # Panics
    /// On the system clock, which cannot be moved.
    pub fn advance(&self, duration: Duration) {
        let manual = self.manual_only("moved");
        let end = manual.lock().elapsed.saturating_add(duration);
        let mut rounds = 0;
        loop {
            let driven: Vec<_> = {
                let mut manual = manual.lock();
                manual.driven.retain(|driven| driven.strong_count() > 0);
                manual.driven.iter().filter_map(Weak::upgrade).collect()
            };
            // What makes more of itself due at this moment, again and again, is left alone then.
            let from = if rounds < ROUNDS_MAX { Duration::ZERO } else { after(self.elapsed()) };
            let first = driven.iter().filter_map(|driven| driven.first_due(from)).min();
            let Some(due) = first.filter(|due| *due <= end) else { break };
            rounds = if move_to(manual, due) { 0 } else { rounds + 1 };
            driven.iter().for_each(|driven| driven.run_due(due));
        }
        move_to(manual, end);
    }

    /// The first moment for which somebody sleeps who is not just a service.
    pub(crate) fn first_sleeper(&self) -> Option<Duration> {
        let ClockSource::Manual(manual) = &self.0 else { return None };
        let manual = manual.lock();
        let mut others = manual.sleepers.iter().filter(|(_, own)| own.kind != SleeperKind::Service);
        others.next().map(|((moment, _), _)| *moment)
    }

    /// Whether a turn sleeps by this clock, which is a manual one.
    pub(crate) fn is_slept_by_in_a_turn(&self) -> bool {
        let ClockSource::Manual(manual) = &self.0 else { return false };
        manual.lock().sleepers.values().any(|own| own.kind == SleeperKind::Turn)
    }

    fn manual_only(&self, verb: &str) -> &Arc<Mutex<Manual>> {
        match &self.0 {
            ClockSource::Manual(manual) => manual,
            ClockSource::System { .. } => panic!("the system's clock cannot be {verb}"),
        }
    }

    /// Sets the wall time of a manual clock, as an administrator may; monotonic time and
    /// [`Clock::now`] do not go back.
    ///
    /// # Panics
    /// On the system's clock.
    pub fn set_wall(&self, wall: SystemTime) {
        let mut manual = self.manual_only("set").lock();
        manual.onward.follow(manual.wall);
        manual.wall = wall;
        manual.onward.follow(wall);
    }
}

/// Rounds of what is due at one moment at most: what makes more of itself due at once, again and
/// again, does not hold the clock up for ever.
pub(crate) const ROUNDS_MAX: usize = 100;

/// The first moment after this one.
pub(crate) fn after(moment: Duration) -> Duration {
    moment + Duration::from_nanos(1)
}

/// Moves a manual clock on to a moment, if that is ahead, and wakes who sleeps until then. Answers
/// whether it was.
fn move_to(manual: &Mutex<Manual>, moment: Duration) -> bool {
    let mut manual = manual.lock();
    let by = moment.saturating_sub(manual.elapsed);
    manual.elapsed += by;
    manual.wall += by;
    let end = (after(manual.elapsed), 0);
    let later = manual.sleepers.split_off(&end);
    let due = std::mem::replace(&mut manual.sleepers, later);
    drop(manual);
    due.into_values().for_each(|sleeper| sleeper.waker.wake());
    !by.is_zero()
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

    fn go_on_from(&self, time: SystemTime, wall: SystemTime) {
        let (time, wall) = (unix_ns(time), unix_ns(wall));
        self.last.fetch_max(time, Ordering::AcqRel);
        self.ahead.store(time.saturating_sub(wall), Ordering::Release);
    }

    fn follow(&self, wall: SystemTime) -> SystemTime {
        let wall = unix_ns(wall);
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
            ClockSource::System { .. } => "system",
            ClockSource::Manual(_) => "manual",
        };
        write!(f, "Clock({name}, {:?})", self.elapsed())
    }
}

/// Unix nanoseconds of an instant; 0 for what was before, the most there are for what is too late.
fn unix_ns(instant: SystemTime) -> u64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
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
    is_service: bool,
}

impl ManualSleep {
    fn new(clock: &Arc<Mutex<Manual>>, moment: Duration) -> Self {
        let mut manual = clock.lock();
        manual.sleeper_next += 1;
        let place = (moment, manual.sleeper_next);
        Self { clock: Arc::clone(clock), place, is_service: false }
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
                let kind = match sleep.is_service {
                    true => SleeperKind::Service,
                    false if call_chain::current().is_some() => SleeperKind::Turn,
                    false => SleeperKind::Other,
                };
                manual.sleepers.insert(sleep.place, Sleeper { waker: cx.waker().clone(), kind });
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
        let ClockSource::Manual(manual) = &clock.0 else { unreachable!() };
        assert!(manual.lock().sleepers.is_empty());
    }
}
