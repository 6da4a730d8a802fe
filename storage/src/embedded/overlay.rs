//! The overlay: every change that is not in the store yet, in memory and in key order.
//!
//! From the top: *volatile* (batches no journal keeps), *active* (changes since the last
//! checkpoint began), *frozen* (changes a checkpoint is folding in), and the store itself. The
//! uppermost layer that knows a key answers for it; a deleted key is known too.

use std::{
    collections::btree_map::Entry,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::RwLock;

use crate::{
    CommitSeq, Key, LoadError, Write,
    embedded::base::{Base, Changes},
};

/// What an entry takes beside its key and value: the node's share, pointers, the allocation.
const ENTRY_BYTES: u64 = 112;

/// What a deleted key counts for beyond that: it is small, but every scan that begins before it has
/// to step over it, so that there should never be many.
const DELETED_BYTES: u64 = 384;

/// Changes on their way into the store.
pub(crate) struct Frozen {
    pub(crate) changes: Changes,
    /// The journal's number of the last batch in it, and the last commit.
    pub(crate) through: u64,
    pub(crate) seq: CommitSeq,
    pub(crate) bytes: u64,
}

pub(crate) struct Overlay {
    layers: RwLock<Layers>,
    /// Bytes of active and frozen, for whoever decides without the lock.
    bytes: AtomicU64,
    active_bytes: AtomicU64,
}

pub(super) struct Layers {
    pub(super) volatile: Changes,
    pub(super) active: Changes,
    active_bytes: u64,
    pub(super) frozen: Option<Arc<Frozen>>,
    pub(super) base: Arc<dyn Base>,
}

impl Overlay {
    pub(crate) fn new(base: Arc<dyn Base>) -> Self {
        let layers = Layers {
            volatile: Changes::new(),
            active: Changes::new(),
            active_bytes: 0,
            frozen: None,
            base,
        };
        Self {
            layers: RwLock::new(layers),
            bytes: AtomicU64::new(0),
            active_bytes: AtomicU64::new(0),
        }
    }

    /// Applies a batch that the journal keeps.
    pub(crate) fn apply(&self, writes: Vec<Write>) {
        let mut layers = self.layers.write();
        let before = layers.active_bytes;
        for write in writes {
            let (key, value) = parts(write);
            if !layers.volatile.is_empty() {
                layers.volatile.remove(&key);
            }
            layers.set(key, value);
        }
        let after = layers.active_bytes;
        self.active_bytes.store(after, Ordering::Relaxed);
        // Wrapping, as the difference may be negative; the sum never is.
        self.bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Applies a batch that nothing keeps.
    pub(crate) fn apply_volatile(&self, writes: Vec<Write>) {
        self.layers.write().volatile.extend(writes.into_iter().map(parts));
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        let layers = self.layers.read();
        let frozen = layers.frozen.as_ref().and_then(|frozen| frozen.changes.get(key));
        let known = layers.volatile.get(key).or_else(|| layers.active.get(key)).or(frozen);
        if let Some(value) = known {
            return Ok(value.clone());
        }
        let base = layers.base.clone();
        drop(layers);
        base.get(key)
    }

    /// Moves the active changes to where a checkpoint takes them; `through` and `seq` are
    /// those of the last batch applied. If earlier ones are still there, they come first.
    pub(crate) fn freeze(&self, through: u64, seq: CommitSeq) -> Arc<Frozen> {
        let mut layers = self.layers.write();
        if let Some(frozen) = &layers.frozen {
            return frozen.clone();
        }
        let changes = std::mem::take(&mut layers.active);
        let bytes = std::mem::take(&mut layers.active_bytes);
        self.active_bytes.store(0, Ordering::Relaxed);
        let frozen = Arc::new(Frozen { changes, through, seq, bytes });
        layers.frozen = Some(frozen.clone());
        frozen
    }

    /// Lets go of the frozen changes: the store has them.
    pub(crate) fn thaw(&self) {
        let frozen = self.layers.write().frozen.take();
        if let Some(frozen) = frozen {
            self.bytes.fetch_sub(frozen.bytes, Ordering::Relaxed);
        }
    }

    /// Puts a rewritten store in the place of the old one, which is returned.
    pub(crate) fn replace_base(&self, base: Arc<dyn Base>) -> Arc<dyn Base> {
        std::mem::replace(&mut self.layers.write().base, base)
    }

    pub(crate) fn base(&self) -> Arc<dyn Base> {
        self.layers.read().base.clone()
    }

    /// Bytes of changes that are not in the store yet.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of changes that no checkpoint has taken up yet.
    pub(crate) fn active_bytes(&self) -> u64 {
        self.active_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn with_layers<T>(&self, look: impl FnOnce(&Layers) -> T) -> T {
        look(&self.layers.read())
    }
}

impl Layers {
    fn set(&mut self, key: Key, value: Option<Bytes>) {
        let value_bytes = weight(value.as_ref());
        let key_bytes = key.as_bytes().len() as u64;
        match self.active.entry(key) {
            Entry::Vacant(entry) => {
                self.active_bytes += ENTRY_BYTES + key_bytes + value_bytes;
                entry.insert(value);
            }
            Entry::Occupied(mut entry) => {
                let old = entry.insert(value);
                let old_bytes = weight(old.as_ref());
                self.active_bytes = self.active_bytes + value_bytes - old_bytes;
            }
        }
    }
}

/// What a value counts for, or that there is none.
fn weight(value: Option<&Bytes>) -> u64 {
    value.map_or(DELETED_BYTES, |value| value.len() as u64)
}

fn parts(write: Write) -> (Key, Option<Bytes>) {
    match write {
        Write::Put(key, value) => (key, Some(value)),
        Write::Delete(key) => (key, None),
    }
}
