//! What a generator knows for certain of each item, and what it does not.

use serde::{Deserialize, Serialize};

use crate::loadtest::item::{ItemId, Stranger};

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ItemOutcome {
    /// Acknowledged: the item is in the queue.
    Kept,
    /// Refused or never sent: it is not.
    Refused,
    /// No answer: it may be there, once.
    Unknown,
}

/// A push that was tried.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Pushed {
    /// When it was sent.
    pub(crate) sent: u64,
    /// When its answer was there.
    pub(crate) answered: u64,
    pub(crate) queue: u32,
    pub(crate) priority: u32,
    pub(crate) outcome: ItemOutcome,
}

/// A pop that took messages, a lease that was given some, or an ack of leased ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Popped {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) queue: u32,
}

/// An item that is out of its queue for good, and by which of the ledger's pops and acks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) item: ItemId,
    pub(crate) pop: u32,
    /// Whether it was acked; its place in the order was seen when it was leased.
    pub(crate) is_acked: bool,
}

/// An item that was leased, and by which of the ledger's leases.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Delivered {
    pub(crate) item: ItemId,
    pub(crate) lease: u32,
    /// Until when nobody else can have been given it.
    pub(crate) until: u64,
}

/// What one generator pushed and popped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ExpectedItems {
    /// The lane its pushes are numbered in.
    pub(crate) lane: u16,
    /// By number.
    pub(crate) pushes: Vec<Pushed>,
    pub(crate) pops: Vec<Popped>,
    /// In the order they came.
    pub(crate) taken: Vec<Taken>,
    /// Items that name another run, or none.
    pub(crate) foreign_count: u64,
    /// Items that came back changed.
    pub(crate) altered_count: u64,
    /// Messages published to the subscribers, and those of which that is not known.
    pub(crate) published: (u64, u64),
    /// Pops and acks without an answer, by queue: each may have taken so many messages.
    pub(crate) cut: Vec<(u32, u32)>,
    pub(crate) leases: Vec<Popped>,
    /// In the order they came.
    pub(crate) delivered: Vec<Delivered>,
    /// Queues of leases without an answer, which may have been given messages.
    pub(crate) cut_leases: Vec<u32>,
    /// Leases that were abandoned, and those that were given back.
    pub(crate) abandoned: u64,
    pub(crate) nacked: u64,
    /// Dead letters that were brought back.
    pub(crate) redriven: u64,
    /// Redrives without an answer.
    pub(crate) cut_redrives: u64,
    /// Dead letters there ever were, as the queues count them after the run.
    pub(crate) dead_lettered: u64,
}

impl ExpectedItems {
    /// An empty one.
    pub(crate) fn new(lane: u16) -> Self {
        Self { lane, ..Self::default() }
    }

    /// Notes a push that is about to be sent: until more is known, it may have happened.
    pub(crate) fn push(&mut self, queue: u32, priority: u32, sent: u64) -> ItemId {
        let number = self.pushes.len() as u32;
        let outcome = ItemOutcome::Unknown;
        self.pushes.push(Pushed { sent, answered: u64::MAX, queue, priority, outcome });
        ItemId { lane: self.lane, number }
    }

    /// Notes what became of it.
    pub(crate) fn settle(&mut self, number: u32, outcome: ItemOutcome, answered: u64) {
        let pushed = &mut self.pushes[number as usize];
        (pushed.outcome, pushed.answered) = (outcome, answered);
    }

    /// Begins the note of a pop that took something.
    pub(crate) fn pop(&mut self, popped: Popped) {
        self.pops.push(popped);
    }

    /// Notes an item of the last pop.
    pub(crate) fn take(&mut self, item: Result<ItemId, Stranger>) {
        let pop = self.pops.len() as u32 - 1;
        match item {
            Ok(item) => self.taken.push(Taken { item, pop, is_acked: false }),
            Err(stranger) => self.meet(stranger),
        }
    }

    /// Notes what is no item of this run.
    pub(crate) fn meet(&mut self, stranger: Stranger) {
        match stranger {
            Stranger::Foreign => self.foreign_count += 1,
            Stranger::Altered => self.altered_count += 1,
        }
    }

    /// Notes an item of the last lease; the place of the note.
    pub(crate) fn deliver(&mut self, item: ItemId, until: u64) -> u32 {
        let lease = self.leases.len() as u32 - 1;
        self.delivered.push(Delivered { item, lease, until });
        self.delivered.len() as u32 - 1
    }

    /// Notes that the last of the pops was an ack of this delivery: nobody may be given it again.
    pub(crate) fn ack(&mut self, delivered: u32) {
        let delivered = &mut self.delivered[delivered as usize];
        delivered.until = u64::MAX;
        let pop = self.pops.len() as u32 - 1;
        self.taken.push(Taken { item: delivered.item, pop, is_acked: true });
    }

    /// Notes that a delivery is about to be given back.
    pub(crate) fn give_back(&mut self, delivered: u32, sent: u64) {
        let delivered = &mut self.delivered[delivered as usize];
        delivered.until = delivered.until.min(sent);
    }
}
