//! Reading the journal back: which segments count, where the journal ends, and whether it ends
//! there because a write was cut off or because something durable was damaged.
//!
//! At a group that cannot be read there are three cases. The next segment begins with the batch
//! expected here: an earlier recovery ended the journal at this place. Or something proves that the
//! group had been durable, a later segment or a later group that was written after its fsync: that
//! is damage, and an error. Or neither: the tail of the last write, which nobody was told of.

use crate::{
    batch::Write,
    embedded::{
        directory::{format, manifest::MANIFEST},
        disk::{self, Disk, DiskFile},
        journal::{
            frame::{Frame, FrameLookup},
            segment::{
                HEADER_BYTES, HeaderLookup, JOURNAL, SegmentHeader, segment_id, segment_name,
                spare_number,
            },
            segment_files::Used,
            tail::{TAIL, TailBlock},
        },
        os_error::{corrupt, io_error, refused},
    },
    error::OpenError,
};

/// What is known of a journal from elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownPosition {
    /// The incarnation in the manifest: the journal has none after it.
    pub(crate) incarnation: u64,
    /// The last batch the store has: what lies wholly before it is not needed.
    pub(crate) checkpointed: u64,
    pub(crate) tail: Option<TailBlock>,
}

/// The files found in the journal's directory.
#[derive(Debug, Default)]
pub(crate) struct SegmentListing {
    /// Segments with something in them, in order.
    pub(crate) used: Vec<FoundSegment>,
    /// Files that hold nothing, by their names below the data directory.
    pub(crate) unused: Vec<String>,
    /// The largest number of a prepared file, and of a segment.
    pub(crate) spare_max: u64,
    pub(crate) id_max: u64,
}

/// A segment with something in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundSegment {
    pub(crate) id: u64,
    pub(crate) used: Used,
    header: SegmentHeader,
}

/// The tail of a write that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TornTail {
    pub(crate) name: String,
    pub(crate) offset: u64,
}

/// What a walk through the journal came to.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// The number of the batch after the last one.
    pub(crate) next_seq: u64,
    pub(crate) group_count: u64,
    pub(crate) batch_count: u64,
    pub(crate) torn: Option<TornTail>,
}

/// Looks through the journal's directory, and proves that no segment is missing or cut short.
pub(crate) fn list(disk: &dyn Disk, known: KnownPosition) -> Result<SegmentListing, OpenError> {
    let names = disk.list(JOURNAL).map_err(|error| io_error(&disk.path(JOURNAL), error))?;
    let mut listing = SegmentListing::default();
    let mut damaged = Vec::new();
    for name in names {
        if let Some(number) = spare_number(&name) {
            listing.spare_max = listing.spare_max.max(number);
            listing.unused.push(format!("{JOURNAL}/{name}"));
        }
        let Some(id) = segment_id(&name) else { continue };
        listing.id_max = listing.id_max.max(id);
        match read_header(disk, id)? {
            (HeaderLookup::Used(header), bytes) => {
                let used = Used { first_seq: header.first_seq, bytes };
                listing.used.push(FoundSegment { id, used, header });
            }
            (HeaderLookup::Unused, _) => listing.unused.push(segment_name(id)),
            (HeaderLookup::Format(found), _) => {
                format::check(&disk.path(&segment_name(id)), found)?;
            }
            (HeaderLookup::Damaged, _) => damaged.push(id),
        }
    }
    check_newest(disk, &listing, &damaged, known)?;
    let is_before = |segment: &FoundSegment| segment.used.first_seq <= known.checkpointed + 1;
    // Without a segment that goes on where the store ends, all of them are needed.
    let needed_from = listing.used.iter().rposition(is_before);
    let first_id = needed_from.map_or(0, |index| listing.used[index].id);
    if let Some(id) = damaged.iter().find(|id| **id > first_id) {
        return Err(corrupt(&disk.path(&segment_name(*id)), 0, "its header is damaged"));
    }
    let passed: Vec<FoundSegment> = listing.used.drain(..needed_from.unwrap_or(0)).collect();
    listing.unused.extend(passed.iter().map(|segment| segment_name(segment.id)));
    listing.unused.extend(damaged.into_iter().map(segment_name));
    listing.used.iter().try_for_each(|segment| segment.check_length(disk))?;
    Ok(listing)
}

impl FoundSegment {
    /// Refuses a file that has lost its end.
    fn check_length(&self, disk: &dyn Disk) -> Result<(), OpenError> {
        let (bytes, file_bytes) = (self.used.bytes, self.header.file_bytes);
        if bytes >= file_bytes {
            return Ok(());
        }
        let reason = format!("the file ends here, and was {file_bytes} bytes long");
        Err(corrupt(&disk.path(&segment_name(self.id)), bytes, reason))
    }
}

