//! What a store records of itself with each checkpoint.

use std::sync::atomic::{AtomicU64, Ordering};

/// The last batch that is wholly in a store, and the bytes of keys and values that are alive in
/// it: an estimate after a crash.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    checkpointed: AtomicU64,
    live_bytes: AtomicU64,
}

impl Recorded {
    /// What was recorded, or `None` if it cannot be read.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(8)?;
        let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?).into());
        Some(Self { checkpointed: number(first)?, live_bytes: number(second)? })
    }

    /// What is to be recorded with this checkpoint.
    pub(crate) fn encode(&self, last_seq: u64) -> Vec<u8> {
        [last_seq, self.live_bytes()].iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    pub(crate) fn checkpointed(&self) -> u64 {
        self.checkpointed.load(Ordering::Acquire)
    }

    /// It is recorded, durably.
    pub(crate) fn reached(&self, last_seq: u64) {
        self.checkpointed.store(last_seq, Ordering::Release);
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed)
    }

    /// Counts a change of a key: the lengths of its value now and before, where it has one.
    pub(crate) fn count(&self, key_bytes: usize, now: Option<u64>, before: Option<u64>) {
        let entry_bytes = |value: Option<u64>| value.map_or(0, |bytes| bytes + key_bytes as u64);
        self.live_bytes.fetch_add(entry_bytes(now), Ordering::Relaxed);
        let less = |live: u64| Some(live.saturating_sub(entry_bytes(before)));
        // Always `Ok`: the closure never answers `None`.
        let _ = self.live_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read_back() {
        let recorded = Recorded::default();
        recorded.count(10, Some(90), None);
        recorded.count(10, Some(40), Some(90));
        recorded.count(5, Some(5), None);
        recorded.count(5, None, Some(5));
        let read = Recorded::decode(&recorded.encode(7)).unwrap();
        assert_eq!((read.checkpointed(), read.live_bytes()), (7, 50));
        assert!(Recorded::decode(&[0; 15]).is_none());
    }
}
