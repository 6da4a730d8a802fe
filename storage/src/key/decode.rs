//! What a key stands for, read back from its bytes.

use crate::key::{
    Key,
    actor::letter_number,
    gate::worker_place_of,
    queue::{
        Arrival, MessageState, Priority, QueueNo, dedup_due_of, due_of, moved_of, place_of,
        priority_of_lane, queue_id_of_sink, worker_lease_of,
    },
    stream::topic_of,
    tag,
    worker::{number_of_departure, worker_id_of},
};

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodedKey<'a> {
    /// The state of an actor: kind and key.
    Actor(&'a str, &'a str),
    /// A reminder in the order of due times.
    Reminder,
    /// When a reminder is due: kind and key of its actor, its name.
    ReminderDue(&'a str, &'a str, &'a str),
    QueueEntry(&'a str),
    QueueMeta(QueueNo),
    QueueSettings(QueueNo),
    Lane(QueueNo, Priority),
    StreamSettings(&'a str),
    /// A message kept for late subscribers of a topic.
    StreamRetained(&'a str),
    GateMeta(&'a str),
    /// A place at a gate: the gate and the owner.
    GatePlace(&'a str, &'a str),
    GatePolicy(&'a str),
    GateUsage(&'a str),
    GateWaits(&'a str),
    /// A place that is tied to a worker: the worker, the gate and the owner.
    WorkerPlace(&'a str, &'a str, &'a str),
    Worker(&'a str),
    WorkerMeta(&'a str),
    Departure,
    Message(QueueNo, MessageState, Priority, Arrival),
    /// Queue, due time (Unix milliseconds) and message.
    Due(QueueNo, u64, Arrival),
    /// Queue and deduplication key.
    Dedup(QueueNo, &'a str),
    /// Queue, due time (Unix milliseconds) and deduplication key.
    DedupDue(QueueNo, u64, &'a str),
    /// The queue's id.
    Sink(&'a str),
    WorkerLease(QueueNo, Priority, Arrival),
    /// A message that has another priority than the one it came with.
    Moved(QueueNo, Arrival),
    /// A letter's number.
    Letter(u64),
    Clock,
}

/// What a key stands for, or `None` if no function of this file makes such a key.
pub(crate) fn meaning(key: &Key) -> Option<DecodedKey<'_>> {
    let (&first, rest) = key.as_bytes().split_first()?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    match first {
        tag::ACTOR => {
            let (kind, actor_key) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
            Some(DecodedKey::Actor(kind, actor_key))
        }
        tag::REMINDER => rest.len().checked_sub(8).map(|_| DecodedKey::Reminder),
        tag::REMINDER_DUE => {
            let (kind, rest) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
            let (actor_key, name) = rest.split_once('\0')?;
            Some(DecodedKey::ReminderDue(kind, actor_key, name))
        }
        tag::STREAM_SETTINGS => Some(DecodedKey::StreamSettings(std::str::from_utf8(rest).ok()?)),
        tag::STREAM_RETAINED => topic_of(key).map(DecodedKey::StreamRetained),
        tag::GATE_META => text(rest).map(DecodedKey::GateMeta),
        tag::GATE_PLACE => {
            let (gate, owner) = text(rest)?.split_once('\0')?;
            Some(DecodedKey::GatePlace(gate, owner))
        }
        tag::GATE_POLICY => text(rest).map(DecodedKey::GatePolicy),
        tag::GATE_USAGE => text(rest).map(DecodedKey::GateUsage),
        tag::GATE_WAITS => text(rest).map(DecodedKey::GateWaits),
        tag::WORKER_PLACE => {
            let (worker, gate, owner) = worker_place_of(key)?;
            Some(DecodedKey::WorkerPlace(worker, gate, owner))
        }
        tag::WORKER => Some(DecodedKey::Worker(worker_id_of(key)?)),
        tag::WORKER_META => Some(DecodedKey::WorkerMeta(worker_id_of(key)?)),
        tag::DEPARTURE => number_of_departure(key).map(|_| DecodedKey::Departure),
        tag::LETTER => letter_number(key).map(DecodedKey::Letter),
        tag::CLOCK => rest.is_empty().then_some(DecodedKey::Clock),
        _ => meaning_of_queue(key, first, rest),
    }
}

/// What a key of a queue stands for.
fn meaning_of_queue<'k>(key: &'k Key, first: u8, rest: &'k [u8]) -> Option<DecodedKey<'k>> {
    let queue = |bytes: &[u8]| Some(QueueNo(u64::from_be_bytes(bytes.try_into().ok()?)));
    match first {
        tag::QUEUE_ENTRY => Some(DecodedKey::QueueEntry(std::str::from_utf8(rest).ok()?)),
        tag::QUEUE_META => queue(rest).map(DecodedKey::QueueMeta),
        tag::QUEUE_SETTINGS => queue(rest).map(DecodedKey::QueueSettings),
        tag::LANE => Some(DecodedKey::Lane(queue(rest.get(..8)?)?, priority_of_lane(key)?)),
        tag::MESSAGE => {
            let (priority, arrival) = place_of(key)?;
            let state = MessageState::from_number(rest[8])?;
            Some(DecodedKey::Message(queue(&rest[..8])?, state, priority, arrival))
        }
        tag::DUE => {
            let (due_ms, arrival) = due_of(key)?;
            Some(DecodedKey::Due(queue(&rest[..8])?, due_ms, arrival))
        }
        tag::DEDUP => {
            let (number, dedup_key) = rest.split_at_checked(8)?;
            Some(DecodedKey::Dedup(queue(number)?, std::str::from_utf8(dedup_key).ok()?))
        }
        tag::DEDUP_DUE => {
            let (due_ms, dedup_key) = dedup_due_of(key)?;
            Some(DecodedKey::DedupDue(queue(&rest[..8])?, due_ms, dedup_key))
        }
        tag::SINK => queue_id_of_sink(key).map(DecodedKey::Sink),
        tag::WORKER_LEASE => {
            let (queue, priority, arrival) = worker_lease_of(key)?;
            Some(DecodedKey::WorkerLease(queue, priority, arrival))
        }
        tag::MOVED => moved_of(key).map(|(queue, arrival)| DecodedKey::Moved(queue, arrival)),
        _ => None,
    }
}
