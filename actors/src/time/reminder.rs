//! Reminders: durable, at least once, and they wake their actor.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use lanekeeper_storage::{
    Batch, Key, LoadError, ScanLimit,
    key::{self, name_is_valid},
    record::{ReminderDue, ReminderRecord},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::{
    actor::virtual_actor::{Actor, Handler, Request},
    node::event::Event,
    runtime::{shared_state::Runtime, turn::Turn},
    time::clock::{from_unix_ms, unix_ms},
};

/// A reminder that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// Its name, unique to the actor.
    pub name: String,
    /// Its due time, which may be long past if the node was down.
    pub due: SystemTime,
    /// The time until it is due again; `None` if it does not repeat.
    pub period: Option<Duration>,
}

/// The reason why a reminder could not be set.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReminderError {
    /// The name is empty, longer than 255 bytes or holds a zero byte.
    #[error("a reminder's name must have 1 to 255 bytes, none of them zero")]
    InvalidName,
    /// A period is shorter than a millisecond.
    #[error("a reminder's period must be at least one millisecond")]
    InvalidPeriod,
    /// The store failed.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Reminders delivered at once.
const DELIVERIES_MAX: usize = 256;
/// How long a delivery that failed waits for the next try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the reminder service keeps between its runs.
pub(crate) struct Reminders {
    under_way: Mutex<HashSet<Key>>,
    places: Arc<Semaphore>,
    /// What the duty sleeps until; the end of time while it looks.
    next_ms: AtomicU64,
    pub(crate) changed: Notify,
}

impl Default for Reminders {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(DELIVERIES_MAX));
        let next_ms = AtomicU64::new(u64::MAX);
        Self { under_way: Mutex::default(), places, next_ms, changed: Notify::new() }
    }
}

impl Reminders {
    /// Has the duty look again if one of these, just committed, is due before it would.
    pub(crate) fn note(&self, changes: &[(String, Option<u64>)]) {
        let Some(first_ms) = changes.iter().filter_map(|(_, due_ms)| *due_ms).min() else { return };
        if first_ms < self.next_ms.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }
}

impl<A: Actor> Turn<'_, A> {
    /// Sets a reminder, written with this turn's commit: at `due` (millisecond precision) the actor
    /// gets [`on_reminder`](crate::actor::virtual_actor::VirtualActor::on_reminder), activated for
    /// it if need be, also after a restart. A reminder of the same name is replaced.
    ///
    /// # Errors
    /// [`ReminderError`]; nothing is set then.
    pub fn remind(&mut self, name: &str, due: SystemTime) -> Result<(), ReminderError> {
        self.set_reminder(name, due, None)
    }

    /// As [`Turn::remind`], repeated each `period`. Due times missed while the node was down are
    /// delivered as one.
    ///
    /// # Errors
    /// [`ReminderError`]; nothing is set then.
    pub fn remind_every(
        &mut self,
        name: &str,
        first: SystemTime,
        period: Duration,
    ) -> Result<(), ReminderError> {
        if period < Duration::from_millis(1) {
            return Err(ReminderError::InvalidPeriod);
        }
        self.set_reminder(name, first, Some(period))
    }

    /// Removes a reminder with this turn's commit; false if no reminder of this name was set.
    ///
    /// # Errors
    /// [`ReminderError::Load`] if the store failed.
    pub fn cancel_reminder(&mut self, name: &str) -> Result<bool, ReminderError> {
        let Some(due_ms) = self.reminder_due_ms(name)? else { return Ok(false) };
        let id = self.id();
        let lasting = self.lasting();
        lasting.delete(key::reminder(due_ms, id.kind, &id.key, name));
        lasting.delete(key::reminder_due(id.kind, &id.key, name));
        self.effects.reminders.push((name.to_owned(), None));
        Ok(true)
    }

    fn set_reminder(
        &mut self,
        name: &str,
        due: SystemTime,
        period: Option<Duration>,
    ) -> Result<(), ReminderError> {
        if !name_is_valid(name) {
            return Err(ReminderError::InvalidName);
        }
        self.cancel_reminder(name)?;
        let id = self.id();
        let record = ReminderRecord {
            kind: id.kind.to_owned(),
            actor_key: id.key.to_string(),
            name: name.to_owned(),
            due_ms: unix_ms(due),
            period_ms: period.map(|period| u64::try_from(period.as_millis()).unwrap_or(u64::MAX)),
        };
        put(self.lasting(), &record);
        self.effects.reminders.push((name.to_owned(), Some(record.due_ms)));
        Ok(())
    }

    /// Moves a reminder of this actor from one due time to another (Unix milliseconds), or removes
    /// it. The caller knows when it was due, so that nothing has to be read. It is as durable as
    /// the rest of the turn.
    pub(crate) fn replace_reminder(
        &mut self,
        name: &str,
        from_ms: Option<u64>,
        due_ms: Option<u64>,
    ) {
        let id = self.id();
        if let Some(from_ms) = from_ms {
            self.effects.batch.delete(key::reminder(from_ms, id.kind, &id.key, name));
        }
        self.effects.reminders.push((name.to_owned(), due_ms));
        let Some(due_ms) = due_ms else {
            return self.effects.batch.delete(key::reminder_due(id.kind, &id.key, name));
        };
        let record = ReminderRecord {
            kind: id.kind.to_owned(),
            actor_key: id.key.to_string(),
            name: name.to_owned(),
            due_ms,
            period_ms: None,
        };
        put(&mut self.effects.batch, &record);
    }

    /// When the reminder of this name is due, as of now in this turn.
    fn reminder_due_ms(&self, name: &str) -> Result<Option<u64>, LoadError> {
        let changed = self.effects.reminders.iter().rev().find(|(changed, _)| changed == name);
        if let Some((_, due_ms)) = changed {
            return Ok(*due_ms);
        }
        let id = self.id();
        let found = self.store().get(&key::reminder_due(id.kind, &id.key, name))?;
        Ok(found.map(|bytes| ReminderDue::decode(&bytes)).transpose()?.map(|due| due.due_ms))
    }
}

