//! `/metrics`: the exposition format of Prometheus, in base units.

mod connection;
pub(crate) mod counters;
mod gate;
mod queue;
mod sink;
mod stream;
mod worker;

use std::{
    fmt::{Display, Write},
    time::SystemTime,
};

use lanekeeper_actors::{
    EngineStatus, MemoryBudget, MemoryUse, NodeStatus,
    gate::{GateSummary, GateTotals},
    queue::{QueueDepth, QueueTotals},
    stream::StreamTotals,
    worker::{LivenessStats, WorkerInfo},
};

use crate::{
    server::{
        http::connection::{descriptors::Descriptors, slots::SlotFigures},
        metrics::counters::{BUCKET_MICROS, Figures, RouteFigures},
        router::Route,
    },
    webhook::stats::SinkStats,
};

/// Writes everything that is known.
pub(crate) fn text(figures: &Figures, node: Option<&NodeStatus>) -> String {
    let mut out = Text::default();
    out.gauge("lanekeeper_build_info", "Which version runs.");
    out.sample("", &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);
    http(&mut out, figures);
    if let Some(status) = node {
        actors(&mut out, status);
        engine(&mut out, status);
    }
    out.text
}

/// Writes what is known of the connections and of the open files that they are bounded by.
pub(crate) fn connection_text(figures: &SlotFigures, descriptors: &Descriptors) -> String {
    let mut out = Text::default();
    connection::connections(&mut out, figures, descriptors);
    out.text
}

/// Writes how much of the memory budget is used, if it has an end.
pub(crate) fn memory_text(memory: &MemoryBudget) -> String {
    let mut out = Text::default();
    if memory.process_bytes().is_some() {
        let help = "Bytes that bodies, answers and unwritten changes may take together.";
        out.gauge_of("lanekeeper_memory_budget_bytes", help, memory.bytes_max());
        let help = "Bytes that they take.";
        out.gauge_of("lanekeeper_memory_used_bytes", help, memory.used());
    }
    out.counter("lanekeeper_memory_refusals_total", "Requests refused for want of memory.");
    for what in MemoryUse::ALL {
        let label = format!("{{use=\"{}\"}}", what.as_str());
        out.sample("", &label, memory.refused(what));
    }
    out.text
}

/// Writes what all streams of the node counted together.
pub(crate) fn stream_text(totals: &StreamTotals, connection_count: usize) -> String {
    let mut out = Text::default();
    stream::streams(&mut out, totals, connection_count);
    out.text
}

/// Writes what all queues of the node did together.
pub(crate) fn queue_text(totals: &QueueTotals) -> String {
    let mut out = Text::default();
    queue::queues(&mut out, totals);
    out.text
}

/// Writes what each of these queues holds: only for who asks, since there is no end of ids.
pub(crate) fn each_queue_text(queues: &[QueueDepth], now: SystemTime) -> String {
    let mut out = Text::default();
    queue::each(&mut out, queues, now);
    out.text
}

/// Writes what all gates of the node counted together.
pub(crate) fn gate_text(totals: &GateTotals) -> String {
    let mut out = Text::default();
    gate::gates(&mut out, totals);
    out.text
}

/// Writes what is known of each of these gates: only for who asks, since there is no end of ids.
pub(crate) fn each_gate_text(gates: &[GateSummary]) -> String {
    let mut out = Text::default();
    gate::each(&mut out, gates);
    out.text
}

/// Writes what is known of each of these workers, as [`each_gate_text`] does of gates.
pub(crate) fn each_worker_text(workers: &[WorkerInfo]) -> String {
    let mut out = Text::default();
    worker::each(&mut out, workers);
    out.text
}

/// Writes what is known of all workers of the node together.
pub(crate) fn worker_text(stats: &LivenessStats) -> String {
    let mut out = Text::default();
    worker::workers(&mut out, stats);
    out.text
}

/// Writes what all sinks of the node counted together.
pub(crate) fn sink_text(stats: &SinkStats) -> String {
    let mut out = Text::default();
    sink::sinks(&mut out, stats);
    out.text
}

