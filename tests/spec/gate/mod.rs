//! What is promised of gates.

mod bulk;
mod crash;
mod crowd;
mod figure;
mod order;
mod policy;
mod turn;
mod wait;
