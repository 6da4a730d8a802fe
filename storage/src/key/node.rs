//! Keys of the node itself.

use crate::key::{Key, key, tag};

/// How far the node's clock had come.
pub fn clock() -> Key {
    key(tag::CLOCK, &[])
}
