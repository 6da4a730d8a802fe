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
    journal::{
        frame,
        segment::{self, JOURNAL, segment_name, spare_name},
    },
};

/// What a segment has beside its groups: its header, and the mark of the last group.
const FRAME_BYTES: u64 = segment::HEADER_BYTES + frame::MARK_BYTES;
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
    spares: VecDeque<Prepared>,
    next_spare: u64,
}

/// A file of zeros that is ready to become a segment. It stays open: beginning a segment takes no
/// descriptor.
pub(crate) struct Prepared {
    /// Its name below the data directory.
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Its length.
    pub(crate) bytes: u64,
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

    /// Makes a file of zeros with room for groups of so many bytes.
    pub(crate) fn prepare_file(&self, capacity: u64) -> io::Result<Prepared> {
        let name = self.next_spare_name();
        let file = self.disk.create(&name)?;
        let bytes = capacity + FRAME_BYTES;
        match disk::preallocate(&*file, bytes) {
            Ok(()) => Ok(Prepared { name, file, bytes }),
            Err(error) => {
                // What was taken of the space goes back; that it could not be filled is the news.
                let _ = self.disk.remove(&name);
                Err(error)
            }
        }
    }

    /// Prepares an ordinary segment.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        let prepared = self.prepare_file(self.capacity())?;
        self.files.lock().spares.push_back(prepared);
        Ok(())
    }

    /// Gives a prepared file up that did not become a segment.
    pub(crate) fn give_up(&self, prepared: &Prepared) {
        // If it stays, the next opening takes it over.
        let _ = self.disk.remove(&prepared.name);
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
        let taken = names.iter().try_for_each(|name| {
            spares.extend(self.take_over(name, spares.len())?);
            Ok(())
        });
        // A file is written to only once it cannot come back under its old name.
        let is_changed = !names.is_empty();
        let taken =
            taken.and_then(|()| if is_changed { self.disk.sync_dir(JOURNAL) } else { Ok(()) });
        if let Err(error) = taken {
            spares.iter().for_each(|spare| self.give_up(spare));
            return Err(error);
        }
        let spare_count = spares.len() as u64;
        self.files.lock().spares.extend(spares);
        Ok(spare_count)
    }

    /// Makes a file a prepared one, or removes it where `more` are about to be enough. A file that
    /// is gone was removed by an attempt that failed later.
    fn take_over(&self, name: &str, more: usize) -> io::Result<Option<Prepared>> {
        if self.spare_count() + more < SPARES_MAX {
            let file = match self.disk.open(name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let bytes = file.len()?;
            if bytes == self.segment_bytes {
                let name = self.clear(name, &*file)?;
                return Ok(Some(Prepared { name, file, bytes }));
            }
        }
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(None),
        }
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
    pub(crate) fn take_spare(&self) -> Option<Prepared> {
        self.files.lock().spares.pop_front()
    }

    /// Segments whose every batch is at or before `through`; the newest is never among them.
    fn used_up(&self, last_seq: u64) -> Vec<u64> {
        let files = self.files.lock();
        let next = files.used.values().skip(1);
        let pairs = files.used.keys().zip(next);
        pairs.take_while(|(_, next)| next.first_seq <= last_seq + 1).map(|(id, _)| *id).collect()
    }

    /// Frees segments of which nothing is needed. Returns how many became spares.
    pub(crate) fn free(&self, ids: &[u64]) -> io::Result<u64> {
        let names: Vec<String> = ids.iter().map(|id| segment_name(*id)).collect();
        // Where it fails, they stay in use and are freed another time.
        let spare_count = self.recycle(&names)?;
        self.files.lock().used.retain(|id, _| !ids.contains(id));
        Ok(spare_count)
    }

    /// Frees the segments that hold nothing after `through`.
    pub(crate) fn free_before(&self, last_seq: u64) -> io::Result<u64> {
        self.free(&self.used_up(last_seq))
    }

    /// The segments in use.
    pub(crate) fn used_ids(&self) -> Vec<u64> {
        self.files.lock().used.keys().copied().collect()
    }

    /// Removes one prepared segment.
    pub(crate) fn drop_spare(&self) -> io::Result<()> {
        self.take_spare().map_or(Ok(()), |spare| self.disk.remove(&spare.name))
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
