//! A result as a person reads it in a terminal.

use std::fmt::{self, Display, Formatter};

use crate::loadtest::{
    plan::run_plan::Model,
    record::{
        result::{Figures, RunResult},
        tally::Count,
    },
    verify::Verification,
};

/// Reasons for failures that are shown.
const FAILURES_MAX: usize = 10;

/// Shows a result.
pub(crate) struct Summary<'a>(pub(crate) &'a RunResult);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let result = self.0;
        let scenario = &result.scenario;
        writeln!(f, "{}  {}", scenario.id, scenario.title)?;
        let ended = if result.is_complete { "" } else { ", interrupted" };
        let how = match result.model {
            Model::Open { scale } => format!("open model, rates × {scale}"),
            Model::Closed { users, .. } => format!("closed model, {users} users"),
        };
        let (seconds, seed) = (result.measured_seconds, result.seed);
        writeln!(f, "  {seconds:.1} s measured{ended}; {how}; seed {seed}")?;
        table(result, f)?;
        for failed in result.failures.iter().take(FAILURES_MAX) {
            writeln!(f, "  failed: {} × {}: {}", failed.count, failed.name, failed.reason)?;
        }
        if result.failures.len() > FAILURES_MAX {
            writeln!(f, "  failed: {} more reasons", result.failures.len() - FAILURES_MAX)?;
        }
        asides(result, f)?;
        match &result.verification {
            Some(found) => verdict(found, f)?,
            None => writeln!(f, "  not verified")?,
        }
        for demand in &result.thresholds {
            let verdict = if demand.is_met { "met" } else { "MISSED" };
            let found = demand
                .found
                .map_or("no such requests".to_owned(), |found| format!("found {found:.3}"));
            writeln!(f, "  threshold {}: {verdict}, {found}", demand.threshold)?;
        }
        for warning in &result.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

fn table(result: &RunResult, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "  {:<18} {:>9} {:>8} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "", "requests", "failed", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms"
    )?;
    let mut row = |name: &str, count: &Count| {
        let Figures { requests, failures, p50, p95, p99, max, .. } = Figures::from(count);
        let rate = result.per_second(requests);
        writeln!(
            f,
            "  {name:<18} {requests:>9} {failures:>8} {rate:>10.1} {p50:>9.3} {p95:>9.3} \
             {p99:>9.3} {max:>9.3}"
        )
    };
    for (name, count) in &result.requests {
        row(name, count)?;
    }
    if result.requests.len() > 1 {
        row("all", &result.total())?;
    }
    Ok(())
}

fn asides(result: &RunResult, f: &mut Formatter<'_>) -> fmt::Result {
    if matches!(result.model, Model::Open { .. }) && result.lag.count() > 0 {
        let (half, most, max) =
            (result.lag.quantile(0.5), result.lag.quantile(0.99), result.lag.max());
        writeln!(f, "  schedule lag p50 {half:.3} ms, p99 {most:.3} ms, max {max:.3} ms")?;
    }
    if result.empty_pops > 0 {
        writeln!(f, "  {} pops or leases found an empty queue", result.empty_pops)?;
    }
    if result.turned_away > 0 {
        let count = result.turned_away;
        writeln!(f, "  {count} pushes were refused, as they should be: the disk was full")?;
    }
    if result.cuts > 0 {
        writeln!(f, "  {} connections were cut on purpose", result.cuts)?;
    }
    Ok(())
}

fn verdict(found: &Verification, f: &mut Formatter<'_>) -> fmt::Result {
    let verdict = if found.is_sound() { "verified" } else { "VERIFICATION FAILED" };
    let breaches = found.breaches();
    writeln!(f, "  {verdict}: {} pushed, {} popped; {breaches}", found.pushed, found.popped)?;
    let work = &found.work;
    if work.leased > 0 {
        writeln!(
            f,
            "  {} deliveries: {} acked, {} nacked, {} abandoned",
            work.leased, work.acked, work.nacked, work.abandoned
        )?;
    }
    if work.dead_lettered + work.redriven > 0 {
        writeln!(f, "  {} dead letters, {} brought back", work.dead_lettered, work.redriven)?;
    }
    if found.received + found.announced_missing > 0 {
        writeln!(
            f,
            "  subscribers received {} messages and were told of {} that they missed",
            found.received, found.announced_missing
        )?;
    }
    if found.unknown_pushes > 0 {
        let count = found.unknown_pushes;
        writeln!(f, "  {count} pushes had no answer: each item may be there once or not at all")?;
    }
    if found.cut_pops > 0 {
        writeln!(
            f,
            "  {} pops or acks had no answer: {} missing items are within what they may have taken",
            found.cut_pops, found.taken_by_cut_pops
        )?;
    }
    Ok(())
}
