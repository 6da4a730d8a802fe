//! Whether what a load test is to write can be written: found before it runs, not after it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use crate::cli::{args, exit::CommandFailure};

/// Refuses files that cannot be written, and two results in one file.
pub(crate) fn check(output: &args::loadtest::Output) -> Result<(), CommandFailure> {
    let args::loadtest::Output { json, csv, html, junit, .. } = output;
    let csv = csv.as_deref().map(csv_file);
    let files = [
        ("--json", json.as_deref()),
        ("--csv", csv.as_deref()),
        ("--html", html.as_deref()),
        ("--junit", junit.as_deref()),
    ];
    let files: Vec<_> = files.into_iter().filter_map(|(flag, path)| Some((flag, path?))).collect();
    for (place, (flag, path)) in files.iter().enumerate() {
        probe(path).map_err(|error| {
            let error = error.to_string();
            let reason = error.split(" (os error").next().unwrap_or_default();
            CommandFailure::usage(format!("{flag}: {} cannot be written: {reason}", path.display()))
        })?;
        let is_file = fs::metadata(path).map_or(true, |metadata| metadata.is_file());
        let same = files[..place].iter().find(|(_, other)| is_file && other == path);
        if let Some((other, _)) = same {
            let path = path.display();
            return Err(CommandFailure::usage(format!(
                "{other} and {flag} must not both be {path}"
            )));
        }
    }
    Ok(())
}

/// One of the files of a prefix: they are all in the same directory.
fn csv_file(prefix: &Path) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push("_stats.csv");
    path.into()
}

/// A file is written beside the place it is to have, and then put there.
fn probe(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => return Ok(access(path, Access::WRITE_OK)?),
        Ok(_) | Err(_) => {}
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    tempfile::Builder::new().prefix(".result-").tempfile_in(dir.unwrap_or(Path::new(".")))?;
    Ok(())
}
