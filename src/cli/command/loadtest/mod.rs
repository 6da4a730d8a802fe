//! `lanekeeper loadtest`: measures a server under load and verifies it meanwhile.

pub(crate) mod analyze;
pub(crate) mod compare;
mod interrupt;
mod outputs;
mod page;
mod plan_args;
mod report_writer;
mod search;

use std::{io, sync::Arc};

use crate::{
    cli::{
        args,
        command::loadtest::{interrupt::Interrupt, report_writer::ReportWriter},
        exit::{CommandFailure, DAMAGED, DONE, FAILED, INTERRUPTED, MISSED, NOT_STARTED},
        output::{self, Output, unless_closed},
    },
    loadtest::{
        cluster::{self, coordinator::Team},
        plan::{
            catalog,
            run_plan::Control,
            scenario::{Fault, Scenario},
            threshold::{BASELINE, Threshold},
        },
        record::result::{RunResult, Skipped},
        report::summary::Summary,
        run::{self, Watcher},
    },
};

/// Runs scenarios one after the other.
pub(crate) fn run(args: &args::loadtest::Loadtest) -> Result<u8, CommandFailure> {
    if args.names == ["list"] {
        return list();
    }
    plan_args::check(args)?;
    outputs::check(&args.output)?;
    if let Some(coordinator) = args.join {
        return cluster::agent::join(coordinator).map(|()| DONE).map_err(|error| {
            CommandFailure::not_started(format!("there is no leader at {coordinator}: {error}"))
        });
    }
    let interrupt = Interrupt::listen()?;
    if args.web {
        return page::run(args, &interrupt);
    }
    let scenarios = plan_args::chosen(args)?;
    let runs = scenarios.len() * args.repeat as usize;
    let mut keeper = ReportWriter::new(&args.output, runs > 1);
    let mut crew = Crew { args, interrupt: &interrupt, cluster: cluster(args, &interrupt)? };
    if args.max {
        return search::run(&mut crew, scenarios, &mut keeper);
    }
    for scenario in scenarios {
        for _ in 0..args.repeat {
            if !interrupt.is_raised() {
                match crew.run(scenario.clone(), args.load.scale, &mut keeper)? {
                    Ok(result) => {
                        // Kept also where nobody reads what is shown.
                        unless_closed(show(&result))?;
                        keeper.keep(result)?;
                    }
                    Err(skipped) => keeper.skip(skipped)?,
                }
            }
        }
    }
    Ok(exit_code(args, &keeper, interrupt.is_raised()))
}

/// What results mean for whoever called: the gravest first.
fn exit_code(args: &args::loadtest::Loadtest, keeper: &ReportWriter, is_interrupted: bool) -> u8 {
    let results = &keeper.results;
    let is_sound =
        |result: &RunResult| result.verification.as_ref().is_none_or(|found| found.is_sound());
    let is_judged = |result: &RunResult| args.load.no_verify || result.verification.is_some();
    let is_met = |result: &RunResult| result.thresholds.iter().all(|demand| demand.is_met);
    if !results.iter().all(is_sound) {
        DAMAGED
    } else if is_interrupted {
        INTERRUPTED
    } else if !results.iter().all(is_judged) {
        FAILED
    } else if results.is_empty() && !keeper.skipped.is_empty() {
        NOT_STARTED
    } else if results.iter().all(is_met) {
        DONE
    } else {
        MISSED
    }
}

fn list() -> Result<u8, CommandFailure> {
    let mut output = Output::new();
    for scenario in catalog::all() {
        output.line(format!("{:<5} {}", scenario.id, scenario.title))?;
    }
    output.flush()?;
    Ok(DONE)
}

fn show(result: &RunResult) -> io::Result<()> {
    let mut output = Output::new();
    output.line(Summary(result).to_string())?;
    output.flush()
}

/// Members to lead, if there are to be any.
fn cluster(
    args: &args::loadtest::Loadtest,
    interrupt: &Interrupt,
) -> Result<Option<Team>, CommandFailure> {
    let cluster = match (args.coordinator, args.workers) {
        (None, None) => return Ok(None),
        (None, Some(workers)) => Team::spawn(workers),
        (Some(addr), workers) => {
            let tell = |addr| {
                output::note(&format!("members join with: lanekeeper loadtest --join {addr}"));
            };
            Team::wait(addr, workers.unwrap_or(1), tell, || interrupt.is_raised())
        }
    };
    cluster.map(Some).map_err(|error| {
        if interrupt.is_raised() {
            return CommandFailure {
                exit_code: INTERRUPTED,
                ..CommandFailure::failed("not all members joined")
            };
        }
        CommandFailure::not_started(format!("no members: {error}"))
    })
}

/// Whoever runs scenarios: this process, or the members it leads.
struct Crew<'a> {
    args: &'a args::loadtest::Loadtest,
    interrupt: &'a Interrupt,
    cluster: Option<Team>,
}

impl Crew<'_> {
    /// Runs a scenario once, with its thresholds judged.
    fn run(
        &mut self,
        scenario: Scenario,
        scale: f64,
        keeper: &mut ReportWriter,
    ) -> Result<Result<RunResult, Skipped>, CommandFailure> {
        let args = self.args;
        let mut target = match plan_args::target(args, &scenario)? {
            Ok(target) => target,
            Err(skipped) => return Ok(Err(skipped)),
        };
        let processes = self.cluster.as_ref().map_or(1, Team::size);
        let plan = Arc::new(plan_args::plan((&args.load, processes), scale, scenario, &target)?);
        let control = Arc::new(Control::new(&plan.model));
        self.interrupt.stops(&control);
        keeper.begin(&plan, &target);
        let parties = (&mut target, self.cluster.as_mut());
        let ran = run::run(&plan, &control, parties, keeper as &mut dyn Watcher);
        keeper.clear();
        let mut result = ran.map_err(CommandFailure::failed)?;
        judge(&mut result, &demanded(args));
        Ok(Ok(result))
    }
}

/// What is demanded: thresholds, and those of a preset.
fn demanded(args: &args::loadtest::Loadtest) -> Vec<Threshold> {
    let mut demanded = args.output.threshold.clone();
    if args.output.targets.is_some() {
        let parse = |text: &&str| text.parse().expect("the preset is made of thresholds");
        demanded.extend(BASELINE.iter().map(parse));
    }
    demanded
}

/// Judges a result. Where things are broken on purpose, errors and the maximum say nothing.
fn judge(result: &mut RunResult, demanded: &[Threshold]) {
    let is_disturbed = matches!(result.scenario.fault, Some(Fault::Kill | Fault::Cut));
    let is_apt = |threshold: &&Threshold| !is_disturbed || !threshold.is_of_calm();
    let apt = demanded.iter().filter(is_apt);
    result.thresholds = apt.map(|threshold| threshold.judge(result)).collect();
}
