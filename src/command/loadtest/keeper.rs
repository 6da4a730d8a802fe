//! Keeps what a load test shows: in files while it runs, and after it.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::super::{Failure, output};
use crate::{
    cli,
    loadtest::{
        plan::Plan,
        prepopulate::Filling,
        result::{Environment, ResultFile, RunResult},
        run::{self, Watcher},
        subject::Subject,
        timeline::Timeline,
    },
};

/// Results so far, and the files they go to.
pub(super) struct Keeper {
    json: Option<PathBuf>,
    /// Of the scenarios that are done.
    pub(super) results: Vec<RunResult>,
    environment: Option<Environment>,
    told_at: Duration,
    /// One word about a file that cannot be written is enough until the end.
    is_failing: bool,
}

impl Keeper {
    /// Keeps results where the flags say.
    pub(super) fn new(args: &cli::Output) -> Self {
        let json = args.json.clone();
        Self {
            json,
            results: Vec::new(),
            environment: None,
            told_at: Duration::ZERO,
            is_failing: false,
        }
    }

    /// A run begins.
    pub(super) fn begin(&mut self, plan: &Plan, subject: &Subject) {
        self.environment = Some(run::environment(plan, subject));
        self.told_at = Duration::ZERO;
    }

    /// Keeps the result of a run that is over.
    pub(super) fn keep(&mut self, result: RunResult) -> Result<(), Failure> {
        self.results.push(result);
        self.write(&self.results)
    }

    fn write(&self, results: &[RunResult]) -> Result<(), Failure> {
        let Some(path) = &self.json else { return Ok(()) };
        let text =
            serde_json::to_vec(&ResultFile::new(results.to_vec())).map_err(Failure::failed)?;
        write_whole(path, &text)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
    }
}

impl Watcher for Keeper {
    fn filling(&mut self, filling: Filling) {
        if filling.elapsed >= self.told_at + Duration::from_secs(1) {
            self.told_at = filling.elapsed;
            let (done, total, left) = (filling.done, filling.total, filling.left().as_secs());
            let rate = filling.rate();
            output::hint(&format!("filling: {done} of {total}, {rate:.0}/s, {left} s left"));
        }
    }

    /// A generator that is killed leaves what it knew a second ago.
    fn second(&mut self, plan: &Plan, timeline: &Timeline) {
        let seconds = timeline.seconds.len();
        let is_due = seconds < 60 || seconds.is_multiple_of(10);
        let environment = self.environment.clone().filter(|_| is_due && self.json.is_some());
        if let Some(environment) = environment {
            let mut results = self.results.clone();
            results.push(RunResult::of(plan, timeline, environment));
            if let Err(failure) = self.write(&results)
                && !std::mem::replace(&mut self.is_failing, true)
            {
                output::note(&format!("warning: {}", failure.message));
            }
        }
    }

    fn note(&mut self, text: &str) {
        output::hint(text);
    }
}

/// Replaces a file at once, so that nobody finds half of it. What is no ordinary file is written
/// to.
fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::File::options().write(true).open(path)?.write_all(text);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(".result-").permissions(Permissions::from_mode(0o644));
    let mut beside = builder.tempfile_in(dir.unwrap_or(Path::new(".")))?;
    beside.write_all(text)?;
    beside.persist(path)?;
    Ok(())
}
