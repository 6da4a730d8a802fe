//! The promises of Lanekeeper, black box: each module is a chapter, each test a promise.

mod actor_passivation;
mod actor_shutdown;
mod actor_state;
mod actor_time;
mod actor_turns;
mod support;
