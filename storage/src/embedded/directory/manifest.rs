//! The manifest: the one small file that says what the data directory holds. It is text, is
//! replaced as a whole, and names the store in use.

use crate::{
    embedded::{
        directory::format,
        disk::{self, Disk},
        os_error::{corrupt, io_error},
    },
    error::OpenError,
};

/// The name of the manifest in the data directory.
pub(crate) const MANIFEST: &str = "MANIFEST";
/// The name of the file that becomes the next manifest.
pub(crate) const NEXT: &str = "MANIFEST.next";
const TITLE: &str = "lanekeeper data directory";

/// Bytes of a manifest: always as many, so that it can be written in place.
const BYTES: usize = 256;

/// The name of a store's directory.
pub(crate) fn base_name(number: u64) -> String {
    format!("base-{number}")
}

/// The number of a store from the name of its directory.
pub(crate) fn base_number(name: &str) -> Option<u64> {
    name.strip_prefix("base-")?.parse().ok()
}

/// What the data directory says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// How often the directory was opened: each time is an incarnation of its own.
    pub(crate) incarnation: u64,
    /// The number of the store in use; 0 while the directory is made and holds nothing yet.
    pub(crate) base: u64,
    /// A batch that the store held when this was written: if it knows less, it is damaged.
    pub(crate) checkpoint: u64,
}

impl Manifest {
    /// The manifest of a directory, or `None` if it has none yet.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Option<Self>, OpenError> {
        let path = disk.path(MANIFEST);
        let file = match disk.open(MANIFEST) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path, error)),
        };
        let bytes = disk::read_all(&*file).map_err(|error| io_error(&path, error))?;
        let text = String::from_utf8_lossy(&bytes);
        let body = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix('\n'));
        let body = body.ok_or_else(|| corrupt(&path, 0, "it is not a manifest"))?;
        let number = |name: &str| {
            let lines = body.lines().filter_map(|line| line.split_once(' '));
            lines.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse::<u64>().ok())
        };
        let found = number("format").ok_or_else(|| corrupt(&path, 0, "it has no format line"))?;
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        format::check(&path, found)?;
        let manifest = || {
            let (incarnation, base) = (number("incarnation")?, number("base")?);
            Some(Self { incarnation, base, checkpoint: number("checkpoint")? })
        };
        match manifest() {
            Some(manifest) if manifest.to_text(found) == text => Ok(Some(manifest)),
            _ => Err(corrupt(&path, 0, "its checksum does not match")),
        }
    }

    /// Refuses a store that knows less than it did.
    pub(crate) fn check(self, disk: &dyn Disk, checkpointed: u64) -> Result<(), OpenError> {
        if checkpointed >= self.checkpoint {
            return Ok(());
        }
        let reason = format!("the store has lost batch {} and perhaps others", self.checkpoint);
        Err(corrupt(&disk.path(&base_name(self.base)), 0, reason))
    }

    /// Replaces the manifest durably: after a crash there is the old one or the new one.
    pub(crate) fn write(self, disk: &dyn Disk) -> Result<(), OpenError> {
        let write = || {
            let file = disk.open(NEXT).or_else(|_| disk.create(NEXT))?;
            file.write_at(self.to_text(format::NEWEST).as_bytes(), 0)?;
            file.sync()?;
            disk.rename(NEXT, MANIFEST)?;
            disk.sync_dir("")
        };
        write().map_err(|error| io_error(&disk.path(MANIFEST), error))?;
        // The next manifest gets its space now, so that a full disk can be opened. Without it the
        // next one is written anew.
        let prepared = disk.create(NEXT).and_then(|file| {
            file.write_at(&[b'\n'; BYTES], 0)?;
            file.sync()
        });
        if let Err(error) = prepared {
            tracing::debug!(%error, "no space was set aside for the next manifest");
        }
        Ok(())
    }

    fn to_text(self, format: u32) -> String {
        let Self { incarnation, base, checkpoint } = self;
        let body = format!(
            "{TITLE}\nformat {format}\nincarnation {incarnation}\nbase {base}\n\
             checkpoint {checkpoint}\n"
        );
        let checksum = crc32fast::hash(body.as_bytes());
        let mut text = format!("{body}checksum {checksum:08x}\n");
        text.extend(std::iter::repeat_n('\n', BYTES.saturating_sub(text.len())));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::disk::FsDisk;

    #[test]
    fn a_manifest_of_each_format_that_is_known_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FsDisk::new(dir.path());
        let manifest = Manifest { incarnation: 3, base: 2, checkpoint: 77 };
        for format in format::OLDEST..=format::NEWEST {
            std::fs::write(disk.path(MANIFEST), manifest.to_text(format)).unwrap();
            assert_eq!(Manifest::read(&disk).unwrap(), Some(manifest), "{format}");
        }
        std::fs::write(disk.path(MANIFEST), manifest.to_text(format::NEWEST + 1)).unwrap();
        assert!(matches!(Manifest::read(&disk), Err(OpenError::UnknownFormat { .. })));
    }
}
