//! Every engine keeps every promise of the seam.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, CommitError, CommitSeq, Durability, EmbeddedEngine, EmbeddedOptions, Engine,
    EngineStatus, Epoch, Fence, Key, KeyRange, LoadError, MemoryEngine, ScanLimit, ShardNo, Upkeep,
    conformance_suite,
};

use crate::embedded::small;

conformance_suite!(memory, || Arc::new(MemoryEngine::new()) as Arc<dyn Engine>);
conformance_suite!(embedded, || in_new_dir(small()));
conformance_suite!(embedded_that_is_always_due, || {
    in_new_dir(EmbeddedOptions { overlay_bytes: 0, ..small() })
});

fn in_new_dir(options: EmbeddedOptions) -> Arc<dyn Engine> {
    let dir = tempfile::tempdir().unwrap();
    Arc::new(InDir { engine: EmbeddedEngine::open(dir.path(), options).unwrap(), _dir: dir })
}

/// An embedded engine whose directory goes with it.
struct InDir {
    engine: EmbeddedEngine,
    _dir: tempfile::TempDir,
}

impl Engine for InDir {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        self.engine.get(key)
    }

    fn scan(&self, range: &KeyRange, limit: ScanLimit) -> Result<Vec<(Key, Bytes)>, LoadError> {
        self.engine.scan(range, limit)
    }

    fn scan_back(
        &self,
        range: &KeyRange,
        limit: ScanLimit,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        self.engine.scan_back(range, limit)
    }

    fn commit(&self, f: Fence, batch: Batch, d: Durability) -> Result<CommitSeq, CommitError> {
        self.engine.commit(f, batch, d)
    }

    fn poll_committed(
        &self,
        seq: CommitSeq,
        durability: Durability,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
        self.engine.poll_committed(seq, durability, cx)
    }

    fn handed_over(&self) -> CommitSeq {
        self.engine.handed_over()
    }

    fn claim(&self, shard: ShardNo) -> Result<Epoch, CommitError> {
        self.engine.claim(shard)
    }

    fn renew(&self, fence: Fence) -> Result<(), CommitError> {
        self.engine.renew(fence)
    }

    fn release(&self, fence: Fence) {
        self.engine.release(fence);
    }

    fn poll_upkeep(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.engine.poll_upkeep(cx)
    }

    fn upkeep(&self) -> Result<Upkeep, LoadError> {
        self.engine.upkeep()
    }

    fn status(&self) -> EngineStatus {
        self.engine.status()
    }

    fn close(&self) -> Result<(), CommitError> {
        self.engine.close()
    }
}
