//! What lies in a data directory, looked at before anything of it is changed.
//!
//! Three kinds are told apart with certainty. *Fresh*: there is no manifest, nor anything that only
//! comes after one. *Begun*: the manifest names no store yet, so a first opening was cut off, and
//! nothing was ever acknowledged. *In use*: all that the manifest names has to be there. A file
//! that is missing is damage and never a fresh start: nothing is written or removed then.

use std::sync::Arc;

use crate::{
    embedded::{
        backing::port::{Backing, BackingDirectory},
        directory::manifest::{MANIFEST, Manifest, base_name},
        disk::Disk,
        journal::segment::JOURNAL,
        os_error::{io_error, refused},
    },
    error::OpenError,
};

/// What was found in a data directory.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) manifest: Option<Manifest>,
    /// The numbers of the stores.
    pub(crate) bases: Vec<u64>,
    /// The names in the journal's directory, or `None` if there is no such directory.
    journal: Option<Vec<String>>,
}

impl Survey {
    /// Looks at the directory, and reads its manifest.
    pub(crate) fn take(disk: &dyn Disk, bases: &dyn BackingDirectory) -> Result<Self, OpenError> {
        let bases = bases.numbers()?;
        let list = |dir| disk.list(dir).map_err(|error| io_error(&disk.path(dir), error));
        let has_journal = list("")?.iter().any(|name| name == JOURNAL);
        let journal = if has_journal { Some(list(JOURNAL)?) } else { None };
        Ok(Self { manifest: Manifest::read(disk)?, bases, journal })
    }

    /// The manifest of a directory in use, or `None` if the directory is fresh or begun.
    ///
    /// # Errors
    /// [`OpenError::Refused`] if something is missing.
    pub(crate) fn manifest_in_use(&self, disk: &dyn Disk) -> Result<Option<Manifest>, OpenError> {
        match self.manifest {
            None => self.check_empty(disk, &[], "it is missing").map(|()| None),
            Some(Manifest { base: 0, .. }) => {
                let what = "it says that nothing was stored yet";
                self.check_empty(disk, &[1], what).map(|()| None)
            }
            Some(manifest) => self.check_complete(disk, manifest).map(|()| Some(manifest)),
        }
    }

    /// Refuses a directory that holds more than the stores that may be there.
    fn check_empty(&self, disk: &dyn Disk, bases: &[u64], what: &str) -> Result<(), OpenError> {
        const NAMED_MAX: usize = 3;
        let others = self.bases.iter().filter(|number| !bases.contains(number));
        let mut found: Vec<String> = others.map(|number| base_name(*number)).collect();
        let journal = self.journal.iter().flatten();
        found.extend(journal.map(|name| format!("{JOURNAL}/{name}")));
        if found.is_empty() {
            return Ok(());
        }
        let rest = found.len().saturating_sub(NAMED_MAX);
        found.truncate(NAMED_MAX);
        let mut named = found.join(", ");
        if rest > 0 {
            named.push_str(&format!(" and {rest} more"));
        }
        let reason = format!("{what}, but the directory holds {named}; {}", remedy(disk));
        Err(refused(&disk.path(MANIFEST), reason))
    }

    fn check_complete(&self, disk: &dyn Disk, manifest: Manifest) -> Result<(), OpenError> {
        let missing = |name: &str| {
            let mut reason = "it is missing, although MANIFEST names it".to_owned();
            if let Some(other) = self.bases.first() {
                reason.push_str(&format!("; there is {} instead", base_name(*other)));
            }
            Err(refused(&disk.path(name), format!("{reason}; {}", remedy(disk))))
        };
        if !self.bases.contains(&manifest.base) {
            return missing(&base_name(manifest.base));
        }
        if self.journal.is_none() { missing(JOURNAL) } else { Ok(()) }
    }

    /// The stores beside the one in use that hold nothing of their own: what an interrupted rewrite
    /// left of its copy, or of the store it replaced.
    ///
    /// # Errors
    /// [`OpenError::Refused`] if one of them knows more than the store in use: the manifest is not
    /// the one that belongs to them.
    pub(crate) fn leftovers(
        &self,
        disk: &dyn Disk,
        (base, checkpointed): (u64, u64),
        is_unfinished: impl Fn(u64) -> bool,
        open: impl Fn(u64) -> Result<Arc<dyn Backing>, OpenError>,
    ) -> Result<Vec<u64>, OpenError> {
        let mut leftovers = Vec::new();
        for number in self.bases.iter().copied().filter(|number| *number != base) {
            if !is_unfinished(number) {
                let known = open(number).map(|other| other.checkpointed());
                // One that was replaced may have been removed in part.
                let may_fail = number < base;
                if !known.as_ref().map_or(may_fail, |known| *known <= checkpointed) {
                    let why = match known {
                        Ok(known) => format!("which has batch {known} and not only {checkpointed}"),
                        Err(error) => format!("which cannot be read ({error})"),
                    };
                    let reason = format!(
                        "it names {} although there is {}, {why}: it may be older than that; {}",
                        base_name(base),
                        base_name(number),
                        remedy(disk)
                    );
                    return Err(refused(&disk.path(MANIFEST), reason));
                }
            }
            leftovers.push(number);
        }
        Ok(leftovers)
    }
}

/// What to do about a directory that is not opened.
pub(crate) fn remedy(disk: &dyn Disk) -> String {
    format!(
        "nothing was changed. Put what is missing back from a backup, save what can be read with \
         'lanekeeper check --repair {}', or move the directory away to begin with an empty one",
        disk.path("").display()
    )
}
