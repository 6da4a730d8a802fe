//! Results in the four CSV files of Locust, with its column names, and such files read again.

use std::{collections::BTreeMap, fmt::Write};

use crate::loadtest::record::{
    result::{Figures, RunResult},
    tally::Count,
};

const STATS: &str = "Type,Name,Request Count,Failure Count,Median Response Time,\
    Average Response Time,Min Response Time,Max Response Time,Average Content Size,Requests/s,\
    Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%";

const HISTORY: &str = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,\
    95%,98%,99%,99.9%,99.99%,100%,Total Request Count,Total Failure Count,\
    Total Median Response Time,Total Average Response Time,Total Min Response Time,\
    Total Max Response Time,Total Average Content Size";

const FAILURES: &str = "Method,Name,Error,Occurrences";

const EXCEPTIONS: &str = "Count,Message,Traceback,Nodes";

/// The name of the row of all requests together.
pub(crate) const AGGREGATED: &str = "Aggregated";

/// The files of a result: what follows the prefix in each name, and its text.
pub(crate) fn files(result: &RunResult) -> [(&'static str, String); 4] {
    [
        ("_stats.csv", stats(result)),
        ("_stats_history.csv", history(result)),
        ("_failures.csv", failures(result)),
        // What a generator cannot do ends it; nothing is raised and counted.
        ("_exceptions.csv", format!("{EXCEPTIONS}\n")),
    ]
}

fn stats(result: &RunResult) -> String {
    let mut out = format!("{STATS}\n");
    for (name, count) in &result.requests {
        stats_row(&mut out, ("POST", name), count, result);
    }
    stats_row(&mut out, ("", AGGREGATED), &result.total(), result);
    out
}

fn stats_row(out: &mut String, (kind, name): (&str, &str), count: &Count, result: &RunResult) {
    let figures = Figures::from(count);
    let (requests, failures) = (count.requests, count.failures);
    let _ = write!(out, "{kind},{},{requests},{failures},", quoted(name));
    averages(out, &figures);
    let rates = (result.per_second(requests), result.per_second(failures));
    let _ = write!(out, ",{:.6},{:.6}", rates.0, rates.1);
    percentiles(out, &figures);
    out.push('\n');
}

/// Median, mean, shortest, longest, and bytes of an answer.
fn averages(out: &mut String, figures: &Figures) {
    let Figures { p50, mean, min, max, bytes, .. } = figures;
    let _ = write!(out, "{p50:.3},{mean:.3},{min:.3},{max:.3},{bytes:.1}");
}

fn percentiles(out: &mut String, figures: &Figures) {
    for value in figures.percentiles {
        let _ = write!(out, ",{value:.3}");
    }
    let _ = write!(out, ",{:.3}", figures.max);
}

fn history(result: &RunResult) -> String {
    let mut out = format!("{HISTORY}\n");
    for second in &result.seconds {
        let timestamp = result.started_at / 1_000 + second.second;
        let Figures { requests, failures, .. } = second.total;
        let _ = write!(out, "{timestamp},{},,{AGGREGATED}", second.users);
        let _ = write!(out, ",{:.6},{:.6}", requests as f64, failures as f64);
        percentiles(&mut out, &second.total);
        let so_far = &second.so_far;
        let _ = write!(out, ",{},{},", so_far.requests, so_far.failures);
        averages(&mut out, so_far);
        out.push('\n');
    }
    out
}

fn failures(result: &RunResult) -> String {
    let mut out = format!("{FAILURES}\n");
    for failed in &result.failures {
        let (name, reason) = (quoted(&failed.name), quoted(&failed.reason));
        let _ = writeln!(out, "POST,{name},{reason},{}", failed.count);
    }
    out
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A row of a `_stats.csv`, by column.
pub(crate) type Row = BTreeMap<String, String>;

/// Reads a `_stats.csv`, of Locust or of this program: its rows by name.
///
/// # Errors
/// When its columns are not those of such a file.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, Row>, String> {
    let mut lines = text.lines();
    let columns = fields(lines.next().unwrap_or_default());
    for needed in ["Name", "Request Count", "Failure Count", "50%", "95%", "99%"] {
        if !columns.iter().any(|column| column == needed) {
            return Err(format!("no _stats.csv: it has no column {needed:?}"));
        }
    }
    let mut rows = BTreeMap::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let row: Row = columns.iter().cloned().zip(fields(line)).collect();
        if row.len() < columns.len() {
            return Err(format!("a row has {} of {} columns", row.len(), columns.len()));
        }
        rows.insert(row["Name"].clone(), row);
    }
    Ok(rows)
}

/// The fields of a line, quoted or not.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                field.push('"');
                letters.next();
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(letter),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::loadtest::record::latency::PERCENTS;

    #[test]
    fn the_columns_are_those_of_locust() {
        assert_eq!(fields(STATS).len(), 22);
        assert_eq!(fields(HISTORY).len(), 24);
        assert_eq!(PERCENTS.len() + 1, 11, "and 100%");
    }

    #[test]
    fn quoted_fields_are_read_again() {
        for text in ["plain", "with, comma", "with \"quotes\", too"] {
            assert_eq!(fields(&format!("a,{},b", quoted(text)))[1], text);
        }
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        assert!(read("Timestamp,User Count\n1,2\n").unwrap_err().contains("Name"));
    }
}
