//! `lanekeeper subscribe`: prints what is published to a stream, as it comes.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::{
    args,
    backend::http::{Http, RetryLimit},
    exit::{CommandFailure, DONE},
    output::{self, Output, one_line},
    signals,
};

/// Prints messages until there were enough, or the stream ends.
pub(crate) fn run(args: &args::stream::Subscribe) -> Result<u8, CommandFailure> {
    if args.count == Some(0) {
        return Err(CommandFailure::usage("--count must be 1 or more"));
    }
    let http = Http::new(&args.remote.server, args.remote.token.as_deref(), RetryLimit::ONCE)?;
    // What was printed was flushed event by event.
    signals::on_each(|ending| std::process::exit(i32::from(ending.exit_code())))?;
    let events = http.subscribe(&args.topic, args.queue_max)?;
    output::hint(&format!("subscribed to {}; Ctrl-C ends it", args.topic));
    let mut printing = Printing { is_json: args.remote.json, output: Output::new() };
    let mut left = args.count;
    let mut event = Event::default();
    for line in events.lines() {
        let line =
            line.map_err(|error| CommandFailure::failed(format!("the stream broke: {error}")))?;
        if !event.takes(&line) {
            continue;
        }
        let event = std::mem::take(&mut event);
        if printing.print(&event)? {
            left = left.map(|left| left.saturating_sub(1));
        }
        if left == Some(0) {
            return Ok(DONE);
        }
    }
    Err(CommandFailure::failed("the server closed the connection"))
}

/// An event as far as its lines have come.
#[derive(Default)]
struct Event {
    name: String,
    data: String,
}

impl Event {
    /// Takes a line; true if it ends the event.
    fn takes(&mut self, line: &str) -> bool {
        if let Some(data) = line.strip_prefix("data: ") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data);
        } else if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut self.name);
        }
        line.is_empty() && !self.data.is_empty()
    }
}

/// A frame: one of these is there.
#[derive(Deserialize)]
struct StreamFrame<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    gap: Option<Gap>,
    notice: Option<Coded>,
}

#[derive(Deserialize)]
struct Gap {
    class: String,
    count: u64,
}

#[derive(Deserialize)]
struct Coded {
    code: String,
}

struct Printing {
    is_json: bool,
    output: Output,
}

impl Printing {
    /// Prints an event; true if it was a message.
    fn print(&mut self, event: &Event) -> Result<bool, CommandFailure> {
        let unknown =
            |error| CommandFailure::failed(format!("the event is not understood: {error}"));
        if event.name == "end" {
            let end: Coded = serde_json::from_str(&event.data).map_err(unknown)?;
            return Err(CommandFailure::failed(format!("the stream ended: {}", end.code)));
        }
        let frame: StreamFrame<'_> = serde_json::from_str(&event.data).map_err(unknown)?;
        if self.is_json {
            self.output.line(one_line(&event.data))?;
        }
        match &frame {
            _ if self.is_json => {}
            StreamFrame { data: Some(data), .. } => self.output.line(one_line(data.get()))?,
            StreamFrame { gap: Some(Gap { class, count }), .. } => {
                output::note(&format!("{count} {class} messages are missing here"));
            }
            StreamFrame { notice, .. } => {
                let code = notice.as_ref().map_or("unknown", |notice| &notice.code);
                output::note(&format!("notice: {code}"));
            }
        }
        self.output.flush()?;
        Ok(frame.data.is_some())
    }
}
