//! What is promised of connections: their bounds, their ends, those that stay.

mod client;
mod consume;
mod gone;
mod leak;
mod memory;
mod origin;
mod patience;
mod slots;
mod slow;
mod socket;
