//! Timers: turns that come by themselves, and die with the activation that armed them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, ReentrantMutex};
use tokio::sync::Notify;

use crate::{
    actor::{
        error::NotExecuted,
        id::ActorId,
        virtual_actor::{Actor, Handler, Request},
    },
    maintenance::in_flight::InFlightGuard,
    node::event::Event,
    runtime::{
        activation::{Activation, Meta, TurnOutcome},
        mailbox::{BoxFuture, WaitingRequest},
        shared_state::Runtime,
        turn::{self, Turn},
    },
    time::clock::Driven,
};

/// When a timer is due, by the node's monotonic clock, and its number.
pub(crate) type TimerPlace = (Duration, u64);

/// The timers of one activation.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "no timers are one word in every activation")]
pub(crate) struct ArmedTimers(Option<Box<Vec<NamedTimer>>>);

type NamedTimer = (Box<str>, TimerPlace);

impl ArmedTimers {
    fn remove(&mut self, name: &str) -> Option<TimerPlace> {
        let armed = self.0.as_mut()?;
        let index = armed.iter().position(|(armed, _)| **armed == *name)?;
        Some(armed.swap_remove(index).1)
    }

    fn insert(&mut self, name: &str, place: TimerPlace) {
        self.0.get_or_insert_default().push((name.into(), place));
    }

    fn is_armed(&self, name: &str, place: TimerPlace) -> bool {
        self.0
            .iter()
            .flat_map(|armed| armed.iter())
            .any(|(armed, at)| **armed == *name && *at == place)
    }
}

/// A pending timer, in the list of armed timers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmedTimer {
    /// Whose it is.
    pub id: ActorId,
    /// Its name.
    pub name: String,
    /// When it fires, by the node's monotonic clock.
    pub due: Duration,
}

struct WaitingTimer {
    id: ActorId,
    name: Box<str>,
    fire: Box<dyn FnOnce() + Send>,
}

/// Every timer of a node, in the order in which they are due.
#[derive(Default)]
pub(crate) struct Timers {
    waiting: Mutex<BTreeMap<TimerPlace, WaitingTimer>>,
    number_next: AtomicU64,
    pub(crate) changed: Notify,
    /// Held while what is due is fired: with a manual clock, its mover and the service both do.
    firing: ReentrantMutex<()>,
}

impl Timers {
    fn arm(&self, place: TimerPlace, timer: WaitingTimer) {
        let mut waiting = self.waiting.lock();
        let is_first = waiting.first_key_value().is_none_or(|(first, _)| place < *first);
        waiting.insert(place, timer);
        drop(waiting);
        if is_first {
            self.changed.notify_one();
        }
    }

    fn disarm(&self, place: TimerPlace) {
        let disarmed = self.waiting.lock().remove(&place);
        drop(disarmed);
    }

    pub(crate) fn disarm_all(&self, armed: &mut ArmedTimers) {
        armed
            .0
            .take()
            .into_iter()
            .flat_map(|armed| *armed)
            .for_each(|(_, place)| self.disarm(place));
    }

    pub(crate) fn first_due(&self) -> Option<Duration> {
        self.first_due_from(Duration::ZERO)
    }

    /// The first moment from this one on for which a timer waits.
    pub(crate) fn first_due_from(&self, from: Duration) -> Option<Duration> {
        self.waiting.lock().range((from, 0)..).next().map(|((due, _), _)| *due)
    }

    pub(crate) fn list(&self) -> Vec<ArmedTimer> {
        let waiting = self.waiting.lock();
        let timer = |((due, _), timer): (&TimerPlace, &WaitingTimer)| ArmedTimer {
            id: timer.id.clone(),
            name: timer.name.to_string(),
            due: *due,
        };
        waiting.iter().map(timer).collect()
    }

    /// Fires what is due; the turns run as far as they go without waiting. What they arm meanwhile
    /// is left for the next time, though it be due: who arms a timer for now in the turn of that
    /// very timer, again and again, must not keep everything else waiting.
    pub(crate) fn run_once(&self, now: Duration) {
        let _alone = self.firing.lock();
        let end = self.number_next.load(Ordering::Relaxed);
        loop {
            let mut waiting = self.waiting.lock();
            match waiting.first_entry() {
                Some(first) if first.key().0 <= now && first.key().1 < end => {
                    let timer = first.remove();
                    drop(waiting);
                    (timer.fire)();
                }
                _ => return,
            }
        }
    }
}

