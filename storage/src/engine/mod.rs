//! The interface of engines: what the runtime needs from a store.

pub(crate) mod ownership;
pub(crate) mod seam;
