//! What a turn changes: what is to be written, and who is to be told.

use lanekeeper_storage::Batch;

/// Places that begin, end or are handed on of themselves in one turn at most: with the largest
/// records there are, half of what the store takes in one batch. What is left follows in turns of
/// its own.
pub(crate) const MOVES_MAX: usize = 2_000;

/// What became of an owner that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
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
pub(crate) struct TurnContext<'a> {
    pub(crate) gate: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) batch: &'a mut Batch,
    /// Who waited, by the number of its place, and what became of it. In order: a number may be
    /// somebody else's from there on.
    pub(crate) decided: Vec<(u32, Decision)>,
    /// Who got a permit without having asked in this turn.
    pub(crate) granted: Vec<String>,
    /// Places that may still begin or end of themselves in this turn.
    moves_left: usize,
}

impl<'a> TurnContext<'a> {
    pub(crate) fn new(gate: &'a str, now_ms: u64, batch: &'a mut Batch) -> Self {
        let (decided, granted) = (Vec::new(), Vec::new());
        Self { gate, now_ms, batch, decided, granted, moves_left: MOVES_MAX }
    }

    /// Takes one of the moves that are left; false if there is none.
    pub(crate) fn take_move(&mut self) -> bool {
        let has_one = self.moves_left > 0;
        self.moves_left -= usize::from(has_one);
        has_one
    }
}
