//! What is promised of the command line.

mod environment;
mod gate;
mod gate_restart;
mod lease;
mod line;
mod repair;
mod serve;
mod setting;
mod signals;
mod stream;
mod unreached;
mod work;
mod work_server;
mod worker;
