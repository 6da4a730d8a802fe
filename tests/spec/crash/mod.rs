//! What is promised when a process, a disk or a clock fails.

mod clock;
mod cut;
mod kill;
mod lease;
