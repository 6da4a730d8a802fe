//! The journal's tail: one block in a file of its own that says which segment is the newest, so
//! that the segment is missed when it is not there.
//!
//! | bytes | little-endian |
//! |---|---|
//! | 0..8 | magic |
//! | 8..12 | checksum of the rest |
//! | 16..24 | incarnation that wrote it |
//! | 24..32 | id of the newest segment begun, 0 if none is needed any more |
//!
//! The file is as long as a disk block, so that it is written wholly or not at all. Directories of
//! earlier versions have none.

use std::{io, sync::Arc};

use crate::{
    embedded::{
        disk::{self, Disk, DiskFile},
        journal::segment::{JOURNAL, number32, number64},
        os_error::{corrupt, io_error},
    },
    error::OpenError,
};

/// Its name, below the data directory.
pub(crate) const TAIL: &str = "journal/TAIL";
const NEXT: &str = "journal/TAIL.next";
const BYTES: usize = 512;
const MAGIC: [u8; 8] = *b"LKJOTAIL";

/// What the tail says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TailBlock {
    pub(crate) incarnation: u64,
    /// The newest segment that was begun, 0 if the store has all that the journal held.
    pub(crate) newest_id: u64,
}

impl TailBlock {
    /// What the tail of a directory says, or `None` if it has none.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Option<Self>, OpenError> {
        let path = disk.path(TAIL);
        let bytes = match disk.open(TAIL).and_then(|file| disk::read_all(&*file)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path, error)),
        };
        if bytes.len() != BYTES || bytes[..8] != MAGIC || number32(&bytes, 8) != checksum(&bytes) {
            return Err(corrupt(&path, 0, "its checksum does not match"));
        }
        let (incarnation, newest_id) = (number64(&bytes, 16), number64(&bytes, 24));
        Ok(Some(Self { incarnation, newest_id }))
    }

    fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[16..24].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.newest_id.to_le_bytes());
        let checksum = checksum(&bytes);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(&bytes[12..])
}

/// The open file of the tail.
pub(crate) struct TailFile {
    file: Arc<dyn DiskFile>,
    said: TailBlock,
}

impl TailFile {
    /// Has the tail of a directory say this, durably. A first one gets its name when it is whole.
    pub(crate) fn open(disk: &dyn Disk, said: TailBlock) -> io::Result<Self> {
        let file = match disk.open(TAIL) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = disk.create(NEXT)?;
                file.write_at(&said.encode(), 0)?;
                file.sync()?;
                disk.rename(NEXT, TAIL)?;
                disk.sync_dir(JOURNAL)?;
                return Ok(Self { file, said });
            }
            Err(error) => return Err(error),
        };
        let mut tail = Self { file, said: TailBlock::default() };
        tail.say(said)?;
        Ok(tail)
    }

    /// Notes the newest segment, durably.
    pub(crate) fn begun(&mut self, newest_id: u64) -> io::Result<()> {
        self.say(TailBlock { newest_id, ..self.said })
    }

    /// Notes, durably, that these segments are needed no more.
    pub(crate) fn freed(&mut self, ids: &[u64]) -> io::Result<()> {
        if ids.contains(&self.said.newest_id) { self.begun(0) } else { Ok(()) }
    }

    fn say(&mut self, said: TailBlock) -> io::Result<()> {
        self.file.write_at(&said.encode(), 0)?;
        self.file.sync()?;
        self.said = said;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_seen() {
        let bytes = TailBlock { incarnation: 3, newest_id: 7 }.encode();
        let is_sound = |bytes: &[u8]| bytes[..8] == MAGIC && number32(bytes, 8) == checksum(bytes);
        assert!(is_sound(&bytes));
        for at in 0..BYTES {
            let mut flipped = bytes;
            flipped[at] ^= 4;
            assert!(!is_sound(&flipped), "{at}");
        }
    }
}
