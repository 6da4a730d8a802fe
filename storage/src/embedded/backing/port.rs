//! What the engine asks of the ordered store behind the journal.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::{
    error::{LoadError, OpenError},
    key::{Key, KeyRange},
};

/// Changes in key order.
pub(crate) type Changes = BTreeMap<Key, KeyChange>;

/// What became of a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyChange {
    /// The value it got, or nothing where it was deleted.
    pub(crate) value: Option<Bytes>,
    /// Whether nothing below knows the key, so that deleting it leaves nothing to be remembered.
    pub(crate) is_new: bool,
}

impl KeyChange {
    /// Bytes of its value.
    pub(crate) fn bytes(&self) -> u64 {
        self.value.as_ref().map_or(0, |value| value.len() as u64)
    }
}

/// Entries of a scan, one at a time. Passing one over costs no copy of it.
pub(crate) trait Cursor {
    /// The bytes of the key the cursor is at, or `None` at the end.
    ///
    /// # Errors
    /// [`LoadError`] if the disk fails; the scan ends with it.
    fn key(&mut self) -> Result<Option<&[u8]>, LoadError>;
    /// Copies the entry the cursor is at, unless it is gone by now.
    ///
    /// # Errors
    /// As [`Cursor::key`].
    fn entry(&self) -> Result<Option<(Key, Bytes)>, LoadError>;
    /// Goes on to the next entry.
    fn pass(&mut self);
}

/// How much space there is for a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MergeSpace {
    /// More than it can need.
    Ample,
    /// Perhaps too little: what frees space goes first, and every step is a small one.
    Tight,
}

/// The end of a store to scan from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The smallest key first.
    Forward,
    /// The largest key first.
    Back,
}

/// One ordered store. It holds every batch up to [`Backing::checkpointed`], and perhaps parts of
/// later ones: folding those in again gives the same result.
pub(crate) trait Backing: Send + Sync {
    /// The value of one key.
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError>;
    /// The entries of a range.
    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Cursor>;
    /// Every entry, in key order or in the reverse of it.
    fn all(&self, direction: Direction) -> Box<dyn Cursor>;
    /// The number of the last batch that is durably and wholly in the store.
    fn checkpointed(&self) -> u64;
    /// Folds changes in and makes them durable, then records `through` as the checkpoint. Calls
    /// `pause` now and then. Returns how many keys changed.
    ///
    /// # Errors
    /// [`LoadError::NoSpace`] if the disk has too little space to go on: the store is as good as
    /// before, and parts of the changes may be in it.
    fn merge(
        &self,
        changes: &Changes,
        last_seq: u64,
        room: MergeSpace,
        pause: &mut dyn FnMut(),
    ) -> Result<u64, LoadError>;
    /// Bytes that must be free on the disk to fold in changes of so many bytes.
    fn merge_needs_bytes(&self, bytes: u64) -> u64;
    /// Bytes that must be free on the disk to copy what is alive, if that is so many bytes.
    fn copy_needs_bytes(&self, bytes: u64) -> u64;
    /// Bytes on disk.
    fn disk_bytes(&self) -> u64;
    /// Bytes of keys and values that are alive; an estimate after a crash.
    fn live_bytes(&self) -> u64;
    /// Whether a write or an fsync of its files failed: it is read, and to be replaced by a copy
    /// before it is written to again.
    fn is_suspect(&self) -> bool;
    /// Removes the store's files once nobody uses it any more.
    fn retire(&self);
}

/// The stores of a data directory, by number.
pub(crate) trait BackingDirectory: Send + Sync {
    /// The numbers of the stores that are there, in order.
    fn numbers(&self) -> Result<Vec<u64>, OpenError>;
    /// Whether the making of a store, or of a copy, was cut off: nothing relies on it.
    fn is_unfinished(&self, number: u64) -> bool;
    /// Opens a store that is there.
    fn open(&self, number: u64) -> Result<Arc<dyn Backing>, OpenError>;
    /// Makes an empty store, durably, in place of an unfinished one.
    fn create(&self, number: u64) -> Result<Arc<dyn Backing>, OpenError>;
    /// Bytes that must be free on the disk to open the stores that are there.
    fn opening_needs_bytes(&self) -> u64;
    /// Copies what is alive in a store into a fresh one, durably. Calls `pause` now and then.
    fn copy(
        &self,
        from: &dyn Backing,
        to: u64,
        pause: &mut dyn FnMut(),
    ) -> Result<Arc<dyn Backing>, LoadError>;
    /// Removes a store that nobody has open.
    fn remove(&self, number: u64) -> Result<(), OpenError>;
}
