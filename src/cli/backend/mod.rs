//! Where commands find the queues: at a server, or in a data directory of their own.

pub(crate) mod embedded;
pub(crate) mod http;
pub(crate) mod queues;
