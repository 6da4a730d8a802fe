//! What a run showed: counts, latencies, items, resources.

pub(crate) mod expected_items;
pub(crate) mod latency;
pub(crate) mod live;
pub(crate) mod monitor;
pub(crate) mod result;
pub(crate) mod tally;
pub(crate) mod timeline;