fn http(out: &mut Text, figures: &Figures) {
    let used = || figures.routes.iter().enumerate().filter(|(_, route)| count(route) > 0);
    out.counter("lanekeeper_http_requests_total", "Requests answered.");
    for (place, route) in used() {
        for (class, &requests) in route.classes.iter().enumerate().filter(|(_, count)| **count > 0)
        {
            let labels = format!("{{route=\"{}\",status=\"{}xx\"}}", name(place), class + 1);
            out.sample("", &labels, requests);
        }
    }
    out.family("lanekeeper_http_request_duration_seconds", "histogram", "Time to answer.");
    let bounds = BUCKET_MICROS.map(seconds);
    for (place, route) in used() {
        let label = format!("route=\"{}\"", name(place));
        out.histogram(&label, (&bounds, &route.buckets), seconds(route.micros));
    }
    out.gauge_of(
        "lanekeeper_http_requests_in_flight",
        "Requests being answered.",
        figures.in_flight,
    );
}

fn actors(out: &mut Text, status: &NodeStatus) {
    out.gauge_of(
        "lanekeeper_draining",
        "Whether the node admits no more requests.",
        u8::from(status.is_draining),
    );
    out.gauge_of("lanekeeper_activations", "Actors in memory.", status.activations);
    out.counter_of(
        "lanekeeper_activated_total",
        "Actors brought into memory.",
        status.activated_total,
    );
    out.counter_of("lanekeeper_passivated_total", "Actors put away.", status.passivated_total);
    out.counter_of("lanekeeper_turns_total", "Requests handled by actors.", status.turns_total);
    out.gauge_of(
        "lanekeeper_clock_ahead_seconds",
        "How far the node's clock is ahead of the system's, which was set back.",
        status.clock_ahead.as_secs_f64(),
    );
    out.counter_of("lanekeeper_panics_total", "Handlers that panicked.", status.panics_total);
}

/// Why writes are refused, if they are.
fn refusals(out: &mut Text, engine: &EngineStatus) {
    out.gauge_of(
        "lanekeeper_store_poisoned",
        "Whether nothing is acknowledged until a restart.",
        u8::from(engine.poisoned.is_some()),
    );
    out.gauge_of(
        "lanekeeper_store_disk_full",
        "Whether writes are refused for want of space.",
        u8::from(engine.is_disk_full),
    );
    out.gauge_of(
        "lanekeeper_store_unavailable",
        "Whether writes are refused for another reason that passes.",
        u8::from(engine.unavailable.is_some()),
    );
}

fn engine(out: &mut Text, status: &NodeStatus) {
    let engine = &status.engine;
    refusals(out, engine);
    out.counter_of(
        "lanekeeper_commits_total",
        "Commits handed over and committed.",
        engine.commits,
    );
    out.counter_of("lanekeeper_journal_fsyncs_total", "Fsyncs of the journal.", engine.fsyncs);
    out.gauge_of(
        "lanekeeper_journal_fsync_last_seconds",
        "Duration of the last fsync.",
        engine.fsync_last.as_secs_f64(),
    );
    out.counter_of("lanekeeper_checkpoints_total", "Checkpoints made.", engine.checkpoints);
    out.gauge_of(
        "lanekeeper_commit_waiting_bytes",
        "Bytes waiting for the disk.",
        engine.waiting_bytes,
    );
    out.gauge_of(
        "lanekeeper_overlay_bytes",
        "Bytes in memory until the next checkpoint.",
        engine.overlay_bytes,
    );
    out.gauge_of(
        "lanekeeper_volatile_bytes",
        "Bytes in memory of queues that nothing keeps.",
        engine.volatile_bytes,
    );
    out.gauge_of(
        "lanekeeper_journal_bytes",
        "Bytes of journal files in use.",
        engine.journal_bytes,
    );
    out.gauge_of("lanekeeper_store_bytes", "Bytes of the store on disk.", engine.store_bytes);
    out.gauge_of(
        "lanekeeper_store_live_bytes",
        "Bytes of the store that are alive.",
        engine.live_bytes,
    );
}

