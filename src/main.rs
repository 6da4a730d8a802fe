//! The binary: `lanekeeper serve`, and commands that talk to a server or open a data directory.

mod cli;
mod config;
mod loadtest;
mod telemetry;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::command::run(cli::args::environment::parse::<cli::args::Cli>(cli::output::note).command)
}
