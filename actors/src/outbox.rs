//! The outbox: what one actor's turn sends to another actor, taken exactly once.
//!
//! A letter is written with the commit of the sender's turn and removed with the commit of the turn
//! that took it: as long as it is in the store it was not taken, and once it is gone it was. A
//! crash in between, or a delivery tried twice, changes nothing about that. Letters of one sender
//! to one receiver are taken in the order in which they were sent.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use lanekeeper_storage::{LoadError, ScanLimit, key, record::LetterRecord};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::{Actor, Handler, Request, Turn, event::Event, runtime::Runtime};

/// Letters read at once, and taken in one turn.
const PAGE: ScanLimit = ScanLimit { count_max: 128, bytes_max: 4 << 20 };
/// Receivers that are delivered to at once.
const DELIVERIES_MAX: usize = 64;
/// How long a delivery that failed waits for the next try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Letters sent by this process; with the epoch of the store's owner it makes their numbers unique
/// and growing.
static SENT: AtomicU32 = AtomicU32::new(0);

/// Who gets a letter: kind and key.
type Receiver = (String, String);

/// What the delivery of letters keeps between its runs.
pub(crate) struct Outbox {
    /// The smallest number that a letter may have which is still to be looked at.
    first: Mutex<u64>,
    /// Receivers that are delivered to just now, each with the first letter that has to wait.
    under_way: Mutex<HashMap<Receiver, Option<u64>>>,
    places: Arc<Semaphore>,
    pub(crate) changed: Notify,
    /// Letters were taken.
    taken: Notify,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            first: Mutex::new(0),
            under_way: Mutex::default(),
            places: Arc::new(Semaphore::new(DELIVERIES_MAX)),
            changed: Notify::new(),
            taken: Notify::new(),
        }
    }
}

impl Outbox {
    /// Has the letters from this number on looked at.
    pub(crate) fn look_from(&self, number: u64) {
        let mut first = self.first.lock();
        *first = number.min(*first);
        drop(first);
        self.changed.notify_one();
    }
}

impl<A: Actor> Turn<'_, A> {
    /// Sends a letter to an actor, with this turn's commit: it gets [`Actor::on_letter`] exactly
    /// once, activated for it if need be, also after a restart, and in the order in which this
    /// actor sent its letters. Answers the letter's number.
    pub(crate) fn send<B: Actor>(&mut self, actor_key: &str, content: Bytes) -> u64 {
        let runtime = &self.meta.seat.kind.runtime;
        let epoch = runtime.fence(A::KIND, &self.meta.seat.key).epoch;
        let number = epoch.number(SENT.fetch_add(1, Ordering::Relaxed));
        let (kind, actor_key) = (B::KIND.to_owned(), actor_key.to_owned());
        let record = LetterRecord { kind, actor_key, content };
        self.effects.batch.add(key::letter(number), record.encode());
        self.effects.first_letter.get_or_insert(number);
        number
    }
}

/// The turn in which an actor takes letters.
pub(crate) struct Letters(pub(crate) Vec<u64>);

impl Request for Letters {
    type Reply = Result<(), LoadError>;
}

impl<A: Actor> Handler<Letters> for A {
    async fn handle(
        &mut self,
        Letters(numbers): Letters,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        for number in numbers {
            // Without its record it was taken before.
            let Some(record) = turn.store().get(&key::letter(number))? else { continue };
            let content = LetterRecord::decode(&record)?.content;
            self.on_letter(content, turn).await?;
            turn.batch().delete(key::letter(number));
        }
        Ok(())
    }
}

/// Begins to deliver every letter that waits for it.
pub(crate) async fn run_once(runtime: &Arc<Runtime>) -> Result<(), LoadError> {
    let outbox = &runtime.outbox;
    let first = std::mem::replace(&mut *outbox.first.lock(), u64::MAX);
    let mut range = key::letters_from(first);
    loop {
        let page = runtime.store.scan(range.clone(), PAGE).await;
        let page = page.inspect_err(|_| outbox.look_from(first))?;
        let mut letters: BTreeMap<Receiver, Vec<u64>> = BTreeMap::new();
        for (letter, record) in &page {
            let Some(number) = key::letter_number(letter) else { continue };
            match LetterRecord::decode(record) {
                Ok(LetterRecord { kind, actor_key, .. }) => {
                    letters.entry((kind, actor_key)).or_default().push(number);
                }
                Err(error) => tracing::error!(number, %error, "a letter cannot be read"),
            }
        }
        for (receiver, numbers) in letters {
            deliver(runtime, receiver, numbers).await;
        }
        let Some((last, _)) = page.last() else { return Ok(()) };
        range = range.after(last);
    }
}

/// Delivers letters to one receiver, unless that is under way: then they wait for its end.
async fn deliver(runtime: &Arc<Runtime>, receiver: Receiver, numbers: Vec<u64>) {
    let Some(kind) = runtime.kind_named(&receiver.0) else {
        // They wait in the store until their kind is registered.
        return;
    };
    let Some(&first) = numbers.first() else { return };
    {
        let mut under_way = runtime.outbox.under_way.lock();
        if let Some(waiting) = under_way.get_mut(&receiver) {
            waiting.get_or_insert(first);
            return;
        }
        under_way.insert(receiver.clone(), None);
    }
    let places = Arc::clone(&runtime.outbox.places);
    let place = places.acquire_owned().await.expect("the semaphore is never closed");
    let delivery = runtime.deliveries.begin();
    let runtime = Arc::clone(runtime);
    runtime.clone().executor.spawn(async move {
        let _place = place;
        let mut left = None;
        let taken = kind.take_letters(&receiver.1, numbers).await;
        drop(delivery);
        match taken {
            Ok(id) => runtime.events.emit(|| Event::LettersTaken { id }),
            Err(error) => {
                let (kind, actor_key) = &receiver;
                tracing::warn!(%kind, %actor_key, %error, "letters are delivered again");
                left = Some(first);
                runtime.clock.sleep(RETRY_AFTER).await;
            }
        }
        let waiting = runtime.outbox.under_way.lock().remove(&receiver).flatten();
        if let Some(left) = left.into_iter().chain(waiting).min() {
            runtime.outbox.look_from(left);
        }
        runtime.outbox.taken.notify_waiters();
    });
}

/// Waits until a letter was taken, or so long; true if it was. Dropping the future is safe.
pub(crate) async fn wait_taken(
    runtime: &Runtime,
    number: u64,
    wait: Duration,
) -> Result<bool, LoadError> {
    let letter = key::letter(number);
    let mut sleep = std::pin::pin!(runtime.clock.sleep(wait));
    loop {
        let taken = runtime.outbox.taken.notified();
        if runtime.store.get(&letter)?.is_none() {
            return Ok(true);
        }
        tokio::select! {
            () = taken => {}
            () = &mut sleep => return Ok(false),
        }
    }
}
