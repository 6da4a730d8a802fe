//! A report in one HTML file that asks nobody for anything.

use std::fmt::Write;

use crate::loadtest::{
    record::{
        latency::Latencies,
        monitor::Sample,
        result::{Figures, RunResult, Second, Skipped},
    },
    report::{
        chart::{Chart, Series, short},
        junit::escaped,
        summary::Summary,
    },
};

const STYLE: &str = include_str!("report.css");

/// Points of the latency spectrum.
const SPECTRUM_STEPS: u32 = 60;

/// The whole page.
pub(crate) fn page(results: &[RunResult], skipped: &[Skipped]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Lanekeeper load test</title><style>{STYLE}</style></head><body>\
         <h1>Lanekeeper load test</h1>\n"
    );
    for result in results {
        section(&mut out, result);
    }
    for Skipped { scenario, reason } in skipped {
        let (scenario, reason) = (escaped(scenario), escaped(reason));
        let _ = writeln!(
            out,
            "<section><h2>{scenario}</h2><p class=\"verdict\">skipped: {reason}</p></section>"
        );
    }
    out.push_str("</body></html>\n");
    out
}

fn section(out: &mut String, result: &RunResult) {
    let (id, title) = (escaped(&result.scenario.id), escaped(&result.scenario.title));
    let _ = write!(out, "<section><h2>{id} <small>{title}</small></h2>");
    let sound = result.verification.as_ref().map(|found| found.is_sound());
    let (class, verdict) = match sound {
        Some(true) => ("good", "verified"),
        Some(false) => ("bad", "verification failed"),
        None => ("", "not verified"),
    };
    let _ = write!(out, "<p class=\"verdict {class}\">{verdict}</p>");
    table(out, result);
    let _ = write!(
        out,
        "<details><summary>In words</summary><pre>{}</pre></details>",
        escaped(&Summary(result).to_string())
    );
    out.push_str("<div class=\"charts\">\n");
    for chart in over_time(&result.seconds) {
        out.push_str(&chart.html());
    }
    out.push_str(&spectrum(&result.total().latencies).html());
    out.push_str("</div></section>\n");
}

/// The columns of the table after the name of the request.
const COLUMNS: [&str; 7] = ["requests", "failed", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms"];

/// A table whose cells know their columns: on a narrow page there is no header above them.
fn table(out: &mut String, result: &RunResult) {
    out.push_str("<table><thead><tr><th>request");
    for column in COLUMNS {
        let _ = write!(out, "<th>{column}");
    }
    out.push_str("</tr></thead><tbody>");
    let total = result.total();
    let rows = result.requests.iter().map(|(name, count)| (name.as_str(), count));
    for (name, count) in rows.chain([("all", &total)]) {
        let Figures { requests, failures, p50, p95, p99, max, .. } = Figures::from(count);
        let _ = write!(out, "<tr><td>{}", escaped(name));
        let counts = [requests.to_string(), failures.to_string()];
        let rate = format!("{:.1}", result.per_second(requests));
        let times = [p50, p95, p99, max].map(|time| format!("{time:.3}"));
        let cells = counts.into_iter().chain([rate]).chain(times);
        for (column, cell) in COLUMNS.into_iter().zip(cells) {
            let _ = write!(out, "<td data-label=\"{column}\">{cell}");
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table>");
}

fn over_time(seconds: &[Second]) -> Vec<Chart<'static>> {
    let total = |name, of: fn(&Figures) -> f64| Series {
        name,
        points: seconds.iter().map(|second| (second.second as f64, of(&second.total))).collect(),
    };
    let users = seconds.iter().map(|second| (second.second as f64, second.users as f64)).collect();
    let mut charts = vec![
        chart(
            "Requests",
            "per second",
            vec![
                total("answered", |figures| figures.requests as f64),
                total("failed", |figures| figures.failures as f64),
            ],
        ),
        chart(
            "Latency",
            "ms",
            vec![
                total("p50", |figures| figures.p50),
                total("p95", |figures| figures.p95),
                total("p99", |figures| figures.p99),
                total("max", |figures| figures.max),
            ],
        ),
        chart("Users, or requests under way", "", vec![Series { name: "users", points: users }]),
    ];
    charts.extend(resources(seconds));
    charts
}

type Reading = fn(&Sample) -> Option<f64>;

/// What the server used, each figure that was known.
fn resources(seconds: &[Second]) -> Vec<Chart<'static>> {
    let figures: [(&str, &str, Reading); 7] = [
        ("Processors", "busy", |sample| sample.processors),
        ("Memory", "bytes", |sample| sample.memory_bytes.map(|bytes| bytes as f64)),
        ("Disk", "bytes", |sample| sample.disk_bytes.map(|bytes| bytes as f64)),
        ("Last fsync", "ms", |sample| sample.fsync_ms),
        ("Messages in the queues", "", |sample| sample.messages.map(|count| count as f64)),
        ("Actors in memory", "", |sample| sample.activations.map(|count| count as f64)),
        ("File descriptors", "", |sample| sample.descriptors.map(|count| count as f64)),
    ];
    let known = figures.into_iter().map(|(title, unit, of)| {
        let reading = |second: &Second| {
            let sample = second.sample.as_ref()?;
            of(sample).map(|value| (second.second as f64, value))
        };
        chart(
            title,
            unit,
            vec![Series { name: "server", points: seconds.iter().filter_map(reading).collect() }],
        )
    });
    known.collect()
}

fn chart<'a>(title: &'a str, unit: &'a str, series: Vec<Series<'a>>) -> Chart<'a> {
    Chart { title, unit, x_label: |second| format!("{second:.0} s"), series }
}

/// Latency by how many requests did not exceed it: 90 %, 99 %, 99.9 % at equal distances.
fn spectrum(latencies: &Latencies) -> Chart<'static> {
    let nines = (latencies.count().max(10) as f64).log10();
    let points = (0..=SPECTRUM_STEPS).map(|step| {
        let x = nines * f64::from(step) / f64::from(SPECTRUM_STEPS);
        (x, latencies.quantile(1.0 - 10_f64.powf(-x)))
    });
    let points = if latencies.count() == 0 { Vec::new() } else { points.collect() };
    let x_label = |nines: f64| {
        let percent = 100.0 * (1.0 - 10_f64.powf(-nines));
        format!("{} %", short_percent(percent))
    };
    let series = vec![Series { name: "all requests", points }];
    Chart { title: "Latency spectrum", unit: "ms", x_label, series }
}

fn short_percent(percent: f64) -> String {
    if percent < 90.0 { short(percent) } else { format!("{percent:.3}") }
}
