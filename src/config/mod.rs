//! The configuration of `serve`: given (`settings`), then checked once, then proved (`proved`).

mod memory;
mod proved;
mod quantity;
mod settings;

pub(crate) use proved::Config;
pub(crate) use quantity::{ByteCount, Span};
pub(crate) use settings::{LogFormat, Settings};
