//! Who owns which shard: one process owns all it claimed, until it releases them.

use crate::engine::seam::{Epoch, Fence, ShardNo};

/// The shards claimed from one incarnation of an engine. An epoch is the incarnation and, below
/// it, how often the shard was released in it.
#[derive(Debug)]
pub(crate) struct Ownership {
    incarnation: u64,
    shards: Vec<Shard>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shard {
    release_count: u32,
    is_owned: bool,
}

impl Ownership {
    /// Nothing claimed yet.
    pub(crate) fn new(incarnation: u64) -> Self {
        Self { incarnation, shards: Vec::new() }
    }

    /// Claims a shard. Claiming it again without a release confirms the same epoch.
    pub(crate) fn claim(&mut self, shard: ShardNo) -> Epoch {
        let index = usize::from(shard.0);
        if self.shards.len() <= index {
            self.shards.resize(index + 1, Shard::default());
        }
        self.shards[index].is_owned = true;
        self.epoch(self.shards[index])
    }

    /// Whether the fence is that of the present owner.
    pub(crate) fn holds(&self, fence: Fence) -> bool {
        let shard = self.shards.get(usize::from(fence.shard.0));
        shard.is_some_and(|shard| shard.is_owned && self.epoch(*shard) == fence.epoch)
    }

    /// Ends the ownership, if the fence is that of the present owner.
    pub(crate) fn release(&mut self, fence: Fence) {
        if self.holds(fence) {
            let shard = &mut self.shards[usize::from(fence.shard.0)];
            shard.is_owned = false;
            shard.release_count += 1;
        }
    }

    fn epoch(&self, shard: Shard) -> Epoch {
        Epoch((self.incarnation << 32) | u64::from(shard.release_count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_shard_is_claimed_under_a_later_epoch() {
        let mut ownership = Ownership::new(3);
        let shard = ShardNo(700);
        let first = Fence { shard, epoch: ownership.claim(shard) };
        assert!(ownership.holds(first));
        assert_eq!(ownership.claim(shard), first.epoch);
        assert!(!ownership.holds(Fence { shard: ShardNo(1), ..first }));
        ownership.release(first);
        assert!(!ownership.holds(first));
        let second = Fence { shard, epoch: ownership.claim(shard) };
        assert!(second.epoch > first.epoch);
        ownership.release(first);
        assert!(ownership.holds(second));
        assert!(Ownership::new(4).claim(shard) > second.epoch);
    }
}
