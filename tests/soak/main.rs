//! What owns the machine for a while: kills, full disks, exhausted descriptors and memory, failing
//! devices, damaged files. Each test runs a few rounds here; `SOAK=n` runs n times as many, and
//! `SEED=n` repeats a run.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::fs::File;

mod browser;
mod damage;
mod descriptors;
mod failing_device;
mod failing_server;
mod full_disk;
mod kills;
mod memory;
mod memory_queue;
mod page_keyboard;
mod page_narrow;
mod page_numbers;
#[expect(dead_code, reason = "the promises use more of it")]
mod support;

/// The machine, which is one test's at a time, of all that run on it. Held until it is dropped.
fn machine() -> File {
    let path = std::env::temp_dir().join("lanekeeper-soak.lock");
    let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
    file.lock().unwrap();
    file
}

/// How many rounds a test runs that by itself runs `few`.
fn rounds(few: u64) -> u64 {
    few * number("SOAK").unwrap_or(1)
}

/// The seed of a random test: a fresh one unless a run is to be repeated.
fn seed() -> u64 {
    number("SEED").unwrap_or_else(|| fastrand::u64(..))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is not a whole number")))
}
