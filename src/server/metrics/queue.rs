//! The queues of a node, aggregated: no label names a queue, unless somebody asks.

use std::time::SystemTime;

use lanekeeper_actors::queue::{QueueDepth, QueueTotals};

use crate::server::metrics::Text;

/// Writes what all queues did together.
pub(crate) fn queues(out: &mut Text, totals: &QueueTotals) {
    let help = "Messages of all queues, by what became of them since the node was opened.";
    out.counter("lanekeeper_queue_messages_total", help);
    let events = [
        ("pushed", totals.pushed),
        ("received", totals.received),
        ("popped", totals.popped),
        ("acked", totals.acked),
        ("nacked", totals.nacked),
        ("expired", totals.expired),
        ("dropped", totals.dropped),
        ("dead_lettered", totals.dead_lettered),
        ("redriven", totals.redriven),
        ("rejected", totals.rejected),
        ("duplicate", totals.duplicates),
        ("evicted", totals.evicted),
        ("cancelled", totals.cancelled),
        ("purged", totals.purged),
    ];
    for (event, total) in events {
        out.sample("", &format!("{{event=\"{event}\"}}"), total);
    }
}

/// What each of several queues has to say: the name of a family, its help.
type Family = (&'static str, &'static str, fn(&QueueDepth) -> u64);

const FAMILIES: [Family; 4] = [
    ("lanekeeper_queue_by_id_ready", "Messages of a queue ready to be taken.", |own| own.ready),
    ("lanekeeper_queue_by_id_scheduled", "Messages of a queue that wait for their time.", |own| {
        own.scheduled
    }),
    ("lanekeeper_queue_by_id_leased", "Messages of a queue that are leased.", |own| own.leased),
    ("lanekeeper_queue_by_id_bytes", "Bytes of a queue's payloads.", |own| own.bytes),
];

/// Writes each of these queues, by its id, as of `now`.
pub(crate) fn each(out: &mut Text, queues: &[QueueDepth], now: SystemTime) {
    let label = |queue: &QueueDepth| format!("{{queue=\"{}\"}}", queue.id);
    for (name, help, read) in FAMILIES {
        out.gauge(name, help);
        for queue in queues {
            out.sample("", &label(queue), read(queue));
        }
    }
    let name = "lanekeeper_queue_by_id_oldest_ready_age_seconds";
    out.gauge(name, "How long the oldest ready message of a queue has waited; 0 without one.");
    for queue in queues {
        out.sample("", &label(queue), queue.oldest_ready_age(now).as_secs_f64());
    }
}
