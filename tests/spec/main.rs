//! The promises of Lanekeeper, black box: each module is a chapter, each test a promise.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod actor;
mod command;
mod crash;
mod deletion;
mod gate;
mod house;
mod http;
mod loadtest;
mod queue;
mod server;
mod stream;
mod support;
mod webhook;
mod worker;
