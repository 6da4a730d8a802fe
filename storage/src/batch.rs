//! The writes of one turn: applied wholly or not at all.

use bytes::Bytes;

use crate::key::Key;

/// One change to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the key to the value, whether or not it had one.
    Put(Key, Bytes),
    /// Sets the key, which must have no value before, to the value.
    Add(Key, Bytes),
    /// Removes the key; removing an absent key is no error.
    Delete(Key),
}

impl Write {
    /// The key this write changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Add(key, _) | Self::Delete(key) => key,
        }
    }
}

/// The writes of one turn, in order: a later write to a key replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    writes: Vec<Write>,
    frees_space: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key to a value, whether or not it had one.
    pub fn put(&mut self, key: Key, value: impl Into<Bytes>) {
        self.writes.push(Write::Put(key, value.into()));
    }

    /// Sets a key that certainly has no value yet. If it is deleted before the next checkpoint, it
    /// leaves no trace in the memtable. If the key has a value after all, that value may come back
    /// when the new one is deleted; debug builds panic.
    pub fn add(&mut self, key: Key, value: impl Into<Bytes>) {
        self.writes.push(Write::Add(key, value.into()));
    }

    /// Removes a key, whether or not it had a value.
    pub fn delete(&mut self, key: Key) {
        self.writes.push(Write::Delete(key));
    }

    /// Marks a batch that frees space in the end (a pop, an ack, a purge), so that on a full disk
    /// it may use the engine's reserve.
    pub fn frees_space(&mut self) {
        self.frees_space = true;
    }

    /// Whether [`Batch::frees_space`] was called.
    pub fn is_space_freeing(&self) -> bool {
        self.frees_space
    }

    /// The writes in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The writes in order, taken out.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    /// Whether the batch has no writes.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Puts the writes of `other` before its own. It keeps its own mark for freeing space, unless
    /// it has no writes.
    pub fn precede_with(&mut self, mut other: Self) {
        if !self.writes.is_empty() {
            other.frees_space = self.frees_space;
        }
        other.writes.append(&mut self.writes);
        *self = other;
    }

    /// Appends the writes of `other`; the result frees space only if both do.
    pub fn extend(&mut self, other: Self) {
        if self.writes.is_empty() {
            *self = other;
        } else if !other.writes.is_empty() {
            self.frees_space &= other.frees_space;
            self.writes.extend(other.writes);
        }
    }
}
