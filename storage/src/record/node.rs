//! Values of the node itself.

use crate::{
    codec::{Decode, Encode},
    record::record,
};

/// How far the node's clock had come, as far as it was written: time goes on from there, whatever
/// the system's clock says at the next opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClockRecord {
    /// The node's wall time.
    pub now_ms: u64,
}

record!(ClockRecord, "clock", 1);
