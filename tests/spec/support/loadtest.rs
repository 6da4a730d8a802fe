//! Load tests under way, seen through what they keep.

use std::{fs, path::Path, thread};

use serde_json::Value;

/// Waits until a run has kept its first second.
pub(crate) fn wait_for_second(json: &Path) {
    let has_second = || {
        let text = fs::read_to_string(json).unwrap_or_default();
        let file: Value = serde_json::from_str(&text).unwrap_or_default();
        file["results"][0]["seconds"].as_array().is_some_and(|seconds| !seconds.is_empty())
    };
    while !has_second() {
        thread::yield_now();
    }
}
