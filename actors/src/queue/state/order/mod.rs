//! Which message is next: positions, priorities, aging, and the ends kept in memory.

pub(crate) mod aging;
mod aging_order;
pub(crate) mod head_cache;
pub(crate) mod position;
pub(crate) mod priority_counts;
pub(crate) mod tail_cache;
