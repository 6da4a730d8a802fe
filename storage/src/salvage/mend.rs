//! Making records agree again: what is derived is made anew from what it is derived from.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{
    codec::CodecError,
    key::{
        self, Key,
        decode::DecodedKey,
        queue::{Arrival, MessageState, Priority, QueueNo},
    },
    record::{
        actor::{ActorState, OutboxRecord, ReminderDue, ReminderRecord},
        gate::{EntryRecord, GateMeta, GatePolicyRecord, GateUsage, GateWaits, StoredEntryState},
        message::{DedupRecord, DueEntry, MessageRecord, MessageStateRecord, SinkRecord},
        node::ClockRecord,
        queue::{PriorityMeta, QueueEntry, QueueMeta, QueueSettings},
        stream::{RetainedMessage, StreamSettings},
        worker::{DepartureRecord, WorkerLease, WorkerMeta, WorkerRecord},
    },
    salvage::{Losses, Records, export::word},
};

/// Makes records agree, and tells what had to be left out for it.
pub(crate) fn mend(records: &mut Records, losses: &mut Losses) {
    leave_out_unreadable(records, losses);
    mend_queues(records, losses);
    mend_dedup(records);
    mend_reminders(records, losses);
    mend_gates(records, losses);
    leave_out_orphans(records, losses);
}

fn leave_out_unreadable(records: &mut Records, losses: &mut Losses) {
    records.retain(|key, value| {
        let wrong = match key::decode::meaning(key) {
            None => Some("the key is unknown".to_owned()),
            Some(meaning) => decode(meaning, value).err().map(|error| error.to_string()),
        };
        if let Some(wrong) = &wrong {
            losses.add(format_args!("{key:?}"), wrong);
        }
        wrong.is_none()
    });
}

fn decode(meaning: DecodedKey<'_>, value: &Bytes) -> Result<(), CodecError> {
    match meaning {
        DecodedKey::Actor(..) => ActorState::decode(value).map(drop),
        DecodedKey::Reminder => ReminderRecord::decode(value).map(drop),
        DecodedKey::ReminderDue(..) => ReminderDue::decode(value).map(drop),
        DecodedKey::QueueEntry(_) => QueueEntry::decode(value).map(drop),
        DecodedKey::QueueMeta(_) => QueueMeta::decode(value).map(drop),
        DecodedKey::QueueSettings(_) => QueueSettings::decode(value).map(drop),
        DecodedKey::StreamSettings(_) => StreamSettings::decode(value).map(drop),
        DecodedKey::StreamRetained(_) => RetainedMessage::decode(value).map(drop),
        DecodedKey::GateMeta(_) => GateMeta::decode(value).map(drop),
        DecodedKey::GatePlace(..) => EntryRecord::decode(value).map(drop),
        DecodedKey::GatePolicy(_) => GatePolicyRecord::decode(value).map(drop),
        DecodedKey::GateUsage(_) => GateUsage::decode(value).map(drop),
        DecodedKey::GateWaits(_) => GateWaits::decode(value).map(drop),
        DecodedKey::Worker(_) => WorkerRecord::decode(value).map(drop),
        DecodedKey::WorkerMeta(_) => WorkerMeta::decode(value).map(drop),
        DecodedKey::Departure => DepartureRecord::decode(value).map(drop),
        DecodedKey::Message(..) => MessageRecord::decode(value).map(drop),
        DecodedKey::Dedup(..) => DedupRecord::decode(value).map(drop),
        DecodedKey::Sink(_) => SinkRecord::decode(value).map(drop),
        DecodedKey::Clock => ClockRecord::decode(value).map(drop),
        DecodedKey::Letter(_) => OutboxRecord::decode(value).map(drop),
        // These are made anew.
        _ => Ok(()),
    }
}

/// What a queue has, counted.
#[derive(Default)]
struct MendedQueue {
    id: Option<String>,
    meta: QueueMeta,
    priority_counts: BTreeMap<Priority, u64>,
    counts: BTreeMap<MessageState, u64>,
    bytes: u64,
    arrival_next: u64,
}

fn mend_queues(records: &mut Records, losses: &mut Losses) {
    let queues = count_queues(records, losses);
    let is_derived = |key: &Key| {
        let meaning = key::decode::meaning(key);
        matches!(
            meaning,
            Some(DecodedKey::Lane(..) | DecodedKey::Due(..) | DecodedKey::WorkerLease(..))
        )
    };
    records.retain(|key, _| !is_derived(key));
    let mut names: BTreeSet<String> =
        queues.values().filter_map(|queue| queue.id.clone()).collect();
    let mut ids = BTreeMap::new();
    for (number, queue) in queues {
        let id = queue.id.clone().unwrap_or_else(|| {
            let free = (0_u64..).map(|n| format!("recovered-{}.{n}", number.0));
            let id = free.into_iter().find(|id| !names.contains(id)).unwrap_or_default();
            losses.add(format_args!("queue number {}", number.0), format_args!("its id: {id} now"));
            names.insert(id.clone());
            records.insert(key::queue::queue_entry(&id), QueueEntry::new(number, 0).encode());
            id
        });
        queue.write(number, &id, records, losses);
        ids.insert(number, id);
    }
    index_messages(&ids, records);
}

