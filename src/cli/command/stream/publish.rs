//! `lanekeeper publish`: sends messages to the subscribers of a stream, from arguments or line by
//! line from stdin.

use std::io::{BufRead, IsTerminal, stdin};

use lanekeeper::{
    queue::{InvalidItem, Item},
    stream::{Class, StreamError},
    wire,
};

use crate::cli::{
    args,
    backend::{
        http::{Http, RetryLimit},
        queues,
    },
    exit::{CommandFailure, DONE},
    output::{self, Output},
};

/// Publishes everything there is.
pub(crate) fn run(args: &args::stream::Publish) -> Result<u8, CommandFailure> {
    let http = Http::new(&args.remote.server, args.remote.token.as_deref(), RetryLimit::ONCE)?;
    queues::exit_on_interrupt()?;
    let mut publishing = Publishing { http, args, output: Output::new(), count: 0, sum: NOTHING };
    if args.data.is_empty() {
        publishing.lines()?;
    } else {
        publishing.arguments()?;
    }
    publishing.end()?;
    Ok(DONE)
}

const NOTHING: wire::Published =
    wire::Published { subscribers: 0, queued: 0, evicted: 0, refused: 0 };

struct Publishing<'a> {
    http: Http,
    args: &'a args::stream::Publish,
    output: Output,
    count: usize,
    sum: wire::Published,
}

impl Publishing<'_> {
    /// Publishes the arguments, once all of them are known to be objects.
    fn arguments(&mut self) -> Result<(), CommandFailure> {
        let mut data = Vec::new();
        for (place, text) in self.args.data.iter().enumerate() {
            let named = |error| unusable("message", place, error);
            data.push(Item::from_json(text).map_err(named)?);
        }
        data.iter().try_for_each(|data| self.send(data))
    }

    fn lines(&mut self) -> Result<(), CommandFailure> {
        if stdin().is_terminal() {
            output::note("reading messages, one JSON object a line; end with Ctrl-D");
        }
        for (place, line) in stdin().lock().lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let named = |error| unusable("line", place, error);
            let data = Item::from_json(&line).map_err(named)?;
            self.send(&data)?;
        }
        Ok(())
    }

    fn send(&mut self, data: &Item) -> Result<(), CommandFailure> {
        let body = body(self.args.class, data, self.args.subscriber);
        let done = self.http.publish(&self.args.topic, &body)?;
        self.count += 1;
        self.sum.subscribers += done.subscribers;
        self.sum.queued += done.queued;
        self.sum.evicted += done.evicted;
        self.sum.refused += done.refused;
        if self.args.remote.json {
            self.output.json(&done)?;
            self.output.flush()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), CommandFailure> {
        if !self.args.remote.json {
            let wire::Published { queued, evicted, refused, .. } = self.sum;
            let count = self.count;
            self.output.line(format!(
                "published {count}: {queued} queued, {evicted} evicted, {refused} refused"
            ))?;
        }
        self.output.flush()?;
        Ok(())
    }
}

fn unusable(what: &str, place: usize, error: InvalidItem) -> CommandFailure {
    CommandFailure::failed(format!("{what} {}: {}", place + 1, StreamError::from(error)))
}

fn body(class: Class, data: &Item, subscriber: Option<u64>) -> Vec<u8> {
    let mut body = format!("{{\"class\":\"{class}\",\"data\":").into_bytes();
    body.extend_from_slice(data.as_bytes());
    if let Some(id) = subscriber {
        body.extend_from_slice(format!(",\"subscriber\":{id}").as_bytes());
    }
    body.push(b'}');
    body
}
