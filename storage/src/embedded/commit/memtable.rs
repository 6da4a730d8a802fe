//! The memtable: every change that is not in the store yet, in memory and in key order.
//!
//! From the top: *volatile* (batches no journal keeps), *active* (changes since the last
//! checkpoint began), *frozen* (changes a checkpoint is folding in), and the store itself. The
//! uppermost layer that knows a key answers for it; a deleted key is known too, unless it was new
//! to its layer: then nothing below has it either, and it is forgotten.

use std::{
    collections::{BTreeSet, btree_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::RwLock;

use crate::{
    batch::Write,
    embedded::backing::port::{Backing, Changes, KeyChange},
    engine::seam::CommitSeq,
    error::LoadError,
    key::Key,
};

/// What an entry takes beside its key and value: the node's share, pointers, the allocation.
const ENTRY_BYTES: u64 = 112;

/// What a deleted key counts for beyond that: it is small, but every scan that begins before it has
/// to step over it, so that there should never be many.
const DELETED_BYTES: u64 = 384;

/// Changes on their way into the store.
pub(crate) struct FrozenMemtable {
    pub(crate) changes: Changes,
    /// The journal's number of the last batch in it, and the last commit.
    pub(crate) last_seq: u64,
    pub(crate) seq: CommitSeq,
    pub(crate) bytes: u64,
}

pub(crate) struct Memtable {
    layers: RwLock<MemtableLayers>,
    /// Bytes of active and frozen, for whoever decides without the lock.
    bytes: AtomicU64,
    active_bytes: AtomicU64,
    volatile_bytes: AtomicU64,
}

pub(crate) struct MemtableLayers {
    pub(crate) volatile: MemtableLayer,
    pub(crate) active: MemtableLayer,
    pub(crate) frozen: Option<Arc<FrozenMemtable>>,
    pub(crate) base: Arc<dyn Backing>,
}

impl Memtable {
    pub(crate) fn new(base: Arc<dyn Backing>) -> Self {
        let layers = MemtableLayers {
            volatile: MemtableLayer::default(),
            active: MemtableLayer::default(),
            frozen: None,
            base,
        };
        Self {
            layers: RwLock::new(layers),
            bytes: AtomicU64::new(0),
            active_bytes: AtomicU64::new(0),
            volatile_bytes: AtomicU64::new(0),
        }
    }

    /// Applies a batch that the journal keeps.
    pub(crate) fn apply(&self, writes: Vec<Write>) {
        let mut layers = self.layers.write();
        let before = layers.active.bytes;
        for write in writes {
            let (key, value, is_new) = parts(write);
            debug_assert!(!is_new || layers.is_free(&key), "{key:?} is not new");
            // What was volatile may hide something below.
            let is_hidden = layers.volatile.forget(&key);
            layers.active.set(key, value, is_new && !is_hidden);
        }
        self.volatile_bytes.store(layers.volatile.bytes, Ordering::Relaxed);
        let after = layers.active.bytes;
        self.active_bytes.store(after, Ordering::Relaxed);
        // Wrapping, as the difference may be negative; the sum never is.
        self.bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Applies a batch that nothing keeps.
    pub(crate) fn apply_volatile(&self, writes: Vec<Write>) {
        let free = self.free_below(&writes);
        let mut layers = self.layers.write();
        for write in writes {
            let (key, value, is_new) = parts(write);
            debug_assert!(!is_new || layers.is_free(&key), "{key:?} is not new");
            // No checkpoint ever clears this layer: what hides nothing must not stay in it.
            if value.is_none() && free.contains(&key) {
                layers.volatile.forget(&key);
            } else {
                layers.volatile.set(key, value, is_new);
            }
        }
        self.volatile_bytes.store(layers.volatile.bytes, Ordering::Relaxed);
    }

    /// Of the keys that these writes delete, those that have no value below the volatile layer.
    fn free_below(&self, writes: &[Write]) -> BTreeSet<Key> {
        let layers = self.layers.read();
        let is_known_new =
            |key: &Key| layers.volatile.changes.get(key).is_some_and(|change| change.is_new);
        let deleted = writes.iter().filter_map(|write| match write {
            Write::Delete(key) if !is_known_new(key) => {
                Some((key.clone(), layers.known_below(key).map(|change| change.value.is_none())))
            }
            _ => None,
        });
        let deleted: Vec<_> = deleted.collect();
        let base = Arc::clone(&layers.base);
        // The store may have to read the disk.
        drop(layers);
        let is_free = |key: &Key| matches!(base.get(key), Ok(None));
        let free = deleted.into_iter().filter(|(key, known)| known.unwrap_or_else(|| is_free(key)));
        free.map(|(key, _)| key).collect()
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        let layers = self.layers.read();
        if let Some(known) = layers.known(key) {
            return Ok(known.value.clone());
        }
        let base = layers.base.clone();
        drop(layers);
        base.get(key)
    }

    /// Moves the active changes to where a checkpoint takes them; `through` and `seq` are
    /// those of the last batch applied. If earlier ones are still there, they come first.
    pub(crate) fn freeze(&self, last_seq: u64, seq: CommitSeq) -> Arc<FrozenMemtable> {
        let mut layers = self.layers.write();
        if let Some(frozen) = &layers.frozen {
            return frozen.clone();
        }
        let MemtableLayer { changes, bytes } = std::mem::take(&mut layers.active);
        self.active_bytes.store(0, Ordering::Relaxed);
        let frozen = Arc::new(FrozenMemtable { changes, last_seq, seq, bytes });
        layers.frozen = Some(frozen.clone());
        frozen
    }

    /// As [`Memtable::freeze`], but puts the active changes on top of earlier ones that are still
    /// there: what was set in those and deleted since need not be folded in any more. Parts of the
    /// earlier ones may be in the store already.
    pub(crate) fn freeze_anew(&self, last_seq: u64, seq: CommitSeq) -> Arc<FrozenMemtable> {
        let mut layers = self.layers.write();
        let Some(earlier) = layers.frozen.take() else {
            drop(layers);
            return self.freeze(last_seq, seq);
        };
        let earlier = Arc::try_unwrap(earlier)
            .unwrap_or_else(|shared| FrozenMemtable { changes: shared.changes.clone(), ..*shared });
        let MemtableLayer { changes, bytes } = std::mem::take(&mut layers.active);
        let before = earlier.bytes + bytes;
        let mut merged = MemtableLayer { changes: earlier.changes, bytes: earlier.bytes };
        // The store may know a key by now: that it was deleted has to be remembered.
        merged.changes.values_mut().for_each(|change| change.is_new = false);
        for (key, KeyChange { value, is_new }) in changes {
            merged.set(key, value, is_new);
        }
        self.active_bytes.store(0, Ordering::Relaxed);
        // Wrapping, as the difference may be negative; the sum never is.
        self.bytes.fetch_add(merged.bytes.wrapping_sub(before), Ordering::Relaxed);
        let MemtableLayer { changes, bytes } = merged;
        let frozen = Arc::new(FrozenMemtable { changes, last_seq, seq, bytes });
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
    pub(crate) fn replace_base(&self, base: Arc<dyn Backing>) -> Arc<dyn Backing> {
        std::mem::replace(&mut self.layers.write().base, base)
    }

    pub(crate) fn base(&self) -> Arc<dyn Backing> {
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

    /// Bytes of batches that nothing keeps.
    pub(crate) fn volatile_bytes(&self) -> u64 {
        self.volatile_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn with_layers<T>(&self, look: impl FnOnce(&MemtableLayers) -> T) -> T {
        look(&self.layers.read())
    }
}

impl MemtableLayers {
    /// What the layers above the store know of a key.
    fn known(&self, key: &Key) -> Option<&KeyChange> {
        self.volatile.changes.get(key).or_else(|| self.known_below(key))
    }

    /// What the layers between the volatile one and the store know of a key.
    fn known_below(&self, key: &Key) -> Option<&KeyChange> {
        let frozen = self.frozen.as_ref().and_then(|frozen| frozen.changes.get(key));
        self.active.changes.get(key).or(frozen)
    }

    /// Whether a key has no value, as far as the store can be read.
    fn is_free(&self, key: &Key) -> bool {
        match self.known(key) {
            Some(known) => known.value.is_none(),
            None => !matches!(self.base.get(key), Ok(Some(_))),
        }
    }
}

/// A layer that changes.
#[derive(Default)]
pub(crate) struct MemtableLayer {
    pub(crate) changes: Changes,
    bytes: u64,
}

impl MemtableLayer {
    /// Makes a change. `is_new` says that no layer below has a value for the key.
    fn set(&mut self, key: Key, value: Option<Bytes>, is_new: bool) {
        let key_bytes = key.as_bytes().len() as u64;
        let bytes_of = |value: &Option<Bytes>| ENTRY_BYTES + key_bytes + weight(value.as_ref());
        match self.changes.entry(key) {
            Entry::Vacant(entry) => {
                self.bytes += bytes_of(&value);
                entry.insert(KeyChange { value, is_new });
            }
            Entry::Occupied(entry) if value.is_none() && entry.get().is_new => {
                self.bytes -= bytes_of(&entry.remove().value);
            }
            Entry::Occupied(mut entry) => {
                let known = &mut entry.get_mut().value;
                self.bytes = self.bytes + bytes_of(&value) - bytes_of(known);
                *known = value;
            }
        }
    }

    /// Forgets what it knows of a key; answers whether that was anything.
    fn forget(&mut self, key: &Key) -> bool {
        let Some(known) = self.changes.remove(key) else { return false };
        self.bytes -= ENTRY_BYTES + key.as_bytes().len() as u64 + weight(known.value.as_ref());
        true
    }
}

/// What a value counts for, or that there is none.
fn weight(value: Option<&Bytes>) -> u64 {
    value.map_or(DELETED_BYTES, |value| value.len() as u64)
}

/// The key a write changes, the value it gets, and whether it is certain to have none before.
fn parts(write: Write) -> (Key, Option<Bytes>, bool) {
    match write {
        Write::Put(key, value) => (key, Some(value), false),
        Write::Add(key, value) => (key, Some(value), true),
        Write::Delete(key) => (key, None, false),
    }
}
