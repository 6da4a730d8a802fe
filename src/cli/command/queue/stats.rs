//! `lanekeeper stats`: a queue in numbers.

use lanekeeper::wire;

use crate::cli::{
    args,
    backend::queues::{self, Missing},
    exit::{CommandFailure, DONE},
    output::Output,
};

/// Shows the numbers.
pub(crate) fn run(args: &args::queue::Stats) -> Result<u8, CommandFailure> {
    queues::with(&args.target, Missing::Refused, |backend| {
        let stats = backend.stats(&args.id)?;
        let mut output = Output::new();
        if args.target.json {
            output.json(&stats)?;
        } else {
            for (name, value) in rows(&stats) {
                output.line(format!("{name:<22}{value}"))?;
            }
        }
        output.flush()?;
        Ok(DONE)
    })
}

fn rows(stats: &wire::Stats) -> Vec<(String, String)> {
    let mut rows = vec![("ready".to_owned(), stats.ready.to_string())];
    for row in &stats.by_priority {
        rows.push((format!("  priority {}", row.priority), row.ready.to_string()));
    }
    let numbers = [
        ("scheduled", stats.scheduled),
        ("leased", stats.leased),
        ("dead", stats.dead),
        ("bytes", stats.bytes),
        ("oldest_ready_age_ms", stats.oldest_ready_age_ms),
        ("oldest_leased_age_ms", stats.oldest_leased_age_ms),
        ("pushed", stats.pushed),
        ("popped", stats.popped),
        ("acked", stats.acked),
        ("nacked", stats.nacked),
        ("expired", stats.expired),
        ("dead_lettered", stats.dead_lettered),
        ("rejected", stats.rejected),
        ("evicted", stats.evicted),
        ("cancelled", stats.cancelled),
        ("purged", stats.purged),
    ];
    rows.extend(numbers.map(|(name, number)| (name.to_owned(), number.to_string())));
    let paused = match (stats.paused.push, stats.paused.pop) {
        (false, false) => "no",
        (true, false) => "push",
        (false, true) => "pop",
        (true, true) => "push, pop",
    };
    rows.push(("paused".to_owned(), paused.to_owned()));
    let level = lanekeeper::Durability::from(stats.durability);
    rows.push(("durability".to_owned(), level.to_string()));
    let window = stats.loss_window_ms.map_or("everything".to_owned(), |window| window.to_string());
    rows.push(("loss_window_ms".to_owned(), window));
    rows
}
