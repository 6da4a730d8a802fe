//! A group: the batches of one journal write, behind one checksum.
//!
//! | bytes | header, little-endian |
//! |---|---|
//! | 0..4 | magic |
//! | 4..8 | checksum of the segment id, the rest of the header and the payload |
//! | 8..12 | bytes of payload |
//! | 12..16 | low half of the segment id |
//! | 16..24 | number of its first batch |
//! | 24..32 | number of the last batch known to be fsynced when it was written |
//! | 32..36 | batches in it |
//!
//! The payload is, for each batch, the number of its writes and the writes: `key length × 2 +
//! is_delete`, for a put the length of the value, the key, the value. The checksum covers the
//! segment id, so that what a recycled file held before never passes for something new.
//!
//! A group without batches is a *mark*: it says of the last group that was fsynced that it was. It
//! stands a page behind that group, so that damage to the one spares the other; later groups are
//! written over it.

use bytes::Bytes;

use crate::{
    batch::{Batch, Write},
    embedded::journal::segment::{number32, number64},
    key::Key,
};

/// Bytes in front of a group's payload.
pub(crate) const HEADER_BYTES: usize = 36;

const MAGIC: u32 = 0x6772_6f75;

/// What a group's header says beside its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) segment_id: u64,
    pub(crate) first_seq: u64,
    pub(crate) synced_seq: u64,
    pub(crate) count: u32,
}

impl FrameHeader {
    /// Writes the header in front of the payload; `bytes` begins with room for it.
    pub(crate) fn seal(self, bytes: &mut [u8]) {
        let payload = (bytes.len() - HEADER_BYTES) as u32;
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&payload.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.segment_id as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced_seq.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_le_bytes());
        let checksum = checksum(bytes, self.segment_id);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Bytes behind the last group that its mark may need.
pub(crate) const MARK_BYTES: u64 = PAGE_BYTES + 2 * BLOCK_BYTES;
const PAGE_BYTES: u64 = 4_096;
const BLOCK_BYTES: u64 = 512;

/// Where the mark of a group that ends at this offset stands: in a disk block of its own.
pub(crate) fn mark_offset(end: u64) -> u64 {
    (end + PAGE_BYTES).next_multiple_of(BLOCK_BYTES)
}

/// A mark: this batch is durable.
pub(crate) fn mark(segment_id: u64, synced_seq: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let header = FrameHeader { segment_id, first_seq: synced_seq + 1, synced_seq, count: 0 };
    header.seal(&mut bytes);
    bytes
}

/// A group that passed its checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    payload: &'a [u8],
}

/// What stands where a group could begin.
pub(crate) enum FrameLookup<'a> {
    /// A group of this segment.
    Valid(Frame<'a>),
    /// The beginning of a group of this segment; the rest of it is not there.
    Torn {
        /// Whether it would go on beyond the end of the file: none is ever written so.
        is_beyond_end: bool,
    },
    /// Nothing that was written to this segment.
    Nothing,
}

