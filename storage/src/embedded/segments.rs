//! The files of the journal: those in use, and those prepared for use. Preparing and recycling
//! happen in the background; the commit only takes one out.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::embedded::{
    disk::{self, Disk, DiskFile},
    group,
    segment::{self, JOURNAL, segment_name, spare_name},
};

/// What a segment has beside its groups: its header, and the mark behind the last group.
const FRAME_BYTES: u64 = segment::HEADER_BYTES + group::HEADER_BYTES as u64;
/// Files kept for reuse while there is load.
const SPARES_MAX: usize = 4;

pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    /// Bytes of an ordinary segment, header included.
    segment_bytes: u64,
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    used: BTreeMap<u64, Used>,
    spares: VecDeque<String>,
    next_spare: u64,
}

/// A segment in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) first_seq: u64,
    pub(crate) bytes: u64,
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, segment_bytes: u64) -> Self {
        Self { disk, segment_bytes, files: Mutex::default() }
    }

    /// Bytes of groups an ordinary segment holds.
    pub(crate) fn capacity(&self) -> u64 {
        self.segment_bytes - FRAME_BYTES
    }

    /// Notes a segment as in use.
    pub(crate) fn used(&self, id: u64, used: Used) {
        self.files.lock().used.insert(id, used);
    }

    /// Makes a file of zeros with room for groups of so many bytes, and returns its name.
    pub(crate) fn prepare_file(&self, capacity: u64) -> io::Result<String> {
        let name = self.next_spare_name();
        let file = self.disk.create(&name)?;
        let filled = disk::preallocate(&*file, capacity + FRAME_BYTES);
        if filled.is_err() {
            // What was taken of the space goes back; that it could not be filled is the news.
            let _ = self.disk.remove(&name);
        }
        filled.map(|()| name)
    }

    /// Prepares an ordinary segment.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        let name = self.prepare_file(self.capacity())?;
        self.files.lock().spares.push_back(name);
        Ok(())
    }

    fn next_spare_name(&self) -> String {
        let mut files = self.files.lock();
        files.next_spare += 1;
        spare_name(files.next_spare)
    }

    /// Takes over files of which nothing is needed: as prepared ones, or away with them. Returns
    /// how many are kept.
    pub(crate) fn recycle(&self, names: &[String]) -> io::Result<u64> {
        let mut spares = Vec::new();
        for name in names {
            let file = self.disk.open(name)?;
            let count = self.spare_count() + spares.len();
            if file.len()? == self.segment_bytes && count < SPARES_MAX {
                spares.push(self.clear(name, &*file)?);
            } else {
                self.disk.remove(name)?;
            }
        }
        // A file is written to only once it cannot come back under its old name.
        if !names.is_empty() {
            self.disk.sync_dir(JOURNAL)?;
        }
        let spare_count = spares.len() as u64;
        self.files.lock().spares.extend(spares);
        Ok(spare_count)
    }

    /// Clears a file's header, so that it is not taken for a segment in use, and renames it.
    fn clear(&self, name: &str, file: &dyn DiskFile) -> io::Result<String> {
        file.write_at(&[0; segment::HEADER_BYTES as usize], 0)?;
        file.sync()?;
        let spare = self.next_spare_name();
        self.disk.rename(name, &spare)?;
        Ok(spare)
    }

    /// Takes a prepared segment.
    pub(crate) fn take_spare(&self) -> Option<String> {
        self.files.lock().spares.pop_front()
    }

    /// Segments whose every batch is at or before `through`; the newest is never among them.
    fn used_up(&self, through: u64) -> Vec<u64> {
        let files = self.files.lock();
        let next = files.used.values().skip(1);
        let pairs = files.used.keys().zip(next);
        pairs.take_while(|(_, next)| next.first_seq <= through + 1).map(|(id, _)| *id).collect()
    }

    /// Frees segments of which nothing is needed. Returns how many became spares.
    pub(crate) fn free(&self, ids: &[u64]) -> io::Result<u64> {
        {
            let mut files = self.files.lock();
            files.used.retain(|id, _| !ids.contains(id));
        }
        let names: Vec<String> = ids.iter().map(|id| segment_name(*id)).collect();
        self.recycle(&names)
    }

    /// Frees the segments that hold nothing after `through`.
    pub(crate) fn free_before(&self, through: u64) -> io::Result<u64> {
        self.free(&self.used_up(through))
    }

    /// The segments in use.
    pub(crate) fn used_ids(&self) -> Vec<u64> {
        self.files.lock().used.keys().copied().collect()
    }

    /// Removes one prepared segment.
    pub(crate) fn drop_spare(&self) -> io::Result<()> {
        self.take_spare().map_or(Ok(()), |name| self.disk.remove(&name))
    }

    pub(crate) fn spare_count(&self) -> usize {
        self.files.lock().spares.len()
    }

    pub(crate) fn used_count(&self) -> usize {
        self.files.lock().used.len()
    }

    /// Bytes of the segments in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.files.lock().used.values().map(|used| used.bytes).sum()
    }

    /// Bytes of an ordinary segment's file.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Goes on numbering prepared files after this number.
    pub(crate) fn number_spares_after(&self, number: u64) {
        let mut files = self.files.lock();
        files.next_spare = files.next_spare.max(number);
    }
}
