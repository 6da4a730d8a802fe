//! `lanekeeper push`: puts items into a queue, from arguments or line by line from stdin.

use std::{
    io::{self, BufRead, IsTerminal, Write, stderr, stdin},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use lanekeeper::queue::Item;

use crate::{
    cli::{
        args,
        backend::queues::{self, Backend, Missing, PushOf},
        exit::{CommandFailure, DONE},
        output::{self, Output},
    },
    config::quantity::HumanDuration,
};

/// Items in one push.
const BATCH_COUNT_MAX: usize = 1_000;

/// Bytes of items in one push, give or take one item: well below what a server takes.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Pushes everything there is.
pub(crate) fn run(args: &args::push::Push) -> Result<u8, CommandFailure> {
    if args.key.is_some() && args.items.len() != 1 {
        return Err(CommandFailure::usage(
            "--key: give one item as an argument; others would repeat it",
        ));
    }
    queues::with(&args.target, Missing::Made, |backend| {
        let mut push = Pushing { backend, args, output: Output::new(), count: 0, shown: None };
        if args.items.is_empty() {
            push.lines()?;
        } else {
            push.arguments()?;
        }
        push.end()?;
        Ok(DONE)
    })
}

struct Pushing<'a> {
    backend: &'a dyn Backend,
    args: &'a args::push::Push,
    output: Output,
    count: usize,
    shown: Option<Instant>,
}

impl Pushing<'_> {
    /// Pushes the arguments, once all of them are known to be items.
    fn arguments(&mut self) -> Result<(), CommandFailure> {
        let mut items = Vec::new();
        for (place, text) in self.args.items.iter().enumerate() {
            let named = |error| CommandFailure::failed(format!("item {}: {error}", place + 1));
            items.push(Item::from_json(text).map_err(named)?);
        }
        items.chunks(BATCH_COUNT_MAX).try_for_each(|batch| self.send(batch))
    }

    /// Pushes lines as they come: what has come while a batch was on its way is the next batch.
    fn lines(&mut self) -> Result<(), CommandFailure> {
        if stdin().is_terminal() {
            output::note("reading items, one JSON object a line; end with Ctrl-D");
        }
        let mut lines = Lines { source: read_lines()?, number: 0 };
        while let Ok(first) = lines.source.recv() {
            let (batch, broken) = lines.batch(first);
            self.send(&batch)?;
            if let Some(error) = broken {
                return Err(self.stopped(format!("line {}: {error}", lines.number)));
            }
        }
        Ok(())
    }

    fn send(&mut self, batch: &[Item]) -> Result<(), CommandFailure> {
        if batch.is_empty() {
            return Ok(());
        }
        let (backend, args) = (self.backend, self.args);
        let (delay, ttl) = (args.delay.0, args.ttl.map(|HumanDuration(ttl)| ttl));
        let terms = PushOf { priority: args.priority, delay, ttl, key: args.key.as_deref() };
        let pushed = backend
            .push(&args.id, batch, &terms)
            .map_err(|failure| self.stopped(failure.message))?;
        self.count += pushed.count;
        if args.target.json {
            self.output.json(&pushed)?;
            self.output.flush()?;
        }
        self.progress();
        Ok(())
    }

    /// A failure that says how far the push came.
    fn stopped(&self, message: String) -> CommandFailure {
        match self.count {
            0 => CommandFailure::failed(message),
            count => {
                CommandFailure::failed(format!("{message}; {count} items before it were pushed"))
            }
        }
    }

    fn progress(&mut self) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_INTERVAL);
        if is_due && stderr().is_terminal() {
            if self.shown.is_some() {
                drop(write!(stderr(), "\rpushed {}", self.count));
            }
            self.shown = Some(Instant::now());
        }
    }

    fn end(&mut self) -> Result<(), CommandFailure> {
        if !self.args.target.json {
            self.output.line(format!("pushed {}", self.count))?;
        }
        self.output.flush()?;
        Ok(())
    }
}

/// A line, or why it could not be read.
type Line = Result<String, String>;

/// The lines of stdin.
struct Lines {
    source: Receiver<Line>,
    /// How many were taken.
    number: usize,
}

impl Lines {
    /// The items of a line and of those that are there already, as far as they fit in one push; and
    /// what is wrong with the line that ended them, if it is no item.
    fn batch(&mut self, first: Line) -> (Vec<Item>, Option<String>) {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(line) = next.take() {
            self.number += 1;
            match line.and_then(|line| item_of(&line)) {
                Ok(None) => {}
                Ok(Some(item)) => {
                    bytes += item.size_bytes();
                    batch.push(item);
                }
                Err(error) => return (batch, Some(error)),
            }
            if batch.len() < BATCH_COUNT_MAX && bytes < BATCH_BYTES_MAX {
                next = self.source.try_recv().ok();
            }
        }
        (batch, None)
    }
}

/// Reads stdin on a thread of its own, so that a batch can be sent while nothing more comes.
fn read_lines() -> io::Result<Receiver<Line>> {
    let (sender, receiver) = sync_channel(2 * BATCH_COUNT_MAX);
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        for line in stdin().lock().lines() {
            let line = line.map_err(|error| error.to_string());
            let is_last = line.is_err();
            if sender.send(line).is_err() || is_last {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The item on a line, if the line is not blank.
fn item_of(line: &str) -> Result<Option<Item>, String> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    Item::from_json(line).map(Some).map_err(|error| error.to_string())
}
