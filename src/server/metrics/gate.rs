//! The gates of a node, aggregated: no label names a gate or an owner.

use lanekeeper_actors::gate::GateTotals;

use super::Text;

/// Writes what all gates counted together.
pub(super) fn gates(out: &mut Text, totals: &GateTotals) {
    out.gauge_of("lanekeeper_gate_waiting", "Owners waiting at active gates.", totals.waiting);
    out.gauge_of("lanekeeper_gate_permits", "Permits held of active gates.", totals.held);
    let counters = [
        ("lanekeeper_gate_granted_total", "Permits granted.", totals.granted_total),
        ("lanekeeper_gate_released_total", "Permits released.", totals.released_total),
        ("lanekeeper_gate_expired_total", "Permits ended by their ttl.", totals.expired_total),
        ("lanekeeper_gate_timed_out_total", "Owners that waited too long.", totals.timed_out_total),
        ("lanekeeper_gate_cancelled_total", "Owners that left the line.", totals.cancelled_total),
        ("lanekeeper_gate_evicted_total", "Owners that gave way.", totals.evicted_total),
    ];
    for (name, help, total) in counters {
        out.counter_of(name, help, total);
    }
    out.counter("lanekeeper_gate_refused_total", "Owners refused, by what kept them out.");
    for (blocked_by, total) in totals.refusals() {
        out.sample("", &format!("{{blocked_by=\"{}\"}}", blocked_by.as_str()), total);
    }
}
