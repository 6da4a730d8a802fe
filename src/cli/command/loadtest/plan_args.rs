//! From flags to a plan and a server.

use std::{fmt::Display, fs, path::Path, time::Duration};

use serde::Deserialize;

use crate::{
    cli::{args, exit::CommandFailure, output},
    config::quantity::HumanDuration,
    loadtest::{
        plan::{
            catalog,
            run_plan::{Model, Plan},
            scenario::{Fault, Scenario},
        },
        record::result::Skipped,
        target::{OwnOptions, Subject, SubjectError, disk::SmallDisk},
    },
};

/// The warm-up unless told otherwise, at most.
const WARMUP_MAX: Duration = Duration::from_secs(2);

/// The scenarios that are meant: those of the catalog, and of the user's file.
pub(crate) fn chosen(args: &args::loadtest::Loadtest) -> Result<Vec<Scenario>, CommandFailure> {
    let own = own(args)?;
    if args.names.is_empty() {
        return Ok(own);
    }
    let mut chosen = Vec::new();
    for name in &args.names {
        let mut named = catalog::named(name);
        named.extend(own.iter().filter(|scenario| scenario.id == *name).cloned());
        if named.is_empty() {
            let message = format!("there is no scenario {name:?}; `loadtest list` names them");
            return Err(CommandFailure::usage(message));
        }
        chosen.extend(named);
    }
    Ok(chosen)
}

/// The scenarios of the user's file.
pub(crate) fn own(args: &args::loadtest::Loadtest) -> Result<Vec<Scenario>, CommandFailure> {
    Ok(args.file.as_deref().map(read).transpose()?.unwrap_or_default())
}

/// Reads a file of scenarios.
fn read(path: &Path) -> Result<Vec<Scenario>, CommandFailure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        scenario: Vec<Scenario>,
    }
    let wrong = |error: &dyn Display| CommandFailure::usage(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let file: File = toml::from_str(&text).map_err(|error| wrong(&error))?;
    for scenario in &file.scenario {
        scenario.check().map_err(|reason| wrong(&reason))?;
    }
    Ok(file.scenario)
}

/// Refuses what cannot be run, naming the flag and its bound.
pub(crate) fn check(args: &args::loadtest::Loadtest) -> Result<(), CommandFailure> {
    let load = &args.load;
    let wrong =
        |flag: &str, bound: &str| Err(CommandFailure::usage(format!("{flag} must be {bound}")));
    if !(1..=1_000).contains(&args.repeat) {
        return wrong("--repeat", "from 1 to 1000");
    }
    if args.workers.is_some_and(|workers| !(1..=64).contains(&workers)) {
        return wrong("--workers", "from 1 to 64");
    }
    if !args.web_listen.ip().is_loopback() {
        return wrong("--web-listen", "an address of loopback, such as 127.0.0.1:8089");
    }
    if !(load.scale > 0.0 && load.scale <= 1e6) {
        return wrong("--scale", "above 0 and at most 1000000");
    }
    if !(1..=256).contains(&load.threads) {
        return wrong("--threads", "from 1 to 256");
    }
    if !(1..=100_000).contains(&load.connections) {
        return wrong("--connections", "from 1 to 100000");
    }
    if load.users.is_some_and(|users| !(1..=100_000).contains(&users)) {
        return wrong("--users", "from 1 to 100000");
    }
    if load.spawn_rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e6)) {
        return wrong("--spawn-rate", "above 0 and at most 1000000");
    }
    if load.duration.is_some_and(|span| span.0 < Duration::from_secs(1)) {
        return wrong("--duration", "at least 1s");
    }
    if load.timeout.0 < Duration::from_millis(1) || load.timeout.0 > Duration::from_secs(3600) {
        return wrong("--timeout", "from 1ms to 1h");
    }
    Ok(())
}

/// The server of a scenario, if there can be one here: otherwise the reason why not.
pub(crate) fn target(
    args: &args::loadtest::Loadtest,
    scenario: &Scenario,
) -> Result<Result<Subject, Skipped>, CommandFailure> {
    let needs = match scenario.fault {
        Some(Fault::Kill) if args.server_pid.is_none() => Some("to kill: without --server-pid"),
        Some(Fault::Disk) => Some("with a small disk:"),
        _ => None,
    };
    if let Some(url) = &args.server {
        let target = Subject::running(url, args.token.as_deref(), args.server_pid);
        let target = target.map_err(|error| match error {
            SubjectError::Address(_) => CommandFailure::usage(error),
            _ => CommandFailure::not_started(error),
        })?;
        let Some(needs) = needs else { return Ok(Ok(target)) };
        let id = &scenario.id;
        output::note(&format!("{id} needs a server {needs} it starts one of its own"));
    }
    let disk = match scenario.fault {
        Some(Fault::Disk) => match SmallDisk::find() {
            Ok(disk) => Some(disk),
            Err(reason) => return Ok(Err(Skipped { scenario: scenario.id.clone(), reason })),
        },
        _ => None,
    };
    let parent = args.own.dir.clone().unwrap_or_else(std::env::temp_dir);
    let options = OwnOptions { parent, durability: args.own.durability.clone(), disk };
    Subject::own(&options).map(Ok).map_err(CommandFailure::not_started)
}

/// What is run, with everything decided.
pub(crate) fn plan(
    (load, processes): (&args::loadtest::Load, usize),
    scale: f64,
    scenario: Scenario,
    target: &Subject,
) -> Result<Plan, CommandFailure> {
    scenario.check().map_err(CommandFailure::usage)?;
    let seconds = Duration::from_secs(scenario.seconds);
    let duration = load.duration.map_or(seconds, |span| span.0);
    let model = match load.users {
        None => Model::Open { scale },
        Some(users) => {
            let wait_ms = load.wait.as_deref().map(waits).transpose()?.unwrap_or_default();
            Model::Closed { users, spawn_rate: load.spawn_rate.unwrap_or(0.0), wait_ms }
        }
    };
    let connections = load.users.map_or(load.connections, |users| users as usize);
    // Shared out in whole connections, every user must still have one.
    let generators = load.threads * processes;
    let connections = connections.next_multiple_of(generators);
    Ok(Plan {
        scenario,
        run: format!("{:08x}", fastrand::u32(..)),
        seed: load.seed.unwrap_or_else(|| u64::from(fastrand::u32(..))),
        addr: target.addr,
        host: target.host.clone(),
        token: target.token().map(str::to_owned),
        duration,
        warmup: load.warmup.map_or_else(|| (duration / 5).min(WARMUP_MAX), |span| span.0),
        model,
        threads: load.threads,
        generators,
        connections,
        timeout: load.timeout.0,
        is_verified: !load.no_verify,
        first_lane: 0,
    })
}

/// `1s` or `500ms-2s`, in milliseconds.
fn waits(text: &str) -> Result<(u64, u64), CommandFailure> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let millis = |text: &str| text.parse::<HumanDuration>().map(|span| span.0.as_millis() as u64);
    let wrong = |reason: String| CommandFailure::usage(format!("--wait: {reason}"));
    let (least, most) = (millis(least).map_err(wrong)?, millis(most).map_err(wrong)?);
    if least > most {
        return Err(CommandFailure::usage("--wait must begin with the shorter time"));
    }
    Ok((least, most))
}
