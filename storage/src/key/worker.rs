//! Keys of workers.

use crate::key::{Key, KeyRange, key, tag};

/// The number of a worker's departure in the order in which workers went offline. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DepartureNo(pub u64);

/// A worker.
pub fn worker(worker_id: &str) -> Key {
    key(tag::WORKER, &[worker_id.as_bytes()])
}

/// Every worker, in the order of the ids.
pub fn workers() -> KeyRange {
    KeyRange::prefix(&key(tag::WORKER, &[]))
}

/// The metadata of a worker.
pub fn worker_meta(worker_id: &str) -> Key {
    key(tag::WORKER_META, &[worker_id.as_bytes()])
}

/// The metadata of all workers, by id.
pub fn worker_metas() -> KeyRange {
    KeyRange::prefix(&key(tag::WORKER_META, &[]))
}

/// The worker id of a key of either sort, or `None` for any other key.
pub fn worker_id_of(of_worker: &Key) -> Option<&str> {
    let (&first, id) = of_worker.as_bytes().split_first()?;
    let is_of_worker = matches!(first, tag::WORKER | tag::WORKER_META);
    is_of_worker.then(|| std::str::from_utf8(id).ok()).flatten()
}

/// A worker that went offline, whose handlers have not been called yet.
pub fn departure(number: DepartureNo) -> Key {
    key(tag::DEPARTURE, &[&number.0.to_be_bytes()])
}

/// All workers that went offline and whose handlers have not been called yet, in order.
pub fn departures() -> KeyRange {
    KeyRange::prefix(&key(tag::DEPARTURE, &[]))
}

/// The number in the key of a departure, or `None` for any other key.
pub fn number_of_departure(departure: &Key) -> Option<DepartureNo> {
    let number = departure.as_bytes().strip_prefix(&[tag::DEPARTURE])?;
    Some(DepartureNo(u64::from_be_bytes(number.try_into().ok()?)))
}
