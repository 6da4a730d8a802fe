//! `lanekeeper check --repair`: saves what can be read into a new directory.

use std::path::{Path, PathBuf};

use lanekeeper::Salvage;
use serde_json::json;

use crate::cli::{
    args,
    exit::{CommandFailure, DAMAGED, DONE},
    output::{self, Output},
};

/// Saves what can be read, and tells what could not be.
pub(crate) fn run(args: &args::check::Check) -> Result<u8, CommandFailure> {
    let to = args.to.clone().unwrap_or_else(|| beside(&args.dir));
    if to.symlink_metadata().is_ok() {
        let what = "exists already: move it away, or name another directory with --to";
        return Err(CommandFailure::failed(format!("{} {what}", to.display())));
    }
    let mut salvage = Salvage::read(&args.dir).map_err(CommandFailure::not_started)?;
    salvage.mend();
    let report = salvage.write(&to).map_err(CommandFailure::failed)?;
    for loss in salvage.losses() {
        output::note(&format!("not saved: {loss}"));
    }
    let (records, messages) = (salvage.record_count(), report.message_count);
    let is_whole = salvage.is_complete() && report.is_sound();
    let mut output = Output::new();
    if args.json {
        let losses = salvage.losses().iter();
        let losses = losses.map(|loss| json!({"place": loss.place, "what": loss.what}));
        output.json(&json!({
            "repaired": to,
            "complete": salvage.is_complete(),
            "sound": report.is_sound(),
            "records": records,
            "messages": messages,
            "not_saved": losses.collect::<Vec<_>>(),
        }))?;
    } else {
        let (dir, to) = (args.dir.display(), to.display());
        output.line(format!("saved {records} records, {messages} messages among them: {to}"))?;
        output.line(format!(
            "{dir} is left as it is; to serve what was saved, put {to} in its place"
        ))?;
        if !report.is_sound() {
            output.line(report.to_string())?;
        }
    }
    output.flush()?;
    Ok(if is_whole { DONE } else { DAMAGED })
}

/// The directory beside the damaged one.
fn beside(dir: &Path) -> PathBuf {
    let whole = match dir.file_name() {
        Some(_) => dir.to_path_buf(),
        None => dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf()),
    };
    let mut name = whole.file_name().unwrap_or_default().to_os_string();
    name.push(".repaired");
    whole.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_directory_is_beside_the_old_one() {
        assert_eq!(beside(Path::new("data/")), Path::new("data.repaired"));
        assert_eq!(beside(Path::new("/a/b")), Path::new("/a/b.repaired"));
    }
}
