//! What the records of workers say of each other.

use bytes::Bytes;

use crate::{
    check::CheckReport,
    codec::CodecError,
    embedded::commit::memtable::Memtable,
    error::LoadError,
    key::{self, decode::DecodedKey},
    record::{
        gate::EntryRecord,
        worker::{DepartureRecord, WorkerMeta, WorkerRecord},
    },
};

/// Reads a record of a worker, if it is one.
pub(crate) fn decode(
    meaning: DecodedKey<'_>,
    value: &Bytes,
    report: &mut CheckReport,
) -> Result<(), CodecError> {
    match meaning {
        DecodedKey::Worker(_) => {
            WorkerRecord::decode(value)?;
            report.worker_count += 1;
        }
        DecodedKey::WorkerMeta(_) => drop(WorkerMeta::decode(value)?),
        DecodedKey::Departure => drop(DepartureRecord::decode(value)?),
        _ => {}
    }
    Ok(())
}

/// Only a worker that is known says something of itself; a place that is tied to a worker is in
/// that worker's index, and nothing else is.
pub(crate) fn check(
    records: &Memtable,
    meaning: DecodedKey<'_>,
    value: &Bytes,
    report: &mut CheckReport,
) -> Result<(), LoadError> {
    match meaning {
        DecodedKey::WorkerMeta(id) if records.get(&key::worker::worker(id))?.is_none() => {
            report.add(format_args!("worker {id:?}"), "its metadata is there and it is not");
        }
        DecodedKey::GatePlace(gate, owner) => {
            if let Some(worker) = EntryRecord::decode(value)?.worker
                && records.get(&key::gate::worker_place(&worker, gate, owner))?.is_none()
            {
                let what = format!("the place of {owner:?} is not in the index of {worker:?}");
                report.add(format_args!("gate {gate:?}"), what);
            }
        }
        DecodedKey::WorkerPlace(worker, gate, owner) => {
            let place = records.get(&key::gate::gate_place(gate, owner))?;
            let place = place.map(|place| EntryRecord::decode(&place)).transpose()?;
            if place.is_none_or(|place| place.worker.as_deref() != Some(worker)) {
                let what = format!("{owner:?} has no place that is tied to {worker:?}");
                report.add(format_args!("gate {gate:?}"), what);
            }
        }
        _ => {}
    }
    Ok(())
}
