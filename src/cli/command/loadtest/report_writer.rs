//! Keeps what a load test shows: in files while it runs, and after it.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use crate::{
    cli::{args, exit::CommandFailure, output},
    loadtest::{
        fill::prepopulate::Filling,
        plan::run_plan::Plan,
        record::{
            live,
            result::{Environment, ResultFile, RunResult, Skipped},
            timeline::Timeline,
        },
        report::{html, junit, locust},
        run::{self, Watcher},
        target::Subject,
    },
};

/// Results so far, and the files they go to.
pub(crate) struct ReportWriter {
    files: args::loadtest::Output,
    /// Whether there will be several results.
    is_several: bool,
    /// Lines of the live view that stand in the terminal.
    drawn: usize,
    /// Of the scenarios that are done.
    pub(crate) results: Vec<RunResult>,
    /// What could not be run here.
    pub(crate) skipped: Vec<Skipped>,
    environment: Option<Environment>,
    told_at: Duration,
    /// One word about a file that cannot be written is enough until the end.
    is_failing: bool,
}

impl ReportWriter {
    /// Keeps results where the flags say.
    pub(crate) fn new(files: &args::loadtest::Output, is_several: bool) -> Self {
        Self {
            files: files.clone(),
            is_several,
            drawn: 0,
            results: Vec::new(),
            skipped: Vec::new(),
            environment: None,
            told_at: Duration::ZERO,
            is_failing: false,
        }
    }

    /// A run begins.
    pub(crate) fn begin(&mut self, plan: &Plan, target: &Subject) {
        self.environment = Some(run::environment(plan, target));
        self.told_at = Duration::ZERO;
    }

    /// Takes the live view away.
    pub(crate) fn clear(&mut self) {
        output::redraw(std::mem::take(&mut self.drawn), &[]);
    }

    /// Keeps the result of a run that is over.
    pub(crate) fn keep(&mut self, result: RunResult) -> Result<(), CommandFailure> {
        self.results.push(result);
        self.keep_all()
    }

    /// Keeps that a scenario cannot be run here, and why.
    pub(crate) fn skip(&mut self, skipped: Skipped) -> Result<(), CommandFailure> {
        output::note(&format!("{} skipped: {}", skipped.scenario, skipped.reason));
        self.skipped.push(skipped);
        self.keep_all()
    }

    /// Writes every file, also when one of them cannot be written.
    fn keep_all(&self) -> Result<(), CommandFailure> {
        let mut done = self.write(&self.results);
        if let Some(path) = &self.files.html {
            let page = html::page(&self.results, &self.skipped);
            done = done.and(write_whole(path, page.as_bytes()));
        }
        if let Some(path) = &self.files.junit {
            let text = junit::text(&self.results, &self.skipped);
            done = done.and(write_whole(path, text.as_bytes()));
        }
        done
    }

    /// Writes what is kept while a run is under way too.
    fn write(&self, results: &[RunResult]) -> Result<(), CommandFailure> {
        let mut done = Ok(());
        if let Some(path) = &self.files.json {
            let file = ResultFile::new(results.to_vec(), self.skipped.clone());
            done = write_whole(path, &serde_json::to_vec(&file).map_err(CommandFailure::failed)?);
        }
        let Some((prefix, last)) = self.files.csv.as_ref().zip(results.last()) else {
            return done;
        };
        let id = &last.scenario.id;
        let earlier = results.iter().filter(|result| result.scenario.id == *id).count();
        let which = match (self.is_several, earlier) {
            (false, _) => String::new(),
            (true, 1) => format!("-{id}"),
            (true, number) => format!("-{id}-{number}"),
        };
        for (name, text) in locust::files(last) {
            let mut path = prefix.clone().into_os_string();
            path.push(format!("{which}{name}"));
            done = done.and(write_whole(Path::new(&path), text.as_bytes()));
        }
        done
    }
}

impl Watcher for ReportWriter {
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
        let lines = live::view(plan, timeline);
        output::redraw(self.drawn, &lines);
        self.drawn = lines.len();
        let seconds = timeline.seconds.len();
        let is_due = seconds < 60 || seconds.is_multiple_of(10);
        let is_wanted = self.files.json.is_some() || self.files.csv.is_some();
        if let Some(environment) = self.environment.clone().filter(|_| is_due && is_wanted) {
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
        self.clear();
        output::hint(text);
    }
}

/// Replaces a file at once, so that nobody finds half of it. What is no ordinary file is written
/// to.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> Result<(), CommandFailure> {
    replace(path, text)
        .map_err(|error| CommandFailure::failed(format!("{}: {error}", path.display())))
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
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
