//! The engine seam: what the runtime asks of whatever keeps its state.

pub(crate) mod ownership;
pub(crate) mod seam;
