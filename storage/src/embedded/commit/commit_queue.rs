//! The commit queue: the one short lock that every batch passes. It gives out the order, puts
//! batches into the frame that the commit takes next, and refuses before anything is applied.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    batch::Batch,
    embedded::{
        journal::{
            frame,
            journal_space::{FramePlace, JournalSpace},
        },
        os_error::OsTrouble,
    },
    engine::{
        ownership::Ownership,
        seam::{CommitSeq, Durability},
    },
    error::CommitError,
};

/// A group is closed when it holds this much; what comes later goes into the next one.
const GROUP_BYTES: usize = 4 << 20;
/// A buffer that grew beyond this is not kept for reuse.
const KEPT_BYTES: usize = 8 << 20;

/// Batches gathered for one write.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Room for the header, then the batches.
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: u32,
    /// The journal's number of the first batch.
    pub(crate) first_seq: u64,
    /// The last commit that is committed with it, batches the journal does not keep included.
    pub(crate) last_seq: CommitSeq,
    pub(crate) has_durable: bool,
    pub(crate) place: FramePlace,
}

impl Gathered {
    /// The journal's number of the last batch.
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq + u64::from(self.count) - 1
    }
}

/// Whether batches are taken.
#[derive(Debug)]
pub(crate) enum Admission {
    Open,
    Poisoned(Arc<str>),
    Closed,
}

pub(crate) struct CommitQueue {
    pub(crate) admission: Admission,
    pub(crate) ownership: Ownership,
    pub(crate) journal_space: JournalSpace,
    /// The commit handed over last, and the one the commit thread took up last.
    pub(crate) seq: CommitSeq,
    taken: CommitSeq,
    /// The journal's number of the batch handed over last.
    pub(crate) journal_seq: u64,
    gathering: Gathered,
    full: VecDeque<Gathered>,
    kept: Vec<Vec<u8>>,
    /// Bytes handed over and not yet written.
    pub(crate) waiting_bytes: u64,
    /// Whether the commit thread sleeps and has to be woken.
    pub(crate) is_asleep: bool,
    /// Whether somebody waits for an fsync.
    pub(crate) wants_sync: bool,
    /// Why no segment could be prepared the last time, if so.
    pub(crate) trouble: Option<OsTrouble>,
    /// Why a group is held back that is handed over, if one is: nothing can be written behind it.
    pub(crate) held: Option<OsTrouble>,
    /// Whether a batch was refused for want of space since the disk was last looked at.
    pub(crate) wants_space: bool,
    /// Whether upkeep left something undone that is worth another try.
    pub(crate) wants_maintenance: bool,
    pub(crate) is_stopping: bool,
}

impl CommitQueue {
    /// An commit queue that goes on after the journal's batch of this number.
    pub(crate) fn new(incarnation: u64, journal_seq: u64, journal_space: JournalSpace) -> Self {
        Self {
            admission: Admission::Open,
            ownership: Ownership::new(incarnation),
            journal_space,
            seq: CommitSeq::ZERO,
            taken: CommitSeq::ZERO,
            journal_seq,
            gathering: Gathered::default(),
            full: VecDeque::new(),
            kept: Vec::new(),
            waiting_bytes: 0,
            is_asleep: false,
            wants_sync: false,
            trouble: None,
            held: None,
            wants_space: false,
            wants_maintenance: false,
            is_stopping: false,
        }
    }

    /// Refuses when nothing is taken any more.
    pub(crate) fn check_admission(&self) -> Result<(), CommitError> {
        match &self.admission {
            Admission::Open => Ok(()),
            Admission::Poisoned(reason) => Err(CommitError::Poisoned(reason.clone())),
            Admission::Closed => Err(CommitError::Closed),
        }
    }

    /// Why batches are refused for the moment, if not for want of space.
    pub(crate) fn unavailable(&self) -> Option<Arc<str>> {
        let full = || self.trouble.as_ref().filter(|_| self.journal_space.is_full());
        match self.held.as_ref().or_else(full) {
            Some(OsTrouble::Other(reason)) => Some(reason.clone()),
            Some(OsTrouble::Full) | None => None,
        }
    }

    /// Gives out the next place in the order of commits.
    pub(crate) fn number(&mut self) -> CommitSeq {
        self.seq.0 += 1;
        self.seq
    }

    /// Puts a batch into the group that is gathered, or refuses it.
    pub(crate) fn gather(
        &mut self,
        batch: &Batch,
        bytes: u64,
        durability: Durability,
    ) -> Result<(), CommitError> {
        if let Some(trouble) = &self.held {
            return Err(trouble.refusal());
        }
        let with_header = bytes + frame::HEADER_BYTES as u64;
        let place =
            self.journal_space.place(with_header, batch.is_space_freeing()).map_err(|_| {
                self.wants_space = true;
                self.trouble.as_ref().unwrap_or(&OsTrouble::Full).refusal()
            })?;
        let is_full = self.gathering.bytes.len() + bytes as usize > GROUP_BYTES;
        if self.gathering.count > 0 && (is_full || place != FramePlace::Behind) {
            self.close_group();
        }
        let gathering = &mut self.gathering;
        if gathering.count == 0 {
            gathering.bytes.clear();
            gathering.bytes.resize(frame::HEADER_BYTES, 0);
            gathering.first_seq = self.journal_seq + 1;
            gathering.place = place;
            gathering.has_durable = false;
        }
        frame::put_batch(batch, &mut gathering.bytes);
        gathering.count += 1;
        gathering.has_durable |= durability == Durability::Durable;
        self.journal_seq += 1;
        self.waiting_bytes += bytes;
        Ok(())
    }

    /// Sets what was gathered aside as a group of its own.
    fn close_group(&mut self) {
        let next = Gathered { bytes: self.kept.pop().unwrap_or_default(), ..Gathered::default() };
        let mut frame = std::mem::replace(&mut self.gathering, next);
        frame.last_seq = self.seq;
        self.full.push_back(frame);
    }

    /// Takes the next group out. It may be empty: then only batches that no journal keeps were
    /// handed over.
    pub(crate) fn take(&mut self) -> Option<Gathered> {
        let mut frame = match self.full.pop_front() {
            Some(frame) => frame,
            None if self.gathering.count > 0 => {
                // Each batch was charged for a header; together they need one.
                let spared = u64::from(self.gathering.count - 1) * frame::HEADER_BYTES as u64;
                self.journal_space.give_back(spared);
                self.close_group();
                self.full.pop_front()?
            }
            None if self.seq > self.taken => Gathered { last_seq: self.seq, ..Gathered::default() },
            None => return None,
        };
        if self.full.is_empty() && self.gathering.count == 0 {
            frame.last_seq = self.seq;
        }
        self.taken = frame.last_seq;
        Some(frame)
    }

    /// Whether a commit was handed over that no group will speak for unless one is taken.
    pub(crate) fn has_untaken(&self) -> bool {
        self.seq > self.taken
    }

    /// Takes a written group's buffer back, and what it weighed off the bytes waiting.
    pub(crate) fn give_back(&mut self, frame: Gathered) {
        if frame.count > 0 {
            self.waiting_bytes -= (frame.bytes.len() - frame::HEADER_BYTES) as u64;
        }
        if frame.bytes.capacity() <= KEPT_BYTES && self.kept.len() < 2 {
            self.kept.push(frame.bytes);
        }
    }

    /// Drops what waits: nothing of it will be written any more.
    pub(crate) fn discard(&mut self) {
        self.full.clear();
        self.gathering = Gathered::default();
        self.waiting_bytes = 0;
    }
}
