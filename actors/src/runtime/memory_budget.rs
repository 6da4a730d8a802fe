//! The memory that requests of a process may take together: one budget for all of them.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use lanekeeper_storage::Engine;

/// Values from this size on are counted for as long as somebody holds them.
pub(crate) const COUNTED_BYTES: usize = 4 << 10;

/// Bytes that a process takes without a request.
const OWN_BYTES: u64 = 128 << 20;

/// Requests of this size may use the last eighth of the budget, so that what frees memory (an ack,
/// a pop) is not kept out by what takes it.
const SMALL_BYTES: u64 = 16 << 10;

/// The memory budget of requests, answers, values in memory and unwritten changes together.
///
/// A use takes a [permit](MemoryPermit) before it grows, and is refused without one. Memory of the
/// engine counts as it is at the moment. Cloning shares the budget.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<BudgetState>);

#[derive(Debug)]
struct BudgetState {
    process_bytes: u64,
    bytes_max: u64,
    taken: AtomicU64,
    refused: [AtomicU64; MemoryUse::ALL.len()],
    engine: OnceLock<Weak<dyn Engine>>,
}

/// The use of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryUse {
    /// The body of a request, until it is answered.
    Body,
    /// Messages in an answer.
    Answer,
}

impl MemoryUse {
    /// Every use.
    pub const ALL: [Self; 2] = [Self::Body, Self::Answer];

    /// Its name in figures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Answer => "answer",
        }
    }
}

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{wanted} bytes more do not fit into the memory budget: {used} of {bytes_max} bytes are in \
     use; ask for less at a time, try again later, or raise memory_max"
)]
pub struct MemoryFull {
    /// Bytes asked for.
    pub wanted: u64,
    /// Bytes in use.
    pub used: u64,
    /// The size of the budget in bytes.
    pub bytes_max: u64,
}

impl MemoryBudget {
    /// The budget of a process that should use at most this number of bytes: half of the part
    /// beyond 128 MiB, which are for the program, its threads and the store. The other half is for
    /// connections and for memory that the allocator cannot return.
    pub fn of_process(process_bytes: u64) -> Self {
        let left = process_bytes.saturating_sub(OWN_BYTES).max(process_bytes / 4);
        Self::new(process_bytes, left / 2)
    }

    /// An unlimited budget.
    pub fn unbounded() -> Self {
        Self::new(u64::MAX, u64::MAX)
    }

    fn new(process_bytes: u64, bytes_max: u64) -> Self {
        Self(Arc::new(BudgetState {
            process_bytes,
            bytes_max,
            taken: AtomicU64::new(0),
            refused: Default::default(),
            engine: OnceLock::new(),
        }))
    }

    /// Counts what an engine holds from now on; another is ignored then.
    pub(crate) fn watch(&self, engine: &Arc<dyn Engine>) {
        drop(self.0.engine.set(Arc::downgrade(engine)));
    }

    /// The bytes the process should use at most; `None` if unlimited.
    pub fn process_bytes(&self) -> Option<u64> {
        (self.0.process_bytes != u64::MAX).then_some(self.0.process_bytes)
    }

    /// The size of the budget in bytes.
    pub fn bytes_max(&self) -> u64 {
        self.0.bytes_max
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        let engine = self.0.engine.get().and_then(Weak::upgrade);
        self.0.taken.load(Relaxed) + engine.map_or(0, |engine| engine.memory_bytes())
    }

    /// Bytes left.
    pub fn available(&self) -> u64 {
        match self.0.bytes_max {
            u64::MAX => u64::MAX,
            bytes_max => bytes_max.saturating_sub(self.used()),
        }
    }

    /// Refusals so far.
    pub fn refused(&self, what: MemoryUse) -> u64 {
        self.0.refused[what as usize].load(Relaxed)
    }

    /// A permit for nothing yet.
    pub fn permit(&self, what: MemoryUse) -> MemoryPermit {
        MemoryPermit { budget: self.clone(), what, bytes: 0 }
    }

