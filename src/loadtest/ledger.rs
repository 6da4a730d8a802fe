//! What a generator knows for certain of each item, and what it does not.

use serde::{Deserialize, Serialize};

use super::item::{ItemId, Stranger};

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Acknowledged: the item is in the queue.
    Kept,
    /// Refused or never sent: it is not.
    Refused,
    /// No answer: it may be there, once.
    Unknown,
}

/// A push that was tried.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Pushed {
    /// When it was sent.
    pub(super) sent: u64,
    /// When its answer was there.
    pub(super) answered: u64,
    pub(super) queue: u32,
    pub(super) priority: u32,
    pub(super) outcome: Outcome,
}

/// A pop that took messages.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Popped {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) queue: u32,
}

/// An item that came back, and in which of the ledger's pops.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) item: ItemId,
    pub(super) pop: u32,
}

/// What one generator pushed and popped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// The lane its pushes are numbered in.
    pub(super) lane: u16,
    /// By number.
    pub(super) pushes: Vec<Pushed>,
    pub(super) pops: Vec<Popped>,
    /// In the order they came.
    pub(super) taken: Vec<Taken>,
    /// Items that name another run, or none.
    pub(super) foreign_count: u64,
    /// Items that came back changed.
    pub(super) altered_count: u64,
    /// Messages published to the subscribers, and those of which that is not known.
    pub(super) published: (u64, u64),
    /// Pops without an answer, by queue: each may have taken so many messages.
    pub(super) cut: Vec<(u32, u32)>,
}

impl Ledger {
    /// An empty one.
    pub(super) fn new(lane: u16) -> Self {
        Self { lane, ..Self::default() }
    }

    /// Notes a push that is about to be sent: until more is known, it may have happened.
    pub(super) fn push(&mut self, queue: u32, priority: u32, sent: u64) -> ItemId {
        let number = self.pushes.len() as u32;
        let outcome = Outcome::Unknown;
        self.pushes.push(Pushed { sent, answered: u64::MAX, queue, priority, outcome });
        ItemId { lane: self.lane, number }
    }

    /// Notes what became of it.
    pub(super) fn settle(&mut self, number: u32, outcome: Outcome, answered: u64) {
        let pushed = &mut self.pushes[number as usize];
        (pushed.outcome, pushed.answered) = (outcome, answered);
    }

    /// Begins the note of a pop that took something.
    pub(super) fn pop(&mut self, popped: Popped) {
        self.pops.push(popped);
    }

    /// Notes an item of the last pop.
    pub(super) fn take(&mut self, item: Result<ItemId, Stranger>) {
        match item {
            Ok(item) => {
                let pop = self.pops.len() as u32 - 1;
                self.taken.push(Taken { item, pop });
            }
            Err(Stranger::Foreign) => self.foreign_count += 1,
            Err(Stranger::Altered) => self.altered_count += 1,
        }
    }
}
