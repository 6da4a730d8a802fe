//! What each command does.

mod analyze;
mod backend;
mod check;
mod compare;
mod docs;
mod embedded;
mod ending;
mod export;
mod failure;
mod gate;
mod heartbeat;
mod http;
mod lease;
mod loadtest;
mod output;
mod page;
mod peek;
mod pop;
mod prepopulate;
mod publish;
mod purge;
mod push;
mod queues;
mod repair;
mod serve;
mod setting;
mod stats;
mod subscribe;
mod unreached;
mod work;
mod workers;

use std::process::ExitCode;

use crate::cli::Command;
pub(crate) use failure::Failure;
use failure::{DONE, FAILED, INTERRUPTED};
pub(crate) use output::note;
pub(crate) use unreached::sentence;

/// Runs a command to its exit code.
pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Serve(args) => serve::run(*args),
        Command::Push(args) => push::run(&args),
        Command::Pop(args) => pop::run(&args),
        Command::Lease(args) => lease::run(&args),
        Command::Ack(args) => lease::ack(&args),
        Command::Nack(args) => lease::nack(&args),
        Command::Extend(args) => lease::extend(&args),
        Command::DeadLetter(args) => lease::dead_letter(&args),
        Command::Redrive(args) => lease::redrive(&args),
        Command::Peek(args) => peek::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Queues(args) => queues::run(&args),
        Command::Config(args) => setting::config(&args.command),
        Command::Pause(args) => setting::pause(&args, true),
        Command::Resume(args) => setting::pause(&args, false),
        Command::Sink(args) => setting::sink(&args.command),
        Command::Delete(args) => setting::delete(&args.command),
        Command::Heartbeat(args) => heartbeat::run(&args),
        Command::Work(args) => work::run(&args),
        Command::Workers(args) => workers::run(&args),
        Command::Subscribe(args) => subscribe::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::Gate(args) => gate::run(&args.command),
        Command::Check(args) => check::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Loadtest(args) => loadtest::run(&args),
        Command::Prepopulate(args) => prepopulate::run(&args),
        Command::Analyze(args) => analyze::run(&args),
        Command::Compare(args) => compare::run(&args),
    };
    match done {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.exit_code)
        }
    }
}
