//! What the journal and the manifest ask of a disk.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

/// The directory that holds the files of one engine. Names are relative to it.
pub(crate) trait Disk: Send + Sync {
    /// The full path of a name, for errors.
    fn path(&self, name: &str) -> PathBuf;
    /// Makes a directory, if it is not there.
    fn create_dir(&self, name: &str) -> io::Result<()>;
    /// The names in a directory, sorted, without the directory's own.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Makes an empty file, in place of one of that name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames a file, in place of one of the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names in a directory durable. Opens nothing if the directory was made by
    /// [`Disk::create_dir`].
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Bytes that can still be written.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Bytes of the whole disk.
    fn total_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub(crate) trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Fills `bytes` from `offset` on.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// Everything in a file.
pub(crate) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Fills a new file with zeros and makes it durable, so that writing into it later needs neither
/// space nor metadata. In steps, so that a neighbour's fsync does not wait for all of it.
pub(crate) fn preallocate(file: &dyn DiskFile, length: u64) -> io::Result<()> {
    const STEP: u64 = 256 << 10;
    const STEPS_PER_SYNC: u64 = 8;
    let zeros = vec![0; STEP.min(length) as usize];
    let mut offset = 0;
    for step in 1_u64.. {
        let bytes = STEP.min(length - offset);
        if bytes == 0 {
            break;
        }
        file.write_at(&zeros[..bytes as usize], offset)?;
        offset += bytes;
        if step % STEPS_PER_SYNC == 0 {
            file.sync()?;
        }
    }
    file.sync()
}

/// The disk itself: a directory of the file system.
#[derive(Debug)]
pub(crate) struct FsDisk {
    dir: PathBuf,
    /// Directories whose names were made durable: they stay open, so that this is possible when
    /// there is no descriptor left.
    open_dirs: Mutex<BTreeMap<String, Arc<File>>>,
}

impl FsDisk {
    /// A directory that is there.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), open_dirs: Mutex::default() }
    }

    fn open_dir(&self, name: &str) -> io::Result<Arc<File>> {
        let mut open_dirs = self.open_dirs.lock();
        if let Some(dir) = open_dirs.get(name) {
            return Ok(dir.clone());
        }
        let dir = Arc::new(File::open(self.path(name))?);
        open_dirs.insert(name.to_owned(), dir.clone());
        Ok(dir)
    }
}

impl Disk for FsDisk {
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.dir.clone() } else { self.dir.join(name) }
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.path(name))?;
        self.open_dir("")?;
        self.open_dir(name).map(drop)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(dir))? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(FsFile(options.open(self.path(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::options().read(true).write(true).open(self.path(name))?;
        Ok(Arc::new(FsFile(file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.open_dir(dir)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.dir)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn total_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.dir)?;
        Ok(space.f_blocks.saturating_mul(space.f_frsize))
    }
}

struct FsFile(File);

impl DiskFile for FsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
