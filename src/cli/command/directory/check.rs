//! `lanekeeper check`: verifies a data directory that nobody has open.

use std::io;

use lanekeeper::CheckReport;
use serde_json::{Value, json};

use crate::cli::{
    args,
    command::directory::repair,
    exit::{CommandFailure, DAMAGED, DONE},
    output::{Output, unless_closed},
};

/// Reads everything there is and reports what is wrong.
pub(crate) fn run(args: &args::check::Check) -> Result<u8, CommandFailure> {
    if args.repair {
        return repair::run(args);
    }
    let report = lanekeeper::check(&args.dir).map_err(CommandFailure::not_started)?;
    unless_closed(print(&report, args.json))?;
    Ok(if report.is_sound() { DONE } else { DAMAGED })
}

fn print(report: &CheckReport, is_json: bool) -> io::Result<()> {
    let mut output = Output::new();
    if is_json {
        output.json(&json_of(report))?;
    } else {
        output.line(report.to_string())?;
    }
    output.flush()
}

fn json_of(report: &CheckReport) -> Value {
    let problems = report.problems.iter();
    let problems = problems.map(|problem| json!({"place": problem.place, "what": problem.what}));
    let torn = report.torn_tail.as_ref();
    let torn = torn.map(|(path, offset)| json!({"file": path, "offset": offset}));
    json!({
        "sound": report.is_sound(),
        "problems": problems.collect::<Vec<_>>(),
        "problem_count": report.problem_count,
        "queues": report.queue_count,
        "messages": report.message_count,
        "gates": report.gate_count,
        "permits": report.permit_count,
        "actors": report.actor_count,
        "reminders": report.reminder_count,
        "workers": report.worker_count,
        "letters": report.letter_count,
        "records": report.record_count,
        "record_bytes": report.record_bytes,
        "store_bytes": report.store_bytes,
        "journal_segments": report.segment_count,
        "journal_groups": report.group_count,
        "journal_batches": report.batch_count,
        "journal_bytes": report.journal_bytes,
        "torn_tail": torn,
        "incarnation": report.incarnation,
    })
}
