//! Connections, and the open files that bound them.

use crate::server::{
    http::connection::{descriptors::Descriptors, slots::SlotFigures},
    metrics::Text,
};

pub(crate) fn connections(out: &mut Text, figures: &SlotFigures, descriptors: &Descriptors) {
    out.gauge("lanekeeper_connections", "Open connections; extra ones are beyond the limit.");
    out.sample("", "{kind=\"regular\"}", figures.regular);
    out.sample("", "{kind=\"extra\"}", figures.extra);
    out.gauge_of(
        "lanekeeper_connections_max",
        "Connections that there may be: the setting, or fewer if the system grants fewer files.",
        descriptors.connections_max,
    );
    out.counter_of(
        "lanekeeper_connections_evicted_total",
        "Connections closed while idle to make room.",
        figures.evicted_total,
    );
    out.counter_of(
        "lanekeeper_connections_refused_total",
        "Connections refused because no room could be made.",
        figures.refused_total,
    );
    out.gauge_of(
        "lanekeeper_open_files_max",
        "Open files that the system grants.",
        descriptors.limit,
    );
    out.gauge_of(
        "lanekeeper_open_files_reserved",
        "Open files that are kept for the store, the threads and sinks.",
        descriptors.reserved,
    );
}
