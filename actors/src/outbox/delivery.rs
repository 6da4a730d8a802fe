//! The outbox: what one actor's turn sends to another actor, taken exactly once.
//!
//! A letter is written with the commit of the sender's turn and removed with the commit of the turn
//! that took it: as long as it is in the store it was not taken, and once it is gone it was. A
//! crash in between, or a delivery tried twice, changes nothing about that. Letters of one sender
//! to one receiver are taken in the order in which they were sent.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use lanekeeper_storage::{Batch, Epoch, Key, LoadError, ScanLimit, key, record::OutboxRecord};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore};

use crate::{
    actor::virtual_actor::{Actor, Handler, Request},
    node::event::Event,
    outbox::delivery_queue::{DeliveryQueue, Receiver},
    runtime::{actor_type::ErasedActorType, shared_state::Runtime, turn::Turn},
};

/// Letters read at once, and taken in one turn.
const PAGE: ScanLimit = ScanLimit { count_max: 128, bytes_max: 4 << 20 };
/// Receivers that are delivered to at once.
const DELIVERIES_MAX: usize = 64;
/// How long a delivery that failed waits for the next try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Letters numbered by this process; with the epoch of the store's owner it makes their numbers
/// unique and growing.
static NUMBERED: AtomicU64 = AtomicU64::new(0);

/// What the delivery of letters keeps between its runs.
pub(crate) struct Outbox {
    /// The smallest number that a letter may have which is still to be looked at. Held while
    /// letters get their numbers and are committed: so numbers grow from commit to commit, and
    /// below the next number every letter there will ever be is in the store.
    first: Mutex<u64>,
    delivery_queue: Mutex<DeliveryQueue>,
    places: Arc<Semaphore>,
    pub(crate) changed: Notify,
    /// Letters were taken.
    taken: Notify,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            first: Mutex::new(0),
            delivery_queue: Mutex::default(),
            places: Arc::new(Semaphore::new(DELIVERIES_MAX)),
            changed: Notify::new(),
            taken: Notify::new(),
        }
    }
}

impl Outbox {
    /// Has the letters from this number on looked at.
    pub(crate) fn look_from(&self, number: u64) {
        self.sequencer().note(number);
    }

    fn sequencer(&self) -> OutboxSequencer<'_> {
        OutboxSequencer { first: self.first.lock(), changed: &self.changed }
    }
}

/// The right to number letters, until they are committed.
struct OutboxSequencer<'a> {
    first: MutexGuard<'a, u64>,
    changed: &'a Notify,
}

impl OutboxSequencer<'_> {
    fn note(&mut self, number: u64) {
        *self.first = number.min(*self.first);
        self.changed.notify_one();
    }
}

/// Letters that a turn sends: one at least.
#[derive(Default)]
pub(crate) struct OutboxMessages {
    records: Vec<Bytes>,
    last: Option<OutboxId>,
}

/// The number of a letter, once it is committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutboxId(Arc<AtomicU64>);

impl OutboxMessages {
    /// Commits a batch with these letters in it.
    pub(crate) fn post<T, E>(
        self,
        outbox: &Outbox,
        epoch: Epoch,
        mut batch: Batch,
        commit: impl FnOnce(Batch) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut sequencer = outbox.sequencer();
        let sent = self.records.len() as u64;
        let first = NUMBERED.fetch_add(sent, Ordering::Relaxed);
        for (count, record) in (first..).zip(self.records) {
            batch.add(key::outbox_message(epoch.long_number(count)), record);
        }
        if let Some(OutboxId(last)) = &self.last {
            last.store(epoch.long_number(first + sent - 1), Ordering::Relaxed);
        }
        let committed = commit(batch)?;
        sequencer.note(epoch.long_number(first));
        Ok(committed)
    }
}

impl<A: Actor> Turn<'_, A> {
    /// Sends a letter to an actor, with this turn's commit: it gets [`Actor::on_letter`] exactly
    /// once, activated for it if need be, also after a restart, and in the order in which this
    /// actor sent its letters.
    pub(crate) fn send<B: Actor>(&mut self, actor_key: &str, content: Bytes) {
        let (kind, actor_key) = (B::KIND.to_owned(), actor_key.to_owned());
        let record = OutboxRecord { kind, actor_key, content };
        self.effects.outbox_messages.get_or_insert_default().records.push(record.encode());
    }

    /// The number that the last letter of this turn will have; nothing if it sent none.
    pub(crate) fn last_letter(&mut self) -> Option<OutboxId> {
        let outbox_messages = self.effects.outbox_messages.as_mut()?;
        Some(outbox_messages.last.get_or_insert_default().clone())
    }
}

