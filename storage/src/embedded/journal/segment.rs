//! A journal segment: a preallocated file that begins with a header and is filled with groups.
//!
//! | bytes | header, little-endian |
//! |---|---|
//! | 0..8 | magic |
//! | 8..12 | format number |
//! | 12..16 | checksum of the rest |
//! | 16..24 | segment id |
//! | 24..32 | incarnation that wrote it |
//! | 32..40 | number of its first batch |
//! | 40..48 | bytes of the file, which never change; 0 in files of earlier versions |
//!
//! A header of zeros belongs to a file that was prepared and not used yet. Groups follow from byte
//! 512 on ([`crate::embedded::journal::frame`]).

/// The directory of the journal in the data directory.
pub(crate) const JOURNAL: &str = "journal";
/// Where the groups of a segment begin: the header has a disk block of its own, so that it is
/// written wholly or not at all.
pub(crate) const HEADER_BYTES: u64 = 512;

const MAGIC: [u8; 8] = *b"LKJOURNL";

/// The name of a segment in use, below the data directory.
pub(crate) fn segment_name(id: u64) -> String {
    format!("{JOURNAL}/{id:020}.log")
}

/// The name of a prepared segment, below the data directory.
pub(crate) fn spare_name(number: u64) -> String {
    format!("{JOURNAL}/spare-{number}")
}

/// The id of a segment from its name inside the journal's directory.
pub(crate) fn segment_id(name: &str) -> Option<u64> {
    name.strip_suffix(".log").filter(|digits| digits.len() == 20)?.parse().ok()
}

/// The number of a prepared segment from its name inside the journal's directory.
pub(crate) fn spare_number(name: &str) -> Option<u64> {
    name.strip_prefix("spare-")?.parse().ok()
}

/// What the first bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: u64,
    pub(crate) incarnation: u64,
    /// The number of the first batch in it.
    pub(crate) first_seq: u64,
    /// Bytes of the whole file: if there are fewer, some were lost. 0 if that is not known.
    pub(crate) file_bytes: u64,
}

/// What was found where a header should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderLookup {
    /// A segment in use.
    Used(SegmentHeader),
    /// A prepared file.
    Unused,
    /// A format of this number.
    Format(u32),
    /// Neither.
    Damaged,
}

impl SegmentHeader {
    /// The header as it stands in the file.
    pub(crate) fn encode(self, format: u32) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&format.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.file_bytes.to_le_bytes());
        let checksum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header of the segment that is named after `id`.
    pub(crate) fn decode(bytes: &[u8], id: u64, newest: u32) -> HeaderLookup {
        let Some(bytes) = bytes.get(..HEADER_BYTES as usize) else { return HeaderLookup::Damaged };
        if bytes.iter().all(|byte| *byte == 0) {
            return HeaderLookup::Unused;
        }
        if bytes[..8] != MAGIC {
            return HeaderLookup::Damaged;
        }
        let format = number32(bytes, 8);
        if format == 0 || format > newest {
            return HeaderLookup::Format(format);
        }
        let header = Self {
            id: number64(bytes, 16),
            incarnation: number64(bytes, 24),
            first_seq: number64(bytes, 32),
            file_bytes: number64(bytes, 40),
        };
        if number32(bytes, 12) == checksum(bytes) && header.id == id {
            HeaderLookup::Used(header)
        } else {
            HeaderLookup::Damaged
        }
    }
}

fn checksum(header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..12]);
    hasher.update(&header[16..]);
    hasher.finalize()
}

/// A little-endian number at an offset the caller knows to be inside.
pub(crate) fn number32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were cut out"))
}

/// A little-endian number at an offset the caller knows to be inside.
pub(crate) fn number64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were cut out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_as_it_was_written() {
        let header = SegmentHeader { id: 7, incarnation: 3, first_seq: 99, file_bytes: 4_096 };
        let bytes = header.encode(1);
        assert_eq!(SegmentHeader::decode(&bytes, 7, 1), HeaderLookup::Used(header));
        assert_eq!(SegmentHeader::decode(&bytes, 8, 1), HeaderLookup::Damaged);
        assert_eq!(SegmentHeader::decode(&bytes[..40], 7, 1), HeaderLookup::Damaged);
        assert_eq!(SegmentHeader::decode(&[0; 512], 7, 1), HeaderLookup::Unused);
        assert_eq!(SegmentHeader::decode(&header.encode(2), 7, 1), HeaderLookup::Format(2));
        for at in 12..512 {
            let mut flipped = bytes;
            flipped[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&flipped, 7, 1), HeaderLookup::Damaged, "{at}");
        }
    }

    #[test]
    fn names_give_back_their_numbers() {
        let name = segment_name(42);
        let name = name.strip_prefix("journal/").expect("it lies in the journal");
        assert_eq!(segment_id(name), Some(42));
        assert_eq!(segment_id("42.log"), None);
        assert_eq!(spare_number("spare-3"), Some(3));
        assert_eq!(spare_number("spare-x"), None);
    }
}
