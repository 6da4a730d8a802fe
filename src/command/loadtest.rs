//! `lanekeeper loadtest`: measures a server under load and verifies it meanwhile.

mod interrupt;
mod keeper;
mod order;
mod page;
mod search;

use std::sync::Arc;

use interrupt::Interrupt;
use keeper::Keeper;

use super::{
    DONE, FAILED, Failure, INTERRUPTED,
    failure::{DAMAGED, MISSED},
    output::Output,
};
use crate::{
    cli,
    loadtest::{
        catalog,
        plan::Control,
        result::RunResult,
        run::{self, Watcher},
        scenario::Scenario,
        summary::Summary,
        threshold::{BASELINE, Threshold},
    },
};

/// Runs scenarios one after the other.
pub(crate) fn run(args: &cli::Loadtest) -> Result<u8, Failure> {
    if args.names == ["list"] {
        return list();
    }
    order::check(args)?;
    let interrupt = Interrupt::listen()?;
    if args.web {
        return page::run(args, &interrupt);
    }
    let scenarios = chosen(&args.names)?;
    let runs = scenarios.len() * args.repeat as usize;
    let mut keeper = Keeper::new(&args.output, runs > 1);
    if args.max {
        return search::run(args, scenarios, &interrupt, &mut keeper);
    }
    for scenario in scenarios {
        for _ in 0..args.repeat {
            if !interrupt.is_raised() {
                let scale = args.load.scale;
                let result = run_one(args, scenario.clone(), scale, &interrupt, &mut keeper)?;
                show(&result)?;
                keeper.keep(result)?;
            }
        }
    }
    Ok(exit_code(args, &keeper.results, interrupt.is_raised()))
}

/// What results mean for whoever called: the gravest first.
fn exit_code(args: &cli::Loadtest, results: &[RunResult], is_interrupted: bool) -> u8 {
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
    } else if results.iter().all(is_met) {
        DONE
    } else {
        MISSED
    }
}

fn list() -> Result<u8, Failure> {
    let mut output = Output::new();
    for scenario in catalog::all() {
        output.line(format!("{:<5} {}", scenario.id, scenario.title))?;
    }
    output.flush()?;
    Ok(DONE)
}

fn show(result: &RunResult) -> Result<(), Failure> {
    let mut output = Output::new();
    output.line(Summary(result).to_string())?;
    output.flush()?;
    Ok(())
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

/// Runs a scenario once, with its thresholds judged.
fn run_one(
    args: &cli::Loadtest,
    scenario: Scenario,
    scale: f64,
    interrupt: &Interrupt,
    keeper: &mut Keeper,
) -> Result<RunResult, Failure> {
    let mut subject = order::subject(args, &scenario)?;
    let plan = Arc::new(order::plan(&args.load, scale, scenario, &subject)?);
    let control = Arc::new(Control::new(&plan.model));
    interrupt.stops(&control);
    keeper.begin(&plan, &subject);
    let ran = run::run(&plan, &control, &mut subject, keeper as &mut dyn Watcher);
    keeper.clear();
    let mut result = ran.map_err(Failure::failed)?;
    judge(&mut result, &demanded(args));
    Ok(result)
}

/// What is demanded: thresholds, and those of a preset.
fn demanded(args: &cli::Loadtest) -> Vec<Threshold> {
    let mut demanded = args.output.threshold.clone();
    if args.output.targets.is_some() {
        let parse = |text: &&str| text.parse().expect("the preset is made of thresholds");
        demanded.extend(BASELINE.iter().map(parse));
    }
    demanded
}

/// Judges a result. Where things are broken on purpose, errors and the maximum say nothing.
fn judge(result: &mut RunResult, demanded: &[Threshold]) {
    let is_disturbed = result.scenario.fault.is_some();
    let is_apt = |threshold: &&Threshold| !is_disturbed || !threshold.is_of_calm();
    let apt = demanded.iter().filter(is_apt);
    result.thresholds = apt.map(|threshold| threshold.judge(result)).collect();
}