/// The turn in which an actor takes letters.
pub(crate) struct DeliverOutbox(pub(crate) Vec<u64>);

impl Request for DeliverOutbox {
    type Reply = Result<(), LoadError>;
}

impl<A: Actor> Handler<DeliverOutbox> for A {
    async fn handle(
        &mut self,
        DeliverOutbox(numbers): DeliverOutbox,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        for number in numbers {
            // Without its record it was taken before.
            let Some(record) = turn.store().get(&key::outbox_message(number))? else { continue };
            let content = OutboxRecord::decode(&record)?.content;
            self.on_letter(content, turn).await?;
            turn.lasting().delete(key::outbox_message(number));
        }
        Ok(())
    }
}

/// Begins to deliver every letter that waits for it.
pub(crate) async fn run_once(runtime: &Arc<Runtime>) -> Result<(), LoadError> {
    let outbox = &runtime.outbox;
    // A kind that is registered later has everything looked at again.
    let (kinds, first, end) = runtime.with_kinds(|kinds| {
        let mut first = outbox.first.lock();
        let end = runtime.epoch().long_number(NUMBERED.load(Ordering::Relaxed));
        (kinds.clone(), std::mem::replace(&mut *first, u64::MAX), end)
    });
    let mut scan = outbox.delivery_queue.lock().scan(first);
    loop {
        let range = key::letters_between(scan.page, end);
        let page = runtime.store.scan(range, PAGE).await;
        let page = page.inspect_err(|_| outbox.look_from(scan.page))?;
        let Some((last, _)) = page.last() else { break };
        for (receiver, numbers) in sorted(&page) {
            // They wait in the store until their kind is registered.
            let Some(kind) = kinds.get(&*receiver.0) else { continue };
            if outbox.delivery_queue.lock().begin(&receiver, numbers[0], &scan) {
                deliver(runtime, Arc::clone(kind), receiver, numbers).await;
            }
        }
        scan.page = key::letter_number(last).map_or(end, |number| number + 1);
    }
    outbox.delivery_queue.lock().looked(&scan);
    Ok(())
}

/// The numbers of the letters of a page, by receiver.
fn sorted(page: &[(Key, Bytes)]) -> BTreeMap<Receiver, Vec<u64>> {
    let mut outbox_messages: BTreeMap<Receiver, Vec<u64>> = BTreeMap::new();
    for (outbox_message, record) in page {
        let Some(number) = key::letter_number(outbox_message) else { continue };
        match OutboxRecord::decode(record) {
            Ok(OutboxRecord { kind, actor_key, .. }) => {
                outbox_messages.entry((kind, actor_key)).or_default().push(number);
            }
            Err(error) => tracing::error!(number, %error, "a letter cannot be read"),
        }
    }
    outbox_messages
}

/// Delivers letters to one receiver, which has no other delivery under way.
async fn deliver(
    runtime: &Arc<Runtime>,
    kind: Arc<dyn ErasedActorType>,
    receiver: Receiver,
    numbers: Vec<u64>,
) {
    let places = Arc::clone(&runtime.outbox.places);
    let place = places.acquire_owned().await.expect("the semaphore is never closed");
    let mut delivery = Some(runtime.in_flight.begin());
    let runtime = Arc::clone(runtime);
    runtime.clone().executor.spawn(async move {
        let _place = place;
        let first = numbers[0];
        let mut failed = None;
        match kind.take_letters(&receiver.1, numbers).await {
            Ok(id) => runtime.events.emit(|| Event::LettersTaken { id }),
            Err(error) => {
                let (kind, actor_key) = &receiver;
                tracing::warn!(%kind, %actor_key, %error, "letters are delivered again");
                failed = Some(first);
                delivery.take();
                runtime.clock.sleep(RETRY_AFTER).await;
            }
        }
        let outbox = &runtime.outbox;
        let next = outbox.delivery_queue.lock().end(receiver, failed);
        next.into_iter().for_each(|next| outbox.look_from(next));
        outbox.taken.notify_waiters();
        drop(delivery);
    });
}

/// Waits until a letter was taken, or so long; true if it was. Dropping the future is safe.
pub(crate) async fn wait_taken(
    runtime: &Runtime,
    OutboxId(number): &OutboxId,
    wait: Duration,
) -> Result<bool, LoadError> {
    let outbox_message = key::outbox_message(number.load(Ordering::Relaxed));
    let mut sleep = std::pin::pin!(runtime.clock.sleep(wait));
    loop {
        let taken = runtime.outbox.taken.notified();
        if runtime.store.get(&outbox_message)?.is_none() {
            return Ok(true);
        }
        tokio::select! {
            () = taken => {}
            () = &mut sleep => return Ok(false),
        }
    }
}
