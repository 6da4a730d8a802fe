//! Keys of the node itself.

use crate::key::{Key, key, tag};

/// The last recorded time of the node.
pub fn clock() -> Key {
    key(tag::CLOCK, &[])
}
