//! The configuration of `serve`: given (`settings`), then checked once, then proved (`proved`).

mod memory;
pub(crate) mod quantity;
pub(crate) mod settings;
pub(crate) mod validated;
