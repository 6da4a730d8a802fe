//! Generators in several processes, on this machine or others, that one of them leads.
//!
//! The leader fills the queues, tells every member the plan and when to begin, gathers what they
//! count second by second, and empties and judges the queues afterwards. Members send histograms
//! bucket by bucket: what the leader adds up is exactly what one process would have counted.

pub(crate) mod agent;
pub(crate) mod coordinator;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs,
    io::{self, BufRead, Write},
};

use crate::loadtest::{
    plan::run_plan::Plan,
    record::{expected_items::ExpectedItems, tally::SecondCounts},
};

/// What a leader says.
#[derive(Serialize, Deserialize)]
enum AgentOrder {
    /// Run this, from a moment of the machine's clock if that is the leader's own machine, or after
    /// so many nanoseconds.
    Run { plan: Box<Plan>, start: u64, delay: u64 },
    /// End the run.
    Stop,
    /// Multiply the rates.
    Scale(f64),
    /// Have so many users.
    Users(u32),
}

/// What a member says.
#[derive(Serialize, Deserialize)]
enum Message {
    /// The first of all: which program, on which machine.
    Here { version: String, machine: String },
    /// What one of its generators counted in a second.
    Report { second: u64, tally: Box<SecondCounts> },
    /// What one of its generators knows, when it has ended.
    ExpectedItems(Box<ExpectedItems>),
    /// All have ended.
    Done,
    /// It cannot go on.
    Failed(String),
}

fn say(stream: &mut impl Write, word: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// The next word; nothing when the other side has hung up.
fn hear<T: DeserializeOwned>(stream: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Tells machines apart: clocks of different ones cannot be compared.
fn machine() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
