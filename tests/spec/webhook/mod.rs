//! What is promised of webhooks.

mod circuit_breaker;
pub(crate) mod delivery;
mod header;
mod refusal;
mod tls;
