//! What the generator of the load test can do: requests per second in the closed model beside a
//! server on the same processors, and how late it is in the open model at 10,000 requests a second
//! against a handler that does nothing.
//!
//! `cargo bench --bench loadtest`; the best of the rounds is judged, since anything else that runs
//! can only make it worse.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

use std::{net::SocketAddr, process::Command, sync::mpsc::channel, thread};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::Value;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;
const TIME: &str = "5s";

/// Requests per second, at least.
const REACH_RATE: f64 = 50_000.0;

/// Milliseconds that 99 of 100 requests are late, at most.
const REACH_LAG: f64 = 1.0;

fn main() {
    println!("{:<34} {:>10} {:>10} {:>10}", "", "best", "median", "reach");
    let closed = ["s1a", "--users", "64", "--durability", "memory"];
    let pushed = rounds(|| rate(&loadtest(&closed)));
    line("closed, verified, requests/s", &pushed, true, REACH_RATE);
    let trivial = trivial().to_string();
    let server = format!("http://{trivial}");
    let open = ["s4a", "--scale", "50", "--no-verify", "--server", &server];
    let (mut late, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let result = loadtest(&open);
        late.push(lag(&result, 0.99));
        rates.push(rate(&result));
    }
    line("open at 10,000/s, lag p99 ms", &late, false, REACH_LAG);
    line("open at 10,000/s, requests/s", &rates, true, 9_900.0);
}

fn rounds(of: impl Fn() -> f64) -> Vec<f64> {
    (0..ROUNDS).map(|_| of()).collect()
}

fn line(name: &str, found: &[f64], is_more_better: bool, reach: f64) {
    let mut found = found.to_vec();
    found.sort_by(f64::total_cmp);
    let best = if is_more_better { found[found.len() - 1] } else { found[0] };
    let is_reached = if is_more_better { best >= reach } else { best <= reach };
    let verdict = if is_reached { "" } else { "  MISSED" };
    println!("{name:<34} {best:>10.2} {:>10.2} {reach:>10.2}{verdict}", found[found.len() / 2]);
}

/// Runs the binary; its only result.
fn loadtest(args: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanekeeper"));
    command.arg("loadtest").args(args).args(["--duration", TIME]).arg("--json").arg(&json);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    file["results"][0].clone()
}

fn rate(result: &Value) -> f64 {
    let figures = result["figures"].as_object().unwrap().values();
    let requests: u64 = figures.map(|figures| figures["requests"].as_u64().unwrap()).sum();
    requests as f64 / result["measured_seconds"].as_f64().unwrap()
}

/// The milliseconds that a part of the requests was late at most.
fn lag(result: &Value, part: f64) -> f64 {
    let buckets = result["lag"].as_array().unwrap();
    let read = |bucket: &Value| (bucket[0].as_u64().unwrap(), bucket[1].as_u64().unwrap());
    let buckets: Vec<_> = buckets.iter().map(read).collect();
    let all: u64 = buckets.iter().map(|bucket| bucket.1).sum();
    let mut passed = 0;
    for (micros, count) in buckets {
        passed += count;
        if passed as f64 >= all as f64 * part {
            return micros as f64 / 1e3;
        }
    }
    0.0
}

/// A server that answers everything alike, on a thread of its own.
fn trivial() -> SocketAddr {
    let (sender, bound) = channel();
    thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let answer = || async {
                let body = r#"{"success":true,"count":0,"ids":[],"items":[]}"#;
                HttpResponse::Ok().content_type("application/json").body(body)
            };
            let server = HttpServer::new(move || App::new().default_service(web::to(answer)));
            let server = server.workers(1).bind("127.0.0.1:0").unwrap();
            sender.send(server.addrs()[0]).unwrap();
            server.run().await.unwrap();
        });
    });
    bound.recv().unwrap()
}
