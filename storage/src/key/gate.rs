//! Keys of gates, and of those who wait at them or hold their permits.

use crate::key::{Key, KeyRange, key, tag};

/// The totals of a gate.
pub fn gate_meta(gate_id: &str) -> Key {
    key(tag::GATE_META, &[gate_id.as_bytes()])
}

/// The totals of all gates whose ids begin with `prefix`, in the order of the ids.
pub fn gate_metas(prefix: &str) -> KeyRange {
    KeyRange::prefix(&gate_meta(prefix))
}

/// The gate id of a key of [`gate_meta`], or `None` for any other key.
pub fn gate_id_of(meta: &Key) -> Option<&str> {
    let (&first, id) = meta.as_bytes().split_first()?;
    (first == tag::GATE_META).then(|| std::str::from_utf8(id).ok()).flatten()
}

/// An owner that waits at a gate or holds a permit.
pub fn gate_place(gate_id: &str, owner: &str) -> Key {
    key(tag::GATE_PLACE, &[gate_id.as_bytes(), &[0], owner.as_bytes()])
}

/// All owners that wait at a gate or hold a permit, by name.
pub fn gate_places(gate_id: &str) -> KeyRange {
    KeyRange::prefix(&key(tag::GATE_PLACE, &[gate_id.as_bytes(), &[0]]))
}

/// The owner in a key of [`gate_place`], or `None` for any other key.
pub fn owner_of(place: &Key) -> Option<&str> {
    let (&first, names) = place.as_bytes().split_first()?;
    let (_, owner) = std::str::from_utf8(names).ok()?.split_once('\0')?;
    (first == tag::GATE_PLACE).then_some(owner)
}

/// A place at a gate that is tied to a worker: an entry of the worker's index.
pub fn worker_place(worker: &str, gate_id: &str, owner: &str) -> Key {
    let names = [worker.as_bytes(), &[0], gate_id.as_bytes(), &[0], owner.as_bytes()];
    key(tag::WORKER_PLACE, &names)
}

/// Every place that is tied to a worker, by gate and owner.
pub fn worker_places(worker: &str) -> KeyRange {
    KeyRange::prefix(&key(tag::WORKER_PLACE, &[worker.as_bytes(), &[0]]))
}

/// The worker, the gate and the owner of an entry of a worker's index, or `None` for any other key.
pub fn worker_place_of(entry: &Key) -> Option<(&str, &str, &str)> {
    let (&first, names) = entry.as_bytes().split_first()?;
    let (worker, place) = std::str::from_utf8(names).ok()?.split_once('\0')?;
    let (gate, owner) = place.split_once('\0')?;
    (first == tag::WORKER_PLACE).then_some((worker, gate, owner))
}

/// The policy that a gate was given itself.
pub fn gate_policy(gate_id: &str) -> Key {
    key(tag::GATE_POLICY, &[gate_id.as_bytes()])
}

/// What a gate has used of its rate and its quota.
pub fn gate_usage(gate_id: &str) -> Key {
    key(tag::GATE_USAGE, &[gate_id.as_bytes()])
}

/// The waits of recently granted owners.
pub fn gate_waits(gate_id: &str) -> Key {
    key(tag::GATE_WAITS, &[gate_id.as_bytes()])
}