/// Counts what the queues have, and puts each message where its state belongs.
fn count_queues(records: &mut Records, losses: &mut Losses) -> BTreeMap<QueueNo, MendedQueue> {
    let mut queues: BTreeMap<QueueNo, MendedQueue> = BTreeMap::new();
    let mut moved = Vec::new();
    records.retain(|key, value| {
        match key::decode::meaning(key) {
            Some(DecodedKey::QueueEntry(id)) => {
                let Ok(entry) = QueueEntry::decode(value) else { return false };
                let queue = queues.entry(entry.queue()).or_default();
                if let Some(other) = &queue.id {
                    losses.add(format_args!("queue {id:?}"), format_args!("it is {other:?} too"));
                    return false;
                }
                queue.id = Some(id.to_owned());
            }
            Some(DecodedKey::QueueMeta(number)) => {
                let meta = QueueMeta::decode(value).unwrap_or_default();
                queues.entry(number).or_default().meta = meta;
            }
            Some(DecodedKey::QueueSettings(number)) => drop(queues.entry(number).or_default()),
            Some(DecodedKey::Message(number, state, priority, arrival)) => {
                let Ok(message) = MessageRecord::decode(value) else { return false };
                let found = message.state.of_key();
                queues.entry(number).or_default().count(found, priority, arrival, &message);
                if found != state {
                    moved.push((
                        key::queue::message(number, found, priority, arrival),
                        value.clone(),
                    ));
                    return false;
                }
            }
            _ => {}
        }
        true
    });
    records.extend(moved);
    queues
}

impl MendedQueue {
    fn count(
        &mut self,
        state: MessageState,
        priority: Priority,
        arrival: Arrival,
        message: &MessageRecord,
    ) {
        *self.counts.entry(state).or_default() += 1;
        if state == MessageState::Ready {
            *self.priority_counts.entry(priority).or_default() += 1;
        }
        self.bytes += message.payload.len() as u64;
        self.arrival_next = self.arrival_next.max(arrival.0 + 1);
    }

    /// Writes the counts, and tells where there were more or fewer.
    fn write(self, number: QueueNo, id: &str, records: &mut Records, losses: &mut Losses) {
        let mut meta = self.meta;
        let told = [
            (MessageState::Ready, &mut meta.ready_count),
            (MessageState::Scheduled, &mut meta.scheduled_count),
            (MessageState::Leased, &mut meta.leased_count),
        ];
        for (state, told) in told {
            let found = self.counts.get(&state).copied().unwrap_or_default();
            if *told != found {
                let what =
                    format!("{told} {} messages were recorded, {found} are there", word(state));
                losses.add(format_args!("queue {id:?}"), what);
            }
            *told = found;
        }
        meta.bytes = self.bytes;
        meta.arrival_next = meta.arrival_next.max(self.arrival_next);
        records.insert(key::queue::queue_meta(number), meta.encode());
        for (priority, ready_count) in self.priority_counts {
            records.insert(
                key::queue::priority_count(number, priority),
                PriorityMeta { ready_count }.encode(),
            );
        }
    }
}

/// Makes what leads to messages: by due time, and by the worker who has them.
fn index_messages(ids: &BTreeMap<QueueNo, String>, records: &mut Records) {
    let mut index = Vec::new();
    for (key, value) in &*records {
        let Some(DecodedKey::Message(number, state, priority, arrival)) = key::decode::meaning(key)
        else {
            continue;
        };
        let Ok(message) = MessageRecord::decode(value) else { continue };
        if let Some(due_ms) = message.due_ms() {
            let entry = DueEntry::new(priority, state).encode();
            index.push((key::queue::due(number, due_ms, arrival), entry));
        }
        if let MessageStateRecord::Leased(lease) = &message.state
            && let (Some(worker), Some(queue_id)) = (&lease.worker, ids.get(&number))
        {
            let entry = WorkerLease { queue_id: queue_id.clone() }.encode();
            index.push((key::queue::worker_lease(worker, number, priority, arrival), entry));
        }
    }
    records.extend(index);
}

