//! `lanekeeper loadtest`: measures a server under load and verifies it meanwhile.

mod keeper;

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use keeper::Keeper;

use super::{
    DONE, FAILED, Failure, INTERRUPTED,
    failure::DAMAGED,
    output::{self, Output},
};
use crate::{
    cli,
    config::Span,
    loadtest::{
        catalog,
        plan::{Control, Model, Plan},
        result::RunResult,
        run,
        scenario::{Fault, Scenario},
        subject::{OwnOptions, Subject, SubjectError},
        summary::Summary,
    },
};

/// The warm-up unless told otherwise, at most.
const WARMUP_MAX: Duration = Duration::from_secs(2);

/// Runs scenarios one after the other.
pub(crate) fn run(args: &cli::Loadtest) -> Result<u8, Failure> {
    if args.names == ["list"] {
        return list();
    }
    let scenarios = chosen(&args.names)?;
    check(args)?;
    let interrupt = Interrupt::listen()?;
    let mut keeper = Keeper::new(&args.output);
    for scenario in scenarios {
        if interrupt.is_raised() {
            break;
        }
        let result = run_one(args, scenario, &interrupt, &mut keeper)?;
        let mut output = Output::new();
        output.line(Summary(&result).to_string())?;
        output.flush()?;
        keeper.keep(result)?;
    }
    let is_sound =
        |result: &RunResult| result.verification.as_ref().is_none_or(|found| found.is_sound());
    if !keeper.results.iter().all(is_sound) {
        return Ok(DAMAGED);
    }
    if interrupt.is_raised() {
        return Ok(INTERRUPTED);
    }
    let is_judged = |result: &RunResult| args.load.no_verify || result.verification.is_some();
    Ok(if keeper.results.iter().all(is_judged) { DONE } else { FAILED })
}

fn list() -> Result<u8, Failure> {
    let mut output = Output::new();
    for scenario in catalog::all() {
        output.line(format!("{:<5} {}", scenario.id, scenario.title))?;
    }
    output.flush()?;
    Ok(DONE)
}

fn chosen(names: &[String]) -> Result<Vec<Scenario>, Failure> {
    let mut chosen = Vec::new();
    for name in names {
        let named = catalog::named(name);
        if named.is_empty() {
            let message = format!("there is no scenario {name:?}; `loadtest list` names them");
            return Err(Failure::usage(message));
        }
        chosen.extend(named);
    }
    Ok(chosen)
}

/// Refuses what cannot be run, naming the flag and its bound.
fn check(args: &cli::Loadtest) -> Result<(), Failure> {
    let load = &args.load;
    let wrong = |flag: &str, bound: &str| Err(Failure::usage(format!("{flag} must be {bound}")));
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

fn run_one(
    args: &cli::Loadtest,
    scenario: Scenario,
    interrupt: &Interrupt,
    keeper: &mut Keeper,
) -> Result<RunResult, Failure> {
    let mut subject = subject(args, &scenario)?;
    let plan = Arc::new(plan(args, scenario, &subject)?);
    let control = Arc::new(Control::new(&plan.model));
    interrupt.stops(&control);
    output::hint(&format!("{}: {}", plan.scenario.id, plan.scenario.title));
    keeper.begin(&plan, &subject);
    run::run(&plan, &control, &mut subject, keeper).map_err(Failure::failed)
}

/// The server of a scenario.
fn subject(args: &cli::Loadtest, scenario: &Scenario) -> Result<Subject, Failure> {
    if let Some(url) = &args.server {
        let subject = Subject::running(url, args.token.as_deref(), args.server_pid);
        let subject = subject.map_err(|error| match error {
            SubjectError::Address(_) => Failure::usage(error),
            _ => Failure::not_started(error),
        })?;
        if scenario.fault != Some(Fault::Kill) || subject.is_killable() {
            return Ok(subject);
        }
        let id = &scenario.id;
        output::note(&format!("{id} kills its server: without --server-pid it starts its own"));
    }
    let parent = args.own.dir.clone().unwrap_or_else(std::env::temp_dir);
    let options = OwnOptions { parent, durability: args.own.durability.clone() };
    Subject::own(&options).map_err(Failure::not_started)
}

fn plan(args: &cli::Loadtest, scenario: Scenario, subject: &Subject) -> Result<Plan, Failure> {
    scenario.check().map_err(Failure::usage)?;
    let load = &args.load;
    let seconds = Duration::from_secs(scenario.seconds);
    let duration = load.duration.map_or(seconds, |span| span.0);
    let model = match load.users {
        None => Model::Open { scale: load.scale },
        Some(users) => {
            let wait_ms = load.wait.as_deref().map(waits).transpose()?.unwrap_or_default();
            Model::Closed { users, spawn_rate: load.spawn_rate.unwrap_or(0.0), wait_ms }
        }
    };
    let connections = load.users.map_or(load.connections, |users| users as usize);
    // Shared out in whole connections, every user must still have one.
    let connections = connections.next_multiple_of(load.threads);
    Ok(Plan {
        scenario,
        run: format!("{:08x}", fastrand::u32(..)),
        seed: load.seed.unwrap_or_else(|| u64::from(fastrand::u32(..))),
        addr: subject.addr,
        host: subject.host.clone(),
        token: subject.token().map(str::to_owned),
        duration,
        warmup: load.warmup.map_or_else(|| (duration / 5).min(WARMUP_MAX), |span| span.0),
        model,
        threads: load.threads,
        connections,
        timeout: load.timeout.0,
        is_verified: !load.no_verify,
        first_lane: 0,
    })
}

/// `1s` or `500ms-2s`, in milliseconds.
fn waits(text: &str) -> Result<(u64, u64), Failure> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let millis = |text: &str| text.parse::<Span>().map(|span| span.0.as_millis() as u64);
    let wrong = |reason: String| Failure::usage(format!("--wait: {reason}"));
    let (least, most) = (millis(least).map_err(wrong)?, millis(most).map_err(wrong)?);
    if least > most {
        return Err(Failure::usage("--wait must begin with the shorter time"));
    }
    Ok((least, most))
}

/// Ctrl-C: the first ends the run in order, the second the process.
struct Interrupt {
    state: Arc<Mutex<(bool, Option<Arc<Control>>)>>,
}

impl Interrupt {
    fn listen() -> Result<Self, Failure> {
        let state = Arc::new(Mutex::new((false, None::<Arc<Control>>)));
        let raised = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                while tokio::signal::ctrl_c().await.is_ok() {
                    let mut state = raised.lock().expect("nobody panics with it");
                    if state.0 {
                        std::process::exit(i32::from(INTERRUPTED));
                    }
                    state.0 = true;
                    if let Some(control) = &state.1 {
                        control.stop();
                    }
                    output::note("ending; what there is will be shown");
                }
            });
        });
        Ok(Self { state })
    }

    fn is_raised(&self) -> bool {
        self.state.lock().expect("nobody panics with it").0
    }

    /// The run to end from now on.
    fn stops(&self, control: &Arc<Control>) {
        let mut state = self.state.lock().expect("nobody panics with it");
        if state.0 {
            control.stop();
        }
        state.1 = Some(Arc::clone(control));
    }
}
