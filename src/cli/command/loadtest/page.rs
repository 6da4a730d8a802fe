//! `--web`: runs what the page orders, one after the other.

use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use crate::{
    cli::{
        args,
        command::loadtest::{demanded, interrupt::Interrupt, judge, plan_args},
        exit::{CommandFailure, INTERRUPTED},
        output::Output,
    },
    config::quantity::HumanDuration,
    loadtest::{
        page::{
            self,
            board::{PageBoard, PageOrder},
        },
        plan::{catalog, run_plan::Control},
        record::result::RunResult,
        run,
    },
};

/// Serves the page until Ctrl-C.
pub(crate) fn run(
    args: &args::loadtest::Loadtest,
    interrupt: &Interrupt,
) -> Result<u8, CommandFailure> {
    let (sender, orders) = channel();
    let mut scenarios = catalog::all();
    scenarios.extend(plan_args::own(args)?);
    let board = PageBoard::new(sender, scenarios);
    let addr = page::serve(args.web_listen, Arc::clone(&board))
        .map_err(|error| CommandFailure::not_started(format!("{}: {error}", args.web_listen)))?;
    let mut output = Output::new();
    output.line(format!("watching on http://{addr}"))?;
    output.flush()?;
    while !interrupt.is_raised() {
        match orders.recv_timeout(Duration::from_millis(100)) {
            Ok(order) => {
                let ended = handle_command(args, &order, interrupt, &board);
                board.end(ended.map_err(|failure| failure.message));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(INTERRUPTED)
}

fn handle_command(
    args: &args::loadtest::Loadtest,
    ordered: &PageOrder,
    interrupt: &Interrupt,
    board: &Arc<PageBoard>,
) -> Result<RunResult, CommandFailure> {
    let chosen = board.scenario(&ordered.scenario).cloned();
    let scenario = chosen.ok_or_else(|| CommandFailure::usage("there is no such scenario"))?;
    let mut load = args.load.clone();
    load.duration = Some(HumanDuration(Duration::from_secs(ordered.seconds)));
    load.users = ordered.users;
    load.spawn_rate = ordered.spawn_rate;
    let target = plan_args::target(args, &scenario)?;
    let mut target = target.map_err(|skipped| CommandFailure::failed(skipped.reason))?;
    let plan = plan_args::plan((&load, 1), ordered.scale.unwrap_or(1.0), scenario, &target)?;
    let control = Arc::new(Control::new(&plan.model));
    interrupt.stops(&control);
    let plan = Arc::new(plan);
    board.begin(&plan, &control);
    let result = run::run(&plan, &control, (&mut target, None), &mut Arc::clone(board));
    let mut result = result.map_err(CommandFailure::failed)?;
    judge(&mut result, &demanded(args));
    Ok(result)
}
