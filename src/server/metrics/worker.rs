//! The workers of a node, aggregated: no label names one, unless somebody asks.

use std::time::UNIX_EPOCH;

use lanekeeper_actors::worker::{LivenessStats, WorkerInfo, WorkerStatus};

use crate::server::metrics::Text;

/// Writes what is known of all workers together.
pub(crate) fn workers(out: &mut Text, stats: &LivenessStats) {
    out.gauge("lanekeeper_workers", "Workers that are known, by status.");
    out.sample("", "{status=\"online\"}", stats.online);
    out.sample("", "{status=\"offline\"}", stats.offline);
    out.gauge_of(
        "lanekeeper_worker_beats_pending",
        "Workers whose beats wait to be written.",
        stats.pending,
    );
    out.gauge_of(
        "lanekeeper_worker_departures_untold",
        "Departures that somebody has still to be told.",
        stats.untold,
    );
    out.counter_of("lanekeeper_worker_beats_total", "Heartbeats taken.", stats.beats_total);
    out.counter("lanekeeper_worker_written_total", "Workers written, at once or by a flush.");
    out.sample("", "{by=\"itself\"}", stats.written_total);
    out.sample("", "{by=\"flush\"}", stats.flushed_total);
    out.counter_of(
        "lanekeeper_worker_flushes_total",
        "Flushes of heartbeats that wrote something.",
        stats.flushes_total,
    );
    out.counter_of(
        "lanekeeper_worker_flush_failures_total",
        "Flushes of heartbeats that failed; what they were to write is kept.",
        stats.flush_failures_total,
    );
    out.counter_of(
        "lanekeeper_worker_arrived_total",
        "Workers that came online.",
        stats.arrived_total,
    );
    out.counter("lanekeeper_worker_departed_total", "Workers that went offline.");
    out.sample("", "{cause=\"silent\"}", stats.silent_total);
    out.sample("", "{cause=\"deregistered\"}", stats.deregistered_total);
    out.counter_of(
        "lanekeeper_worker_forgotten_total",
        "Workers forgotten to make room for others.",
        stats.forgotten_total,
    );
}

/// Writes each of these workers, by its id.
pub(crate) fn each(out: &mut Text, workers: &[WorkerInfo]) {
    out.gauge("lanekeeper_worker_by_id_online", "Whether a worker is taken to be alive.");
    for worker in workers {
        let is_online = u8::from(worker.status == WorkerStatus::Online);
        out.sample("", &label(worker), is_online);
    }
    out.gauge("lanekeeper_worker_by_id_last_seen_seconds", "When a worker was seen, in Unix time.");
    for worker in workers {
        let since = worker.last_seen_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        out.sample("", &label(worker), since.as_secs_f64());
    }
}

fn label(worker: &WorkerInfo) -> String {
    format!("{{worker=\"{}\"}}", worker.id)
}