fn count(route: &RouteFigures) -> u64 {
    route.classes.iter().sum()
}

/// The label of a route: its name in lower case, with underscores between the words.
fn name(place: usize) -> String {
    Route::ALL.get(place).map_or_else(|| "unknown".to_owned(), |route| route.name())
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// The text so far, and the family its next sample belongs to.
#[derive(Default)]
struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    fn counter(&mut self, name: &'static str, help: &str) {
        self.family(name, "counter", help);
    }

    fn gauge(&mut self, name: &'static str, help: &str) {
        self.family(name, "gauge", help);
    }

    /// A counter without labels.
    fn counter_of(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.counter(name, help);
        self.sample("", "", value);
    }

    /// A gauge without labels.
    fn gauge_of(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.gauge(name, help);
        self.sample("", "", value);
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, suffix: &str, labels: &str, value: impl Display) {
        let family = self.family;
        self.line(format_args!("{family}{suffix}{labels} {value}\n"));
    }

    /// A histogram with one label or none: how many there are up to each bound in seconds and how
    /// many beyond the last, and their sum in seconds.
    fn histogram(&mut self, label: &str, (bounds, counts): (&[f64], &[u64]), sum: f64) {
        let comma = if label.is_empty() { "" } else { "," };
        let bounds = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(counts) {
            below += count;
            self.sample("_bucket", &format!("{{{label}{comma}le=\"{bound}\"}}"), below);
        }
        let labels = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
        self.sample("_sum", &labels, sum);
        self.sample("_count", &labels, below);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a string takes every character");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::http::StatusCode;

    use super::*;

    use crate::server::metrics::counters::Counters;

    #[test]
    fn every_sample_belongs_to_a_family_that_was_described() {
        let mut figures = Figures::default();
        let worker = Arc::new(Counters::default());
        worker.begin().end(Some(Route::Push), StatusCode::OK);
        worker.begin().end(None, StatusCode::NOT_FOUND);
        worker.add_to(&mut figures);
        let mut text = text(&figures, Some(&NodeStatus::default()));
        let ended = vec![(lanekeeper_actors::stream::End::Lost, 2)];
        text += &memory_text(&MemoryBudget::of_process(1 << 30));
        text += &queue_text(&QueueTotals::default());
        text += &gate_text(&GateTotals::default());
        text += &sink_text(&SinkStats::default());
        text += &stream_text(&StreamTotals { ended, ..StreamTotals::default() }, 3);
        let mut family = "";
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(described) => family = described.split(' ').next().unwrap_or_default(),
                None if line.starts_with('#') => {}
                None => {
                    assert!(line.starts_with(family), "{line} is not of {family}");
                    let value = line.rsplit(' ').next().unwrap_or_default();
                    assert!(value.parse::<f64>().is_ok(), "{line}");
                }
            }
        }
        assert!(text.contains("requests_total{route=\"push\",status=\"2xx\"} 1\n"), "{text}");
        assert!(text.contains("requests_total{route=\"unknown\",status=\"4xx\"} 1\n"), "{text}");
    }

    #[test]
    fn buckets_are_cumulated_and_end_in_the_count() {
        let mut figures = Figures::default();
        let push = &mut figures.routes[Route::Push as usize];
        push.classes[1] = 3;
        (push.buckets[0], push.buckets[1], push.buckets[13]) = (1, 1, 1);
        push.micros = 1_500_000;
        let text = text(&figures, None);
        let expected = ["le=\"0.0001\"} 1\n", "le=\"0.00025\"} 2\n", "le=\"+Inf\"} 3\n"];
        for sample in expected {
            assert!(text.contains(sample), "{sample} in {text}");
        }
        assert!(text.contains("_sum{route=\"push\"} 1.5\n"), "{text}");
        assert!(text.contains("_count{route=\"push\"} 3\n"), "{text}");
    }
}
