//! What each command does.

mod directory;
mod docs;
pub(crate) mod gate;
pub(crate) mod lease;
mod loadtest;
mod queue;
mod serve;
pub(crate) mod setting;
mod stream;
mod work;
mod worker;

use std::process::ExitCode;

use crate::cli::args::Command;

/// Runs a command to its exit code.
pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Serve(args) => serve::run(*args),
        Command::Push(args) => queue::push::run(&args),
        Command::Pop(args) => queue::pop::run(&args),
        Command::Lease(args) => lease::run(&args),
        Command::Ack(args) => lease::ack(&args),
        Command::Nack(args) => lease::nack(&args),
        Command::Extend(args) => lease::extend(&args),
        Command::DeadLetter(args) => lease::dead_letter(&args),
        Command::Redrive(args) => lease::redrive(&args),
        Command::Peek(args) => queue::peek::run(&args),
        Command::Purge(args) => queue::purge::run(&args),
        Command::Stats(args) => queue::stats::run(&args),
        Command::Queues(args) => queue::queues::run(&args),
        Command::Config(args) => setting::config(&args.command),
        Command::Pause(args) => setting::pause(&args, true),
        Command::Resume(args) => setting::pause(&args, false),
        Command::Sink(args) => setting::sink(&args.command),
        Command::Delete(args) => setting::deletion::delete(&args.command),
        Command::Heartbeat(args) => worker::heartbeat::run(&args),
        Command::Work(args) => work::run(&args),
        Command::Workers(args) => worker::workers::run(&args),
        Command::Subscribe(args) => stream::subscribe::run(&args),
        Command::Publish(args) => stream::publish::run(&args),
        Command::Gate(args) => gate::run(&args.command),
        Command::Check(args) => directory::check::run(&args),
        Command::Export(args) => directory::export::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Loadtest(args) => loadtest::run(&args),
        Command::Prepopulate(args) => queue::prepopulate::run(&args),
        Command::Analyze(args) => loadtest::analyze::run(&args),
        Command::Compare(args) => loadtest::compare::run(&args),
    };
    match done {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.exit_code)
        }
    }
}
