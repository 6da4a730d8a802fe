//! Load tests under way, seen through what they keep.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    thread,
};

use serde_json::Value;

use crate::support::{
    http::{Reply, agent, send},
    process::lanekeeper,
};

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

/// A load test with its page, on a free port.
pub(crate) fn page(more: &[&str]) -> (Watching, String) {
    let mut command = lanekeeper(["loadtest", "--web", "--web-listen", "127.0.0.1:0"]);
    command.args(["--warmup", "0"]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim_end().strip_prefix("watching on ").expect("it says where it is").to_owned();
    (Watching(child), url)
}

/// A process that ends with the test.
pub(crate) struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Asks the page of a load test for something.
pub(crate) fn post(url: &str, path: &str, body: &str) -> Reply {
    let json = [("content-type", "application/json")];
    send(&agent(), &format!("{url}{path}"), "POST", (body.as_bytes(), &json))
}

/// What the page of a load test shows.
pub(crate) fn state(url: &str) -> Value {
    send(&agent(), &format!("{url}/api/state"), "GET", (b"", &[])).ok()
}

/// Asks for the state until it is as wanted.
pub(crate) fn wait_for(url: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let state = state(url);
        if is_wanted(&state) {
            return state;
        }
        thread::yield_now();
    }
}
