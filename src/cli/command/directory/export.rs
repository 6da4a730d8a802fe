//! `lanekeeper export`: every message of a data directory that can be read, a line each.

use std::io;

use lanekeeper::{Salvage, SavedMessage, queue::MessageId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::{
    args,
    exit::{CommandFailure, DAMAGED, DONE},
    output::{self, Output, one_line, unless_closed},
};

/// A line of the export. Instants are Unix milliseconds.
#[derive(Serialize)]
struct ExportLine<'a> {
    queue: Option<&'a str>,
    id: String,
    priority: u32,
    state: &'static str,
    pushed_at: u64,
    deliveries: u32,
    item: Option<Box<RawValue>>,
    /// What stands where an item should, if that is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_number: Option<u64>,
}

/// Prints what can be read, and tells what cannot.
pub(crate) fn run(args: &args::check::Export) -> Result<u8, CommandFailure> {
    let Some(dir) = args.dir.as_ref().or(args.data.as_ref()) else {
        let message = "name the data directory".to_owned();
        return Err(CommandFailure::usage(message));
    };
    let mut salvage = Salvage::read(dir).map_err(CommandFailure::not_started)?;
    let messages = salvage.messages(args.queue.as_deref());
    let lines: Vec<_> = messages.iter().map(line_of).collect();
    unless_closed(print(&lines))?;
    let is_unreadable = |line: &&ExportLine<'_>| line.unreadable.is_some();
    for ExportLine { id, unreadable, .. } in lines.iter().filter(is_unreadable) {
        let text = unreadable.as_deref().unwrap_or_default();
        output::note(&format!("not readable: the item of message {id}: {text:?}"));
    }
    let is_whole = !lines.iter().any(|line| line.unreadable.is_some());
    for loss in salvage.losses() {
        output::note(&format!("not readable: {loss}"));
    }
    Ok(if is_whole && salvage.is_complete() { DONE } else { DAMAGED })
}

fn print(lines: &[ExportLine<'_>]) -> io::Result<()> {
    let mut output = Output::new();
    lines.iter().try_for_each(|line| output.json(line))?;
    output.flush()
}

fn line_of(message: &SavedMessage) -> ExportLine<'_> {
    let text = String::from_utf8_lossy(&message.payload);
    let item = RawValue::from_string(one_line(&text)).ok();
    let unreadable = if item.is_none() { Some(text.into_owned()) } else { None };
    ExportLine {
        queue: message.queue.as_deref(),
        id: MessageId::from(message).to_string(),
        priority: message.priority.get(),
        state: message.state_name(),
        pushed_at: message.pushed_at_ms,
        deliveries: message.deliveries,
        item,
        unreadable,
        ready_at: message.ready_at_ms(),
        lease_expires_at: message.lease_expires_at_ms(),
        expires_at: message.expires_at_ms,
        key: message.key.as_deref(),
        queue_number: message.queue.is_none().then_some(message.queue_number),
    }
}
