//! The queues of a node, aggregated: no label names a queue.

use lanekeeper_actors::queue::QueueTotals;

use super::Text;

/// Writes what all queues did together.
pub(super) fn queues(out: &mut Text, totals: &QueueTotals) {
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
