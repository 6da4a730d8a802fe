//! HTTP itself: connections, bodies, queries, JSON, answers, problem documents.

pub(crate) mod body;
pub(crate) mod code;
pub(crate) mod connection;
pub(crate) mod header_limits;
pub(crate) mod json;
mod payload_pieces;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod texts;
