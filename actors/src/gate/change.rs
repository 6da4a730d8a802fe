//! What a turn changes: what is to be written, and who is to be told.

use lanekeeper_storage::Batch;

/// What became of an owner that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It holds a permit, after so many milliseconds.
    Granted(u32),
    /// It waited too long: so many milliseconds.
    TimedOut(u32),
    /// It was taken out of the line.
    Cancelled,
    /// It gave way to a newcomer.
    GaveWay,
}

/// A turn under way.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) gate: &'a str,
    pub(super) now_ms: u64,
    pub(super) batch: &'a mut Batch,
    /// Who waited, by the number of its place, and what became of it. In order: a number may be
    /// somebody else's from there on.
    pub(super) decided: Vec<(u32, Decision)>,
    /// Who got a permit without having asked in this turn.
    pub(super) granted: Vec<String>,
}

impl<'a> Change<'a> {
    pub(super) fn new(gate: &'a str, now_ms: u64, batch: &'a mut Batch) -> Self {
        Self { gate, now_ms, batch, decided: Vec::new(), granted: Vec::new() }
    }
}