impl Driven for Runtime {
    fn first_due(&self, from: Duration) -> Option<Duration> {
        self.timers.first_due_from(from)
    }

    fn run_due(&self, now: Duration) {
        self.timers.run_once(now);
    }
}

/// The request of a timer on its way to its actor.
struct TimerFired<R> {
    name: Box<str>,
    place: TimerPlace,
    request: R,
    again: Option<TimerTick<R>>,
    /// From when it is fired until its turn has ended.
    delivery: Option<InFlightGuard>,
}

/// How a repeating timer repeats.
struct TimerTick<R> {
    period: Duration,
    copy: fn(&R) -> R,
}

impl<A: Handler<R>, R: Request> WaitingRequest<A> for TimerFired<R> {
    fn run(self: Box<Self>, mut activation: Box<Activation<A>>) -> BoxFuture<TurnOutcome<A>> {
        let Self { name, place, request, again, delivery } = *self;
        // It may have been cancelled, or armed anew, or have outlived its activation.
        if !activation.meta.timers.is_armed(&name, place) {
            return Box::pin(async { TurnOutcome::Alive(activation) });
        }
        activation.meta.timers.remove(&name);
        if let Some(again) = again {
            let due = place.0 + again.period;
            let next = (again.copy)(&request);
            arm(&mut activation.meta, &name, due, next, Some(again));
        }
        Box::pin(async move {
            let kind = Arc::clone(&activation.meta.guard.kind);
            let id = activation.meta.guard.id();
            let (outcome_step, outcome) = turn::run(activation, request, None).await;
            if let Err(error) = outcome {
                tracing::warn!(actor = %id, timer = %name, %error, "the turn of a timer failed");
            }
            kind.runtime.events.emit(|| Event::TimerFired { id, name: name.into() });
            drop(delivery);
            outcome_step
        })
    }

    fn refuse(self: Box<Self>, error: NotExecuted) {
        tracing::debug!(timer = %self.name, %error, "a timer died with its activation");
    }
}

fn arm<A: Handler<R>, R: Request>(
    meta: &mut Meta<A>,
    name: &str,
    due: Duration,
    request: R,
    again: Option<TimerTick<R>>,
) {
    let runtime = Arc::clone(&meta.guard.kind.runtime);
    if let Some(place) = meta.timers.remove(name) {
        runtime.timers.disarm(place);
    }
    let place = (due, runtime.timers.number_next.fetch_add(1, Ordering::Relaxed));
    meta.timers.insert(name, place);
    let mut fired =
        Box::new(TimerFired { name: name.into(), place, request, again, delivery: None });
    let (kind, hash, id) = (Arc::clone(&meta.guard.kind), meta.guard.hash, meta.guard.id());
    let generation = meta.guard.generation();
    let key = Arc::clone(&id.key);
    let fire = Box::new(move || {
        fired.delivery = Some(kind.runtime.in_flight.begin());
        kind.deliver_timer(hash, &key, generation, fired);
    });
    runtime.timers.arm(place, WaitingTimer { id, name: name.into(), fire });
}

impl<A: Actor> Turn<'_, A> {
    /// Arms a timer: `after` from now the actor gets `request` as a turn of its own. A timer of the
    /// same name is replaced. It ends with this activation and does not activate the actor; use
    /// [`Turn::remind`] for a durable call.
    pub fn timer<R: Request>(&mut self, name: &str, after: Duration, request: R)
    where
        A: Handler<R>,
    {
        let due = self.meta.guard.kind.runtime.clock.elapsed() + after;
        arm(self.meta, name, due, request, None);
    }

    /// As [`Turn::timer`], repeated each `period` (at least a millisecond).
    pub fn timer_every<R: Request + Clone>(&mut self, name: &str, period: Duration, request: R)
    where
        A: Handler<R>,
    {
        let period = period.max(Duration::from_millis(1));
        let due = self.meta.guard.kind.runtime.clock.elapsed() + period;
        arm(self.meta, name, due, request, Some(TimerTick { period, copy: R::clone }));
    }

    /// Disarms a timer; false if no timer of this name was armed.
    pub fn cancel_timer(&mut self, name: &str) -> bool {
        let Some(place) = self.meta.timers.remove(name) else { return false };
        self.meta.guard.kind.runtime.timers.disarm(place);
        true
    }
}
