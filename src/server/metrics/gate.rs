//! The gates of a node, aggregated: no label names a gate, unless somebody asks, or an owner.

use lanekeeper_actors::gate::{GateSummary, GateTotals};

use crate::server::metrics::Text;

/// Writes what all gates counted together.
pub(crate) fn gates(out: &mut Text, totals: &GateTotals) {
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

/// What each of several gates has to say: the name of a family, whether it is a counter, its help.
type Family = (&'static str, bool, &'static str, fn(&GateSummary) -> u64);

const FAMILIES: [Family; 4] = [
    ("lanekeeper_gate_by_id_waiting", false, "Owners waiting at a gate.", |gate| gate.waiting),
    ("lanekeeper_gate_by_id_permits", false, "Permits held of a gate.", |gate| gate.held),
    ("lanekeeper_gate_by_id_granted_total", true, "Permits a gate granted since its creation.", {
        |gate| gate.granted_total
    }),
    ("lanekeeper_gate_by_id_released_total", true, "Permits released since a gate's creation.", {
        |gate| gate.completed_total
    }),
];

/// Writes each of these gates, by its id.
pub(crate) fn each(out: &mut Text, gates: &[GateSummary]) {
    for (name, is_counter, help, read) in FAMILIES {
        match is_counter {
            true => out.counter(name, help),
            false => out.gauge(name, help),
        }
        for gate in gates {
            out.sample("", &format!("{{gate=\"{}\"}}", gate.id), read(gate));
        }
    }
}
