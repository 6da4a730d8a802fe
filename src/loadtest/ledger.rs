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

/// A pop that took messages, a lease that was given some, or an ack of leased ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Popped {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) queue: u32,
}

/// An item that is out of its queue for good, and by which of the ledger's pops and acks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) item: ItemId,
    pub(super) pop: u32,
    /// Whether it was acked; its place in the order was seen when it was leased.
    pub(super) is_acked: bool,
}

/// An item that was leased, and by which of the ledger's leases.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Delivered {
    pub(super) item: ItemId,
    pub(super) lease: u32,
    /// Until when nobody else can have been given it.
    pub(super) until: u64,
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
    /// Pops and acks without an answer, by queue: each may have taken so many messages.
    pub(super) cut: Vec<(u32, u32)>,
    pub(super) leases: Vec<Popped>,
    /// In the order they came.
    pub(super) delivered: Vec<Delivered>,
    /// Queues of leases without an answer, which may have been given messages.
    pub(super) cut_leases: Vec<u32>,
    /// Leases that were abandoned, and those that were given back.
    pub(super) abandoned: u64,
    pub(super) nacked: u64,
    /// Dead letters that were brought back.
    pub(super) redriven: u64,
    /// Redrives without an answer.
    pub(super) cut_redrives: u64,
    /// Dead letters there ever were, as the queues count them after the run.
    pub(super) dead_lettered: u64,
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
        let pop = self.pops.len() as u32 - 1;
        match item {
            Ok(item) => self.taken.push(Taken { item, pop, is_acked: false }),
            Err(stranger) => self.meet(stranger),
        }
    }

    /// Notes what is no item of this run.
    pub(super) fn meet(&mut self, stranger: Stranger) {
        match stranger {
            Stranger::Foreign => self.foreign_count += 1,
            Stranger::Altered => self.altered_count += 1,
        }
    }

    /// Notes an item of the last lease; the place of the note.
    pub(super) fn deliver(&mut self, item: ItemId, until: u64) -> u32 {
        let lease = self.leases.len() as u32 - 1;
        self.delivered.push(Delivered { item, lease, until });
        self.delivered.len() as u32 - 1
    }

    /// Notes that the last of the pops was an ack of this delivery: nobody may be given it again.
    pub(super) fn ack(&mut self, delivered: u32) {
        let delivered = &mut self.delivered[delivered as usize];
        delivered.until = u64::MAX;
        let pop = self.pops.len() as u32 - 1;
        self.taken.push(Taken { item: delivered.item, pop, is_acked: true });
    }

    /// Notes that a delivery is about to be given back.
    pub(super) fn give_back(&mut self, delivered: u32, sent: u64) {
        let delivered = &mut self.delivered[delivered as usize];
        delivered.until = delivered.until.min(sent);
    }
}
