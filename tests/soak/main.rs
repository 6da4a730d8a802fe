//! What owns the machine for a while: kills, full disks, exhausted descriptors and memory, failing
//! devices, damaged files. Each test runs a few rounds here; `SOAK=n` runs n times as many, and
//! `SEED=n` repeats a run.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod damage;
mod descriptors;
mod failing_device;
mod full_disk;
mod kills;
mod memory;
#[expect(dead_code, reason = "the promises use more of it")]
#[path = "../spec/support/process.rs"]
mod process;
mod support {
    pub(crate) use super::process;
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
