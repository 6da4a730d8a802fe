//! The writing end of the journal: one group after the other, one fsync for all of them.

use std::{io, path::PathBuf, sync::Arc};

use crate::{
    embedded::{
        commit::commit_queue::Gathered,
        directory::format,
        disk::DiskFile,
        journal::{
            frame::{self, FrameHeader},
            segment::{HEADER_BYTES, JOURNAL, SegmentHeader, segment_name},
            segment_files::{Prepared, Segments, Used},
            tail::TailFile,
        },
    },
    engine::seam::CommitSeq,
};

pub(crate) struct JournalWriter {
    incarnation: u64,
    next_id: u64,
    tail: TailFile,
    current: Option<Current>,
    /// The number of the last batch written, and of the last one fsynced.
    written_seq: u64,
    synced_seq: u64,
    /// The last commit that is written, batches the journal does not keep included.
    pub(crate) last_seq: CommitSeq,
    /// A group that could not be written yet: nobody was told of it, and whatever there is of it
    /// on the disk is written over.
    pub(crate) held: Option<Gathered>,
    /// Whether an fsync failed: nothing is ever tried again.
    pub(crate) is_failed: bool,
}

struct Current {
    file: Arc<dyn DiskFile>,
    id: u64,
    /// Bytes of the file.
    bytes: u64,
    offset: u64,
}

/// What failed, and what that means.
#[derive(Debug)]
pub(crate) enum JournalFailure {
    /// The group is not in the journal, and everything before it is as it was: it may be written
    /// again, in the same place.
    NotWritten(io::Error),
    /// An fsync failed, of batches that were handed over: what of them is on the disk is not
    /// known, and another fsync would not say.
    NotSynced { path: PathBuf, error: io::Error },
}

impl JournalWriter {
    /// A journal that goes on after batch `last_seq` in a segment of its own, `next_id`.
    pub(crate) fn new(incarnation: u64, next_id: u64, last_seq: u64, tail: TailFile) -> Self {
        Self {
            incarnation,
            next_id,
            tail,
            current: None,
            written_seq: last_seq,
            synced_seq: last_seq,
            last_seq: CommitSeq::ZERO,
            held: None,
            is_failed: false,
        }
    }

    /// Whether something written is not fsynced yet.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.written_seq > self.synced_seq
    }

    /// Leaves the segment in use, if every batch in it is at or before `through`. The next group
    /// has to begin another one.
    pub(crate) fn leave_segment(&mut self, last_seq: u64) -> bool {
        let is_left = self.held.is_none() && self.synced_seq <= last_seq && !self.is_unsynced();
        if is_left {
            self.current = None;
        }
        is_left
    }

    /// Writes a group behind the last one. A write that failed is no reason to distrust what is
    /// before it: an fsync speaks for that. The bytes lie beyond what was ever acknowledged, so
    /// that the same group may be written over them.
    pub(crate) fn append(&mut self, frame: &mut Gathered) -> Result<(), JournalFailure> {
        let current = self.current.as_mut().expect("the first group is given a segment");
        let header = FrameHeader {
            segment_id: current.id,
            first_seq: frame.first_seq,
            synced_seq: self.synced_seq,
            count: frame.count,
        };
        header.seal(&mut frame.bytes);
        let written = current.file.write_at(&frame.bytes, current.offset);
        written.map_err(JournalFailure::NotWritten)?;
        current.offset += frame.bytes.len() as u64;
        self.written_seq = frame.last_seq();
        Ok(())
    }

    /// Makes what was written so far durable and goes on in a prepared file. If that file fails,
    /// it is given up; the group then needs another one. No file is opened for it.
    pub(crate) fn begin_segment(
        &mut self,
        segments: &Segments,
        prepared: &Prepared,
        first_seq: u64,
    ) -> Result<(), JournalFailure> {
        if let Err(failure) = self.sync(segments) {
            segments.give_up(prepared);
            return Err(failure);
        }
        let disk = segments.disk();
        let id = self.next_id;
        let Prepared { name, file, bytes } = prepared;
        let incarnation = self.incarnation;
        let header = SegmentHeader { id, incarnation, first_seq, file_bytes: *bytes };
        let named = file.write_at(&header.encode(format::NEWEST), 0);
        let named = named.and_then(|()| file.sync());
        let named = named.and_then(|()| disk.rename(name, &segment_name(id)));
        if let Err(error) = named {
            segments.give_up(prepared);
            return Err(JournalFailure::NotWritten(error));
        }
        // From here on it counts as a segment, if only as an empty one: the next one begins with
        // the same batch, and a checkpoint frees both.
        segments.used(id, Used { first_seq, bytes: *bytes });
        self.next_id = id + 1;
        let noted = disk.sync_dir(JOURNAL).and_then(|()| self.tail.begun(id));
        noted.map_err(JournalFailure::NotWritten)?;
        self.current =
            Some(Current { file: file.clone(), id, bytes: *bytes, offset: HEADER_BYTES });
        Ok(())
    }

    /// Says of the last group that it is durable, so that damage to it is not taken for a write
    /// that was cut off. Not fsynced, and only as good as the disk allows: it is a witness.
    pub(crate) fn mark(&self) {
        let Some(current) = self.current.as_ref().filter(|_| !self.is_unsynced()) else { return };
        let mark = frame::mark(current.id, self.synced_seq);
        let offset = frame::mark_offset(current.offset);
        if offset + mark.len() as u64 > current.bytes {
            return;
        }
        if let Err(error) = current.file.write_at(&mark, offset) {
            tracing::debug!(%error, "the end of the journal was not marked");
        }
    }

    /// Notes, durably, that these segments are needed no more.
    pub(crate) fn freed(&mut self, ids: &[u64]) -> io::Result<()> {
        self.tail.freed(ids)
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&mut self, segments: &Segments) -> Result<(), JournalFailure> {
        if let Some(current) = self.current.as_ref().filter(|_| self.is_unsynced()) {
            current.file.sync().map_err(|error| JournalFailure::NotSynced {
                path: segments.disk().path(&segment_name(current.id)),
                error,
            })?;
        }
        self.synced_seq = self.written_seq;
        Ok(())
    }
}