/// Proves that the journal has no segment from after the manifest, and that the newest one is
/// there.
fn check_newest(
    disk: &dyn Disk,
    listing: &SegmentListing,
    damaged: &[u64],
    known: KnownPosition,
) -> Result<(), OpenError> {
    let tail = known.tail.unwrap_or_default();
    let latest = listing.used.iter().map(|segment| segment.header.incarnation);
    let latest = latest.max().unwrap_or(0).max(tail.incarnation);
    if latest > known.incarnation {
        let reason = format!(
            "it is older than the journal: it was written by incarnation {}, the journal by \
             {latest}; nothing was changed. Put the MANIFEST back that belongs to the journal, or \
             save what can be read with 'lanekeeper check --repair {}'",
            known.incarnation,
            disk.path("").display()
        );
        return Err(refused(&disk.path(MANIFEST), reason));
    }
    if known.tail.is_none() && listing.used.iter().any(|segment| segment.header.file_bytes > 0) {
        return Err(corrupt(&disk.path(TAIL), 0, "it is missing beside the journal's segments"));
    }
    let newest_id = listing.used.last().map_or(0, |segment| segment.id);
    let newest_id = damaged.iter().copied().fold(newest_id, u64::max);
    if newest_id < tail.newest_id {
        let reason = "it is missing, and was the newest segment of the journal";
        return Err(corrupt(&disk.path(&segment_name(tail.newest_id)), 0, reason));
    }
    Ok(())
}

fn read_header(disk: &dyn Disk, id: u64) -> Result<(HeaderLookup, u64), OpenError> {
    let name = segment_name(id);
    let read = || {
        let file = disk.open(&name)?;
        let length = file.len()?;
        let mut bytes = vec![0; length.min(HEADER_BYTES) as usize];
        file.read_at(&mut bytes, 0)?;
        Ok((SegmentHeader::decode(&bytes, id, format::NEWEST), length))
    };
    read().map_err(|error| io_error(&disk.path(&name), error))
}

/// Reads every batch of the listed segments, in order. `prepare` is called with each file before it
/// is read, `replay` with each batch and its number.
pub(crate) fn walk(
    disk: &dyn Disk,
    listing: &SegmentListing,
    checkpointed: u64,
    prepare: &mut dyn FnMut(&dyn DiskFile) -> std::io::Result<()>,
    replay: &mut dyn FnMut(u64, Vec<Write>) -> Result<(), OpenError>,
) -> Result<Walked, OpenError> {
    let first_seq = listing.used.first().map_or(checkpointed + 1, |first| first.used.first_seq);
    if let Some(first) = listing.used.first().filter(|_| first_seq > checkpointed + 1) {
        let path = disk.path(&segment_name(first.id));
        let reason = format!("batches {} to {first_seq} are missing", checkpointed + 1);
        return Err(corrupt(&path, 0, reason));
    }
    let mut walked = Walked { next_seq: first_seq, ..Walked::default() };
    for (index, segment) in listing.used.iter().enumerate() {
        let name = segment_name(segment.id);
        let mut read = || {
            let file = disk.open(&name)?;
            prepare(&*file)?;
            disk::read_all(&*file)
        };
        let bytes = read().map_err(|error| io_error(&disk.path(&name), error))?;
        let next = listing.used.get(index + 1).map(|next| next.used.first_seq);
        let mut walk = SegmentWalk { disk, name, bytes: &bytes, id: segment.id };
        walk.run(&mut walked, next, replay)?;
    }
    walked.next_seq = walked.next_seq.max(checkpointed + 1);
    Ok(walked)
}

struct SegmentWalk<'a> {
    disk: &'a dyn Disk,
    name: String,
    bytes: &'a [u8],
    id: u64,
}

impl SegmentWalk<'_> {
    fn run(
        &mut self,
        walked: &mut Walked,
        next_segment: Option<u64>,
        replay: &mut dyn FnMut(u64, Vec<Write>) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let mut offset = HEADER_BYTES as usize;
        loop {
            let rest = self.bytes.get(offset..).unwrap_or_default();
            let found = Frame::find(rest, self.id);
            let frame = match found {
                FrameLookup::Valid(frame) if frame.header.first_seq == walked.next_seq => frame,
                other => return self.end(walked, next_segment, offset, &other),
            };
            let batches = frame.batches();
            let batches = batches.ok_or_else(|| self.damage(offset, "a group cannot be read"))?;
            for (seq, writes) in (walked.next_seq..).zip(batches) {
                replay(seq, writes)?;
            }
            walked.next_seq = frame.next_seq();
            walked.group_count += u64::from(frame.header.count > 0);
            walked.batch_count += u64::from(frame.header.count);
            offset += frame.len();
        }
    }

    /// Decides what it means that no group follows at `offset`.
    fn end(
        &self,
        walked: &mut Walked,
        next_segment: Option<u64>,
        offset: usize,
        found: &FrameLookup<'_>,
    ) -> Result<(), OpenError> {
        let expected = walked.next_seq;
        match next_segment {
            Some(first_seq) if first_seq == expected => return Ok(()),
            Some(first_seq) => {
                let reason = format!(
                    "batch {expected} is expected here, the next segment begins with {first_seq}"
                );
                return Err(self.damage(offset, &reason));
            }
            None => {}
        }
        if let FrameLookup::Torn { is_beyond_end: true } = found {
            return Err(self.damage(offset, "a group goes on beyond the end of the file"));
        }
        let mut from = offset;
        let mut is_torn = Frame::is_torn_after(self.bytes, offset, self.id);
        while let Some((at, later)) = Frame::search(self.bytes, from, self.id) {
            if later.header.synced_seq >= expected {
                let reason = format!("batch {expected} was durable and cannot be read");
                return Err(self.damage(offset, &reason));
            }
            is_torn |= later.header.count > 0;
            from = at + later.len();
        }
        if is_torn {
            walked.torn = Some(TornTail { name: self.name.clone(), offset: offset as u64 });
        }
        Ok(())
    }

    fn damage(&self, offset: usize, reason: &str) -> OpenError {
        corrupt(&self.disk.path(&self.name), offset as u64, reason)
    }
}