impl<'a> Frame<'a> {
    /// Looks for a group at the beginning of `bytes`, the rest of the segment from there on.
    pub(crate) fn find(bytes: &'a [u8], segment_id: u64) -> FrameLookup<'a> {
        if bytes.len() < HEADER_BYTES
            || number32(bytes, 0) != MAGIC
            || number32(bytes, 12) != segment_id as u32
        {
            return FrameLookup::Nothing;
        }
        let header = FrameHeader {
            segment_id,
            first_seq: number64(bytes, 16),
            synced_seq: number64(bytes, 24),
            count: number32(bytes, 32),
        };
        let length = HEADER_BYTES + number32(bytes, 8) as usize;
        match bytes.get(..length) {
            Some(frame) if checksum(frame, segment_id) == number32(frame, 4) => {
                FrameLookup::Valid(Frame { header, payload: &frame[HEADER_BYTES..] })
            }
            found => FrameLookup::Torn { is_beyond_end: found.is_none() },
        }
    }

    /// The first group at or after `offset`, wherever in the bytes it begins, and where.
    pub(crate) fn search(bytes: &'a [u8], offset: usize, segment_id: u64) -> Option<(usize, Self)> {
        candidates(bytes, offset).find_map(|at| match Self::find(&bytes[at..], segment_id) {
            FrameLookup::Valid(frame) => Some((at, frame)),
            FrameLookup::Torn { .. } | FrameLookup::Nothing => None,
        })
    }

    /// Whether something at or after `offset` was begun as a group of this segment, and is not
    /// there wholly.
    pub(crate) fn is_torn_after(bytes: &'a [u8], offset: usize, segment_id: u64) -> bool {
        let mut found = candidates(bytes, offset).map(|at| Self::find(&bytes[at..], segment_id));
        found.any(|found| matches!(found, FrameLookup::Torn { .. }))
    }

    /// Bytes from its beginning to its end.
    pub(crate) fn len(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// The number of the batch after its last.
    pub(crate) fn next_seq(&self) -> u64 {
        self.header.first_seq + u64::from(self.header.count)
    }

    /// Its batches in order, or `None` if the payload is not what a group holds.
    pub(crate) fn batches(&self) -> Option<Vec<Vec<Write>>> {
        let mut rest = self.payload;
        let batches = (0..self.header.count).map(|_| take_batch(&mut rest)).collect();
        if rest.is_empty() { batches } else { None }
    }
}

/// Where a group could begin, at or after `offset`.
fn candidates(bytes: &[u8], offset: usize) -> impl Iterator<Item = usize> {
    const MAGIC_BYTES: [u8; 4] = MAGIC.to_le_bytes();
    let rest = bytes.get(offset..).unwrap_or_default();
    let windows = rest.windows(MAGIC_BYTES.len()).enumerate();
    windows.filter(|(_, window)| *window == MAGIC_BYTES).map(move |(at, _)| offset + at)
}

fn checksum(frame: &[u8], segment_id: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment_id.to_le_bytes());
    hasher.update(&frame[8..]);
    hasher.finalize()
}

/// Bytes a batch takes in the payload of a group.
pub(crate) fn batch_bytes(batch: &Batch) -> u64 {
    let writes = batch.writes().iter().map(|write| match write {
        Write::Put(key, value) | Write::Add(key, value) => 8 + key.as_bytes().len() + value.len(),
        Write::Delete(key) => 4 + key.as_bytes().len(),
    });
    4 + writes.map(|bytes| bytes as u64).sum::<u64>()
}

/// Appends a batch to the payload of a group.
pub(crate) fn put_batch(batch: &Batch, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(batch.writes().len() as u32).to_le_bytes());
    for write in batch.writes() {
        let key = write.key().as_bytes();
        let word = (key.len() as u32) << 1;
        match write {
            // A replay cannot know what the store has of it already.
            Write::Put(_, value) | Write::Add(_, value) => {
                bytes.extend_from_slice(&word.to_le_bytes());
                bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
                bytes.extend_from_slice(key);
                bytes.extend_from_slice(value);
            }
            Write::Delete(_) => {
                bytes.extend_from_slice(&(word | 1).to_le_bytes());
                bytes.extend_from_slice(key);
            }
        }
    }
}

fn take_batch(rest: &mut &[u8]) -> Option<Vec<Write>> {
    (0..take_number(rest)?).map(|_| take_write(rest)).collect()
}

fn take_write(rest: &mut &[u8]) -> Option<Write> {
    let word = take_number(rest)?;
    let key_bytes = (word >> 1) as usize;
    if word & 1 == 1 {
        return Some(Write::Delete(Key::from_bytes(rest.split_off(..key_bytes)?)));
    }
    let value_bytes = take_number(rest)? as usize;
    let key = Key::from_bytes(rest.split_off(..key_bytes)?);
    Some(Write::Put(key, Bytes::copy_from_slice(rest.split_off(..value_bytes)?)))
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    rest.split_off(..4).map(|bytes| number32(bytes, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(segment_id: u64) -> (Vec<u8>, Vec<Vec<Write>>) {
        let mut first = Batch::new();
        first.put(Key::from_bytes(b"a"), "one");
        first.delete(Key::from_bytes(b"longer than a small key may be inline"));
        let mut second = Batch::new();
        second.put(Key::from_bytes(b""), "");
        let mut bytes = vec![0; HEADER_BYTES];
        for batch in [&first, &second] {
            let before = bytes.len() as u64;
            put_batch(batch, &mut bytes);
            assert_eq!(bytes.len() as u64 - before, batch_bytes(batch));
        }
        FrameHeader { segment_id, first_seq: 5, synced_seq: 4, count: 2 }.seal(&mut bytes);
        (bytes, vec![first.into_writes(), second.into_writes()])
    }

    #[test]
    fn a_group_is_found_as_it_was_sealed() {
        let (mut bytes, batches) = sealed(9);
        let length = bytes.len();
        bytes.extend_from_slice(&[1; 50]);
        let FrameLookup::Valid(frame) = Frame::find(&bytes, 9) else { panic!("not found") };
        assert_eq!((frame.len(), frame.next_seq()), (length, 7));
        assert_eq!(frame.batches(), Some(batches));
    }

    #[test]
    fn a_flipped_bit_or_another_segment_does_not_pass() {
        let (bytes, _) = sealed(9);
        assert!(matches!(Frame::find(&bytes, 10), FrameLookup::Nothing));
        assert!(!matches!(Frame::find(&bytes, 9 + (1 << 32)), FrameLookup::Valid(_)));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(!matches!(Frame::find(&flipped, 9), FrameLookup::Valid(_)), "{at}");
        }
    }

    #[test]
    fn a_search_finds_the_next_group_wherever_it_begins() {
        let (bytes, _) = sealed(9);
        let padded = [vec![3; 17], bytes].concat();
        let found = Frame::search(&padded, 0, 9).map(|(at, frame)| (at, frame.next_seq()));
        assert_eq!(found, Some((17, 7)));
        assert!(Frame::search(&padded, 18, 9).is_none());
    }
}
