//! The promises of Lanekeeper, black box: each module is a chapter, each test a promise.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod actor_passivation;
mod actor_shutdown;
mod actor_state;
mod actor_time;
mod actor_turns;
mod command_gate;
mod command_line;
mod command_serve;
mod command_stream;
mod command_worker;
mod crash_cut;
mod crash_kill;
mod examples;
mod gate_crash;
mod gate_crowd;
mod gate_order;
mod gate_policy;
mod gate_wait;
mod http_control;
mod http_errors;
mod http_gate;
mod http_limits;
mod http_operations;
mod http_patience;
mod http_push;
mod http_socket;
mod http_stream;
mod http_take;
mod http_worker;
mod liveness_batch;
mod liveness_follow;
mod liveness_sweep;
mod liveness_view;
mod loadtest_results;
mod loadtest_verification;
mod queue_control;
mod queue_lease;
mod queue_order;
mod queue_view;
mod queue_wait;
mod stream_delivery;
mod stream_slow;
mod support;
mod tidy;
