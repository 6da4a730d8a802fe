//! What is promised of streams.

mod delivery;
mod resume;
mod slow;
