//! `lanekeeper analyze`: shows results that were kept.

use std::fs;

use crate::{
    cli::{
        args,
        exit::{CommandFailure, DONE},
        output::Output,
    },
    loadtest::{
        record::{latency::PERCENTS, result::RunResult},
        report::{compare, locust, summary::Summary},
    },
};

/// Shows each file.
pub(crate) fn run(args: &args::loadtest::Analyze) -> Result<u8, CommandFailure> {
    let mut output = Output::new();
    for path in &args.results {
        let wrong = |error: &dyn std::fmt::Display| {
            CommandFailure::failed(format!("{}: {error}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        if text.trim_start().starts_with('{') {
            let file = compare::read(&text).map_err(|error| wrong(&error))?;
            for result in &file.results {
                output.line(Summary(result).to_string())?;
                percentiles(result, &mut output)?;
            }
        } else {
            let rows = locust::read(&text).map_err(|error| wrong(&error))?;
            let columns =
                ["Request Count", "Failure Count", "Requests/s", "50%", "95%", "99%", "100%"];
            output.line(row("", columns.map(str::to_owned).into_iter()))?;
            for (name, fields) in rows {
                let field = |column: &str| fields.get(column).cloned().unwrap_or_default();
                output.line(row(&name, columns.into_iter().map(field)))?;
            }
        }
    }
    output.flush()?;
    Ok(DONE)
}

/// Every percentile of every kind of request, in milliseconds.
fn percentiles(result: &RunResult, output: &mut Output) -> Result<(), CommandFailure> {
    let heads = PERCENTS.iter().map(|part| format!("{}%", part * 100.0));
    let heads = heads.chain(["100%".to_owned(), "mean".to_owned()]);
    output.line(row("ms", heads))?;
    for (name, count) in &result.requests {
        let of = |part: &f64| count.latencies.quantile(*part);
        let figures = PERCENTS.iter().map(of);
        let figures = figures.chain([count.latencies.max(), count.latencies.mean()]);
        output.line(row(name, figures.map(|figure| format!("{figure:.3}"))))?;
    }
    output.line("")?;
    Ok(())
}

fn row(name: &str, fields: impl Iterator<Item = String>) -> String {
    fields.fold(format!("  {name:<18}"), |line, field| format!("{line} {field:>10}"))
}