fn mend_dedup(records: &mut Records) {
    records.retain(|key, _| !matches!(key::decode::meaning(key), Some(DecodedKey::DedupDue(..))));
    let mut index = Vec::new();
    for (key, value) in &*records {
        if let (Some(DecodedKey::Dedup(number, name)), Ok(record)) =
            (key::decode::meaning(key), DedupRecord::decode(value))
        {
            index.push((key::queue::dedup_due(number, record.forget_at_ms, name), Bytes::new()));
        }
    }
    records.extend(index);
}

fn mend_reminders(records: &mut Records, losses: &mut Losses) {
    let mut reminders = BTreeMap::new();
    records.retain(|key, value| match key::decode::meaning(key) {
        Some(DecodedKey::Reminder) => {
            if let Ok(found) = ReminderRecord::decode(value) {
                let name = (found.kind.clone(), found.actor_key.clone(), found.name.clone());
                reminders.insert(name, found);
            }
            false
        }
        _ => true,
    });
    for (key, value) in &*records {
        if let Some(DecodedKey::ReminderDue(kind, actor_key, name)) = key::decode::meaning(key) {
            let due_ms = ReminderDue::decode(value).map_or(0, |due| due.due_ms);
            let (kind, actor_key) = (kind.to_owned(), actor_key.to_owned());
            let position = (kind, actor_key, name.to_owned());
            reminders.entry(position).or_insert_with_key(|(kind, actor_key, name)| {
                let position = format!("reminder {name:?} of {kind} {actor_key:?}");
                losses.add(position, "whether it comes again: it comes once now");
                let (kind, actor_key, name) = (kind.clone(), actor_key.clone(), name.clone());
                ReminderRecord { kind, actor_key, name, due_ms, period_ms: None }
            });
        }
    }
    for ((kind, actor_key, name), reminder) in reminders {
        let due_ms = reminder.due_ms;
        records.insert(
            key::actor::reminder_due(&kind, &actor_key, &name),
            ReminderDue { due_ms }.encode(),
        );
        records.insert(key::actor::reminder(due_ms, &kind, &actor_key, &name), reminder.encode());
    }
}

fn mend_gates(records: &mut Records, losses: &mut Losses) {
    records
        .retain(|key, _| !matches!(key::decode::meaning(key), Some(DecodedKey::WorkerPlace(..))));
    let mut gates: BTreeMap<String, (GateMeta, u64, u64)> = BTreeMap::new();
    let mut index = Vec::new();
    for (key, value) in &*records {
        match key::decode::meaning(key) {
            Some(DecodedKey::GateMeta(gate)) => {
                let meta = GateMeta::decode(value).unwrap_or_default();
                gates.entry(gate.to_owned()).or_default().0 = meta;
            }
            Some(DecodedKey::GatePlace(gate, owner)) => {
                let Ok(position) = EntryRecord::decode(value) else { continue };
                let (meta, waiting, held) = gates.entry(gate.to_owned()).or_default();
                let is_held = matches!(position.state, StoredEntryState::Held { .. });
                *held += u64::from(is_held);
                *waiting += u64::from(!is_held);
                meta.arrival_next = meta.arrival_next.max(position.arrival + 1);
                if let Some(worker) = &position.worker {
                    index.push((key::gate::worker_place(worker, gate, owner), Bytes::new()));
                }
            }
            _ => {}
        }
    }
    records.extend(index);
    for (gate, (mut meta, waiting, held)) in gates {
        let pairs = [("waiting", meta.waiting_count, waiting), ("permits", meta.held_count, held)];
        for (what, told, found) in pairs.into_iter().filter(|(_, told, found)| told != found) {
            let what = format!("{told} {what} were recorded, {found} are there");
            losses.add(format_args!("gate {gate:?}"), what);
        }
        (meta.waiting_count, meta.held_count) = (waiting, held);
        records.insert(key::gate::gate_meta(&gate), meta.encode());
    }
}

/// What is said of a worker or kept by a stream that is not known is left out.
fn leave_out_orphans(records: &mut Records, losses: &mut Losses) {
    let is_orphan = |key: &Key| match key::decode::meaning(key) {
        Some(DecodedKey::WorkerMeta(id)) => !records.contains_key(&key::worker::worker(id)),
        Some(DecodedKey::StreamRetained(topic)) => {
            let settings = records.get(&key::stream::stream_settings(topic));
            let settings = settings.and_then(|settings| StreamSettings::decode(settings).ok());
            !settings.is_some_and(|settings| settings.is_persistent)
        }
        _ => false,
    };
    let orphans: Vec<Key> = records.keys().filter(|key| is_orphan(key)).cloned().collect();
    for orphan in orphans {
        losses.add(format_args!("{orphan:?}"), "what it belongs to is missing");
        records.remove(&orphan);
    }
}
