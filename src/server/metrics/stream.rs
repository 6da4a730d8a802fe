//! The streams of a node, aggregated: no label names a topic or a subscriber.

use lanekeeper_actors::stream::{Class, SEND_BOUNDS, StreamTotals};

use crate::server::metrics::Text;

/// Writes what all streams counted together.
pub(crate) fn streams(out: &mut Text, totals: &StreamTotals, connection_count: usize) {
    out.gauge_of("lanekeeper_stream_subscribers", "Subscribers.", totals.subscriber_count);
    out.gauge_of(
        "lanekeeper_socket_connections",
        "Connections that stay: WebSockets and server-sent events.",
        connection_count,
    );
    out.counter_of(
        "lanekeeper_stream_subscribed_total",
        "Subscribers there ever were.",
        totals.subscribed,
    );
    out.counter("lanekeeper_stream_ended_total", "Subscribers that ended.");
    for (end, count) in &totals.ended {
        out.sample("", &format!("{{reason=\"{end}\"}}"), count);
    }
    let families = [
        ("lanekeeper_stream_published_total", "Messages published."),
        ("lanekeeper_stream_evicted_total", "Messages that gave way to others."),
        ("lanekeeper_stream_refused_total", "Messages refused at a subscriber's door."),
    ];
    for (place, (name, help)) in families.into_iter().enumerate() {
        out.counter(name, help);
        for class in Class::ALL {
            out.sample("", &format!("{{class=\"{class}\"}}"), totals.of(class)[place]);
        }
    }
    delivery(out, totals);
}

fn delivery(out: &mut Text, totals: &StreamTotals) {
    out.counter_of(
        "lanekeeper_stream_queued_total",
        "Messages queued for a subscriber.",
        totals.queued,
    );
    out.counter_of(
        "lanekeeper_stream_delivered_total",
        "Messages delivered to a subscriber.",
        totals.delivered,
    );
    out.counter_of(
        "lanekeeper_stream_delivered_bytes_total",
        "Bytes of the payloads delivered.",
        totals.delivered_bytes,
    );
    out.family("lanekeeper_stream_send_seconds", "histogram", "Sends to subscribers.");
    let bounds = SEND_BOUNDS.map(|bound| bound.as_secs_f64());
    out.histogram("", (&bounds, &totals.sends), totals.send_time.as_secs_f64());
    out.counter_of(
        "lanekeeper_stream_slow_events_total",
        "Sends that took longer than half a second.",
        totals.slow_events,
    );
    out.counter_of(
        "lanekeeper_stream_backpressure_events_total",
        "How often eight tenths of a subscriber's queue were reached.",
        totals.backpressure_events,
    );
    out.counter_of("lanekeeper_stream_slow_total", "Subscribers that became slow.", totals.slowed);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_times_of_sends_are_a_histogram() {
        let mut totals = StreamTotals { send_time: Duration::from_millis(2), ..Default::default() };
        (totals.sends[0], totals.sends[SEND_BOUNDS.len()]) = (3, 1);
        let mut out = Text::default();
        streams(&mut out, &totals, 0);
        let lines: Vec<&str> = out.text.lines().filter(|line| line.contains("send_s")).collect();
        assert_eq!(lines[1], "# TYPE lanekeeper_stream_send_seconds histogram");
        assert_eq!(lines[2], "lanekeeper_stream_send_seconds_bucket{le=\"0.00001\"} 3");
        let rest = [
            "lanekeeper_stream_send_seconds_bucket{le=\"5\"} 3",
            "lanekeeper_stream_send_seconds_bucket{le=\"+Inf\"} 4",
            "lanekeeper_stream_send_seconds_sum 0.002",
            "lanekeeper_stream_send_seconds_count 4",
        ];
        assert_eq!(lines[lines.len() - 4..], rest);
    }
}
