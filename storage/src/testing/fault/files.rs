//! Files in memory that know what of them is durable.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

/// A disk writes a block wholly or not at all.
const BLOCK_BYTES: usize = 512;

/// A file: what a reader sees, and what a power cut leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: BTreeSet<usize>,
}

impl File {
    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
        self.unsynced.extend(offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES));
    }

    /// A part of a write: what a cut leaves of it.
    pub(crate) fn write_torn(&mut self, bytes: &[u8], offset: usize, rng: &mut Rng) {
        let blocks = rng.usize(0..=bytes.len() / BLOCK_BYTES);
        self.write(&bytes[..(blocks * BLOCK_BYTES).min(bytes.len())], offset);
    }

    pub(crate) fn sync(&mut self) {
        self.durable.resize(self.content.len(), 0);
        for block in std::mem::take(&mut self.unsynced) {
            self.keep(block);
        }
    }

    /// A failed fsync: the system takes the blocks for written, and they never will be.
    pub(crate) fn sync_in_vain(&mut self) {
        self.unsynced.clear();
    }

    /// A power cut: of the blocks not synced, some were written all the same.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) {
        if rng.bool() {
            self.durable.resize(self.content.len(), 0);
        }
        let is_kept_more_often = rng.bool();
        for block in std::mem::take(&mut self.unsynced) {
            if rng.u8(0..4) < if is_kept_more_often { 3 } else { 1 } {
                self.keep(block);
            }
        }
        self.content.clone_from(&self.durable);
    }

    fn keep(&mut self, block: usize) {
        let start = block * BLOCK_BYTES;
        let end = (start + BLOCK_BYTES).min(self.content.len());
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.content[start..end]);
    }
}

/// A change of the names.
#[derive(Clone, Debug)]
enum Renaming {
    Link(String, u64),
    Unlink(String),
}

/// Files by name; names are durable once their directory was synced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) by_id: BTreeMap<u64, File>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced: Vec<Renaming>,
    next_id: u64,
}

impl Files {
    pub(crate) fn id(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    /// Bytes of all files that have a name.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.names.values().filter_map(|id| self.by_id.get(id));
        files.map(|file| file.content.len() as u64).sum()
    }

    pub(crate) fn create(&mut self, name: &str) -> u64 {
        self.next_id += 1;
        self.by_id.insert(self.next_id, File::default());
        self.change(Renaming::Link(name.to_string(), self.next_id));
        self.next_id
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Option<()> {
        let id = self.id(from)?;
        self.change(Renaming::Unlink(from.to_string()));
        self.change(Renaming::Link(to.to_string(), id));
        Some(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<()> {
        self.id(name)?;
        self.change(Renaming::Unlink(name.to_string()));
        Some(())
    }

    fn change(&mut self, renaming: Renaming) {
        apply(&mut self.names, &renaming);
        self.unsynced.push(renaming);
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_dir(&mut self, dir: &str) {
        let is_inside = |renaming: &Renaming| {
            let (Renaming::Link(name, _) | Renaming::Unlink(name)) = renaming;
            name.rsplit_once('/').map_or("", |(parent, _)| parent) == dir
        };
        for renaming in self.unsynced.extract_if(.., |renaming| is_inside(renaming)) {
            apply(&mut self.durable_names, &renaming);
        }
        let Self { by_id, names, durable_names, .. } = self;
        by_id.retain(|id, _| names.values().chain(durable_names.values()).any(|named| named == id));
    }

    /// A power cut: of the names not synced, the first few are kept.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) {
        let kept = rng.usize(0..=self.unsynced.len());
        for renaming in self.unsynced.drain(..).take(kept) {
            apply(&mut self.durable_names, &renaming);
        }
        self.names.clone_from(&self.durable_names);
        for file in self.by_id.values_mut() {
            file.lose_power(rng);
        }
    }
}

fn apply(names: &mut BTreeMap<String, u64>, renaming: &Renaming) {
    match renaming {
        Renaming::Link(name, id) => drop(names.insert(name.clone(), *id)),
        Renaming::Unlink(name) => drop(names.remove(name)),
    }
}