fn put(batch: &mut Batch, record: &ReminderRecord) {
    let ReminderRecord { kind, actor_key, name, due_ms, .. } = record;
    batch.put(key::reminder(*due_ms, kind, actor_key, name), record.encode());
    let due = ReminderDue { due_ms: *due_ms };
    batch.put(key::reminder_due(kind, actor_key, name), due.encode());
}

/// The turn of a reminder that is due.
pub(crate) struct Due {
    /// Where it was found.
    pub(crate) key: Key,
    pub(crate) record: ReminderRecord,
}

impl Request for Due {
    type Reply = Result<(), LoadError>;
}

impl<A: Actor> Handler<Due> for A {
    async fn handle(
        &mut self,
        Due { key, record }: Due,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        // It may have been told already, or cancelled, or moved. Should it still be there, nothing
        // else leads to it, and it would be found again and again.
        let id = turn.id();
        let is_own = key == key::reminder(record.due_ms, id.kind, &id.key, &record.name);
        if !is_own || turn.reminder_due_ms(&record.name)? != Some(record.due_ms) {
            if turn.store().get(&key)?.is_some() {
                turn.lasting().delete(key);
            }
            return Ok(());
        }
        let reminder = Reminder {
            name: record.name.clone(),
            due: from_unix_ms(record.due_ms),
            period: record.period_ms.map(Duration::from_millis),
        };
        let next = record.period_ms.map(|period_ms| {
            let missed = unix_ms(turn.now()).saturating_sub(record.due_ms) / period_ms.max(1);
            let later_ms = period_ms.saturating_mul(missed.saturating_add(1));
            from_unix_ms(record.due_ms.saturating_add(later_ms))
        });
        let settled = match next {
            Some(due) => turn.set_reminder(&record.name, due, reminder.period),
            None => turn.cancel_reminder(&record.name).map(drop),
        };
        match settled {
            Ok(()) | Err(ReminderError::InvalidName | ReminderError::InvalidPeriod) => {}
            Err(ReminderError::Load(error)) => return Err(error),
        }
        self.on_reminder(&reminder, turn).await;
        Ok(())
    }
}

/// Delivers what is due and says when the next reminder is (Unix milliseconds).
pub(crate) async fn run_once(runtime: &Arc<Runtime>) -> Result<Option<u64>, LoadError> {
    runtime.reminders.next_ms.store(u64::MAX, Ordering::SeqCst);
    let next_ms = deliver_due(runtime).await?;
    if let Some(next_ms) = next_ms {
        runtime.reminders.next_ms.store(next_ms, Ordering::SeqCst);
    }
    Ok(next_ms)
}

async fn deliver_due(runtime: &Arc<Runtime>) -> Result<Option<u64>, LoadError> {
    let now_ms = runtime.clock.now_ms();
    let mut range = key::reminders();
    loop {
        let page = runtime.store.scan(range.clone(), ScanLimit::count(DELIVERIES_MAX)).await?;
        for (key, value) in &page {
            let record = match ReminderRecord::decode(value) {
                Ok(record) => record,
                Err(error) => {
                    // The others must not wait for it.
                    tracing::error!(?key, %error, "a reminder cannot be read");
                    continue;
                }
            };
            if record.due_ms > now_ms {
                return Ok(Some(record.due_ms));
            }
            if runtime.reminders.under_way.lock().insert(key.clone()) {
                deliver(runtime, key.clone(), record).await;
            }
        }
        let Some((last, _)) = page.last() else { return Ok(None) };
        range = range.after(last);
    }
}

async fn deliver(runtime: &Arc<Runtime>, key: Key, record: ReminderRecord) {
    let Some(kind) = runtime.kind_named(&record.kind) else {
        // It waits in the store until its kind is registered.
        runtime.reminders.under_way.lock().remove(&key);
        return;
    };
    let places = Arc::clone(&runtime.reminders.places);
    let place = places.acquire_owned().await.expect("the semaphore is never closed");
    let delivery = runtime.in_flight.begin();
    let runtime = Arc::clone(runtime);
    runtime.clone().executor.spawn(async move {
        let _place = place;
        let (actor_key, name) = (record.actor_key.clone(), record.name.clone());
        let reminded = kind.remind(key.clone(), record).await;
        // Whatever the turn came to: what is still there is not looked at again at once.
        let is_left = !matches!(runtime.store.get(&key), Ok(None));
        drop(delivery);
        match reminded {
            Ok(id) => runtime.events.emit(|| Event::ReminderFired { id, name }),
            Err(error) => {
                tracing::warn!(%actor_key, reminder = %name, %error, "a reminder is tried again");
            }
        }
        if is_left {
            runtime.clock.sleep(RETRY_AFTER).await;
        }
        runtime.reminders.under_way.lock().remove(&key);
        runtime.reminders.changed.notify_one();
    });
}
