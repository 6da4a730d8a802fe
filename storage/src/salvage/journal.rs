//! What the journal still has, damaged or not.

use crate::{
    batch::Write,
    embedded::{
        directory::format,
        disk::{self, Disk, FsDisk},
        journal::{
            frame::{Frame, FrameLookup},
            segment::{
                HEADER_BYTES, HeaderLookup, JOURNAL, SegmentHeader, segment_id, segment_name,
            },
            tail::TailBlock,
        },
    },
    error::OpenError,
    salvage::{Losses, Records},
};

/// A file of the journal.
struct Segment {
    id: u64,
    name: String,
    bytes: Vec<u8>,
    /// The number of its first batch, if its header can be read.
    first_seq: Option<u64>,
}

/// Applies the batches after `checkpointed` that can be read, in order. Returns the highest
/// incarnation that was found.
pub(crate) fn replay(
    disk: &FsDisk,
    (checkpointed, tail): (u64, Option<TailBlock>),
    records: &mut Records,
    losses: &mut Losses,
) -> Result<u64, OpenError> {
    let (segments, mut latest) = read(disk, losses);
    let newest_id = segments.last().map_or(0, |segment| segment.id);
    if let Some(tail) = tail {
        latest = latest.max(tail.incarnation);
        if tail.newest_id > newest_id {
            losses.add(segment_name(tail.newest_id), "it is missing");
        }
    }
    let mut replay = Replay { next_seq: checkpointed + 1, records, losses };
    for (index, segment) in segments.iter().enumerate() {
        let following = segments[index + 1..].iter().find_map(|segment| segment.first_seq);
        replay.segment(segment, following);
    }
    Ok(latest)
}

fn read(disk: &FsDisk, losses: &mut Losses) -> (Vec<Segment>, u64) {
    let names = disk.list(JOURNAL).unwrap_or_else(|error| {
        losses.add(JOURNAL, error);
        Vec::new()
    });
    let (mut segments, mut latest) = (Vec::new(), 0);
    for id in names.iter().filter_map(|name| segment_id(name)) {
        let name = segment_name(id);
        match disk.open(&name).and_then(|file| disk::read_all(&*file)) {
            Ok(bytes) => {
                let mut first_seq = None;
                let header = SegmentHeader::decode(&bytes, id, format::NEWEST);
                if let HeaderLookup::Used(header) = header {
                    first_seq = Some(header.first_seq);
                    latest = latest.max(header.incarnation);
                    if header.file_bytes > bytes.len() as u64 {
                        let what = format!("it was {} bytes long", header.file_bytes);
                        losses.add(format_args!("{name} at {}", bytes.len()), what);
                    }
                } else if header != HeaderLookup::Unused {
                    losses.add(format_args!("{name} at 0"), "its header is damaged");
                }
                segments.push(Segment { id, name, bytes, first_seq });
            }
            Err(error) => losses.add(name, error),
        }
        // The incarnation is part of the id.
        latest = latest.max(id >> 24);
    }
    (segments, latest)
}

struct Replay<'a> {
    /// The number of the batch that comes next.
    next_seq: u64,
    records: &'a mut Records,
    losses: &'a mut Losses,
}

impl Replay<'_> {
    /// Applies what can be read of a segment, as far as the `following` one does not begin anew.
    fn segment(&mut self, segment: &Segment, following: Option<u64>) {
        let mut offset = HEADER_BYTES as usize;
        let mut expected = segment.first_seq;
        loop {
            let rest = segment.bytes.get(offset..).unwrap_or_default();
            let (at, frame) = match Frame::find(rest, segment.id) {
                FrameLookup::Valid(frame) => (offset, frame),
                _ => match Frame::search(&segment.bytes, offset, segment.id) {
                    Some(found) => found,
                    None => return,
                },
            };
            if following.is_some_and(|following| frame.header.first_seq >= following) {
                return;
            }
            let is_proved = expected.is_none_or(|seq| frame.header.synced_seq >= seq);
            if at > offset && !is_proved {
                // The tail of the last write, which nobody was told of.
                return;
            }
            if at > offset {
                let position = format!("{} at {offset}", segment.name);
                self.losses.add(position, format_args!("{} bytes cannot be read", at - offset));
            }
            self.frame(segment, at, &frame);
            expected = Some(frame.next_seq());
            offset = at + frame.len();
        }
    }

    fn frame(&mut self, segment: &Segment, at: usize, frame: &Frame<'_>) {
        let first_seq = frame.header.first_seq;
        if first_seq > self.next_seq {
            let position = format!("{} at {at}", segment.name);
            let what = format!("batches {} to {} are missing", self.next_seq, first_seq - 1);
            self.losses.add(position, what);
        }
        for (seq, writes) in (first_seq..).zip(frame.batches().into_iter().flatten()) {
            if seq >= self.next_seq {
                writes.into_iter().for_each(|write| self.apply(write));
            }
        }
        self.next_seq = self.next_seq.max(frame.next_seq());
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::Put(key, value) | Write::Add(key, value) => {
                self.records.insert(key, value);
            }
            Write::Delete(key) => drop(self.records.remove(&key)),
        }
    }
}
