//! What is promised of queues.

mod consume;
mod control;
mod gate;
mod key;
mod layer;
mod lease;
mod model;
mod order;
mod outbox;
mod poison;
mod view;
mod wait;
mod wake;