    /// Counts bytes that are there whether or not they fit.
    pub fn count(&self, bytes: u64) -> MemoryPermit {
        let mut permit = self.permit(MemoryUse::Answer);
        permit.count(bytes);
        permit
    }

    /// Notes that something was refused for want of memory.
    pub(crate) fn refuse(&self, what: MemoryUse, wanted: u64) -> MemoryFull {
        self.0.refused[what as usize].fetch_add(1, Relaxed);
        MemoryFull { wanted, used: self.used(), bytes_max: self.0.bytes_max }
    }

    /// The same bytes, counted until the last who shares them lets go.
    pub fn counted(&self, bytes: Bytes) -> Bytes {
        if bytes.len() < COUNTED_BYTES || self.0.bytes_max == u64::MAX {
            return bytes;
        }
        let permit = self.count(bytes.len() as u64);
        Bytes::from_owner(Counted { bytes, _permit: permit })
    }
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::unbounded()
    }
}

/// Bytes taken from a [`MemoryBudget`]; given back when dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    budget: MemoryBudget,
    what: MemoryUse,
    bytes: u64,
}

impl MemoryPermit {
    /// What it takes from.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    /// [`MemoryFull`] if they do not fit; what was taken before stays taken.
    pub fn grow(&mut self, bytes: u64) -> Result<(), MemoryFull> {
        let state = &self.budget.0;
        if state.bytes_max != u64::MAX {
            let is_small = self.bytes + bytes <= SMALL_BYTES;
            let reserve = if is_small { 0 } else { state.bytes_max / 8 };
            if self.budget.available() < bytes.saturating_add(reserve) {
                return Err(self.budget.refuse(self.what, bytes));
            }
        }
        self.count(bytes);
        Ok(())
    }

    /// Takes or gives back what is missing to so many bytes.
    ///
    /// # Errors
    /// As [`MemoryPermit::grow`].
    pub fn resize(&mut self, bytes: u64) -> Result<(), MemoryFull> {
        if bytes > self.bytes {
            return self.grow(bytes - self.bytes);
        }
        self.budget.0.taken.fetch_sub(self.bytes - bytes, Relaxed);
        self.bytes = bytes;
        Ok(())
    }

    fn count(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.budget.0.taken.fetch_add(bytes, Relaxed);
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.budget.0.taken.fetch_sub(self.bytes, Relaxed);
    }
}

struct Counted {
    bytes: Bytes,
    _permit: MemoryPermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_counted() {
        let budget = MemoryBudget::new(2_000_000, 1_000_000);
        let mut large = budget.permit(MemoryUse::Body);
        assert!(large.grow(875_000).is_ok());
        let full = large.grow(1).expect_err("the last eighth is for what is small");
        assert_eq!((full.wanted, full.used, full.bytes_max), (1, 875_000, 1_000_000));
        let mut small = budget.permit(MemoryUse::Body);
        assert!(small.grow(SMALL_BYTES).is_ok());
        assert!(small.grow(1).is_err());
        assert_eq!((budget.refused(MemoryUse::Body), budget.refused(MemoryUse::Answer)), (2, 0));
        drop((large, small));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_value_counts_until_nobody_shares_it() {
        let budget = MemoryBudget::new(2_000_000, 1_000_000);
        let value = budget.counted(Bytes::from(vec![0; COUNTED_BYTES]));
        let part = value.slice(1..2);
        drop(value);
        assert_eq!(budget.used(), COUNTED_BYTES as u64);
        drop(part);
        assert_eq!(budget.used(), 0);
        let _small = budget.counted(Bytes::from_static(b"x"));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_process_has_what_it_takes_by_itself_and_the_rest() {
        let of = |mib: u64| MemoryBudget::of_process(mib << 20).bytes_max() >> 20;
        assert_eq!((of(128), of(256), of(1_024)), (16, 64, 448));
        let budget = MemoryBudget::unbounded();
        assert_eq!((budget.process_bytes(), budget.available()), (None, u64::MAX));
    }
}
