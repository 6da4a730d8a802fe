//! What the records of workers say of each other.

use bytes::Bytes;

use super::CheckReport;
use crate::{
    CodecError, LoadError,
    embedded::overlay::Overlay,
    key::{self, Meaning},
    record::{DepartureRecord, WorkerMeta, WorkerRecord},
};

/// Reads a record of a worker, if it is one.
pub(super) fn decode(
    meaning: Meaning<'_>,
    value: &Bytes,
    report: &mut CheckReport,
) -> Result<(), CodecError> {
    match meaning {
        Meaning::Worker(_) => {
            WorkerRecord::decode(value)?;
            report.worker_count += 1;
        }
        Meaning::WorkerMeta(_) => drop(WorkerMeta::decode(value)?),
        Meaning::Departure => drop(DepartureRecord::decode(value)?),
        _ => {}
    }
    Ok(())
}

/// Only a worker that is known says something of itself.
pub(super) fn check(
    records: &Overlay,
    meaning: Meaning<'_>,
    report: &mut CheckReport,
) -> Result<(), LoadError> {
    if let Meaning::WorkerMeta(id) = meaning
        && records.get(&key::worker(id))?.is_none()
    {
        report.add(format_args!("worker {id:?}"), "its metadata is there and it is not");
    }
    Ok(())
}
