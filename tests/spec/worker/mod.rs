//! What is promised of workers.

mod batch;
mod follow;
mod gate;
mod lease;
mod sweep;
mod view;
