//! The sinks of a node, aggregated: no label names a queue.

use crate::{server::metrics::Text, webhook::stats::SinkStats};

/// Writes what all sinks counted together.
pub(crate) fn sinks(out: &mut Text, stats: &SinkStats) {
    out.gauge_of("lanekeeper_sink_under_way", "Deliveries under way.", stats.under_way);
    out.gauge_of(
        "lanekeeper_sink_waiting",
        "Sinks that are not delivered to: there are more than --sinks-max.",
        stats.waiting,
    );
    out.gauge_of(
        "lanekeeper_sink_held_back",
        "Sinks whose receivers are taken to be down.",
        stats.held_back,
    );
    out.counter_of(
        "lanekeeper_sink_pauses_total",
        "Pauses made because a receiver was down.",
        stats.pauses_total,
    );
    out.counter_of(
        "lanekeeper_sink_refusals_total",
        "Times that a queue refused to lease for its sink, as one does that is paused.",
        stats.refusals_total,
    );
    out.counter("lanekeeper_sink_deliveries_total", "Deliveries that ended, by what came of them.");
    for (outcome, total) in [
        ("delivered", stats.delivered_total),
        ("accepted", stats.accepted_total),
        ("failed", stats.failed_total),
        ("released", stats.released_total),
    ] {
        out.sample("", &format!("{{outcome=\"{outcome}\"}}"), total);
    }
    out.counter_of(
        "lanekeeper_sink_late_total",
        "Deliveries that could not be settled: their leases had ended.",
        stats.late_total,
    );
}
