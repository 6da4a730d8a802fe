//! A message in memory, its transitions, and what is known of it by id and key.

mod deduplicate;
mod key_outcome;
pub(crate) mod stored_message;
pub(crate) mod transition;
