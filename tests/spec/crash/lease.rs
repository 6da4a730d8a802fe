//! `kill -9` of the real binary while workers lease, ack and nack: no message whose ack was
//! answered ever comes back, and none that was not acked is lost.
//!
//! `KILLS=200 SEED=7 cargo test --test spec crash_lease` for a longer run.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::process::{Serving, lanekeeper};

const PUSHERS: usize = 2;
const WORKERS: usize = 3;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn serve(data: &Path) -> Serving {
    let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data);
    Serving::start(command)
}

/// Posts JSON; `None` if no answer came, or a refusal.
fn post(agent: &ureq::Agent, url: &str, body: &Value) -> Option<Value> {
    let answer = agent.post(url).send(body.to_string()).ok()?;
    serde_json::from_str(&answer.into_body().read_to_string().ok()?).ok()
}

/// What clients know for certain, and what they do not.
#[derive(Default)]
struct Ledger {
    pushed: HashSet<u64>,
    maybe_pushed: HashSet<u64>,
    acked: HashSet<u64>,
    maybe_acked: HashSet<u64>,
    leased_count: u64,
}

impl Ledger {
    /// Notes the messages of one lease: number and token.
    fn note_leased(&mut self, answer: &Value) -> Vec<(u64, String)> {
        let messages = answer["messages"].as_array().unwrap();
        let leased: Vec<_> = messages
            .iter()
            .map(|message| {
                let number = message["item"]["n"].as_u64().unwrap();
                (number, message["lease"].as_str().unwrap().to_owned())
            })
            .collect();
        for (number, _) in &leased {
            self.leased_count += 1;
            assert!(!self.acked.contains(number), "{number} was acked and came back");
            let is_known = self.pushed.contains(number) || self.maybe_pushed.contains(number);
            assert!(is_known, "{number} was never pushed");
        }
        leased
    }

    /// Notes which of these leases an ack settled; of those without an answer nobody knows.
    fn note_acked(&mut self, sent: &[(u64, String)], answer: Option<&Value>) {
        let Some(answer) = answer else {
            return self.maybe_acked.extend(sent.iter().map(|(number, _)| *number));
        };
        let failed = answer["failed"].as_array().cloned().unwrap_or_default();
        let failed: HashSet<_> = failed.iter().map(|failure| failure["lease"].clone()).collect();
        for (number, lease) in sent {
            if !failed.contains(&json!(lease)) {
                let is_first = self.acked.insert(*number);
                assert!(is_first || self.maybe_acked.contains(number), "{number} was acked twice");
            }
        }
    }
}

struct Life<'a> {
    url: String,
    ledger: &'a Mutex<Ledger>,
    next: &'a AtomicUsize,
    answers: AtomicUsize,
    is_dead: AtomicBool,
}

impl Life<'_> {
    fn push(&self) {
        let agent = ureq::agent();
        while !self.is_dead.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed) as u64;
            let mut ledger = self.ledger.lock().unwrap();
            ledger.maybe_pushed.insert(number);
            drop(ledger);
            let body = json!({"item": {"n": number}, "priority": number % 3});
            if post(&agent, &format!("{}/queue/q/push", self.url), &body).is_some() {
                self.ledger.lock().unwrap().pushed.insert(number);
            }
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn work(&self, mut random: fastrand::Rng) {
        let agent = ureq::agent();
        let url = |verb: &str| format!("{}/queue/q/{verb}", self.url);
        while !self.is_dead.load(Ordering::Relaxed) {
            let body = json!({"depth": random.u32(1..4), "ttl_ms": 4_000, "wait_ms": 20});
            let Some(answer) = post(&agent, &url("lease"), &body) else { continue };
            let leased = self.ledger.lock().unwrap().note_leased(&answer);
            self.answers.fetch_add(1, Ordering::Relaxed);
            if leased.is_empty() {
                continue;
            }
            let tokens: Vec<_> = leased.iter().map(|(_, lease)| lease).collect();
            match random.u32(0..10) {
                0 => {}
                1..3 => drop(post(&agent, &url("nack"), &json!({"leases": tokens}))),
                _ => {
                    let answer = post(&agent, &url("ack"), &json!({"leases": tokens}));
                    self.ledger.lock().unwrap().note_acked(&leased, answer.as_ref());
                }
            }
        }
    }
}

/// Takes all that is left, leases that the dead left behind included.
fn drain(url: &str, ledger: &mut Ledger) -> HashMap<u64, u32> {
    let agent = ureq::agent();
    let mut left = HashMap::new();
    loop {
        let body = json!({"depth": 100, "wait_ms": 500});
        let answer = post(&agent, &format!("{url}/queue/q/lease"), &body).unwrap();
        let leased = ledger.note_leased(&answer);
        if leased.is_empty() {
            let mut stats = ureq::get(format!("{url}/queue/q/stats")).call().unwrap();
            let stats: Value =
                serde_json::from_str(&stats.body_mut().read_to_string().unwrap()).unwrap();
            let held = ["ready", "leased", "scheduled"].map(|state| stats[state].as_u64().unwrap());
            if held == [0; 3] {
                return left;
            }
            continue;
        }
        for (number, _) in &leased {
            *left.entry(*number).or_insert(0) += 1;
        }
        let tokens: Vec<_> = leased.iter().map(|(_, lease)| lease).collect();
        let answer = post(&agent, &format!("{url}/queue/q/ack"), &json!({"leases": tokens}));
        ledger.note_acked(&leased, answer.as_ref());
    }
}

#[test]
fn what_was_acked_never_comes_back_and_what_was_not_is_not_lost() {
    let (kills, seed) = (number("KILLS", 12), number("SEED", 11));
    println!("KILLS={kills} SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let data = tempfile::tempdir().unwrap();
    let (ledger, next) = (Mutex::new(Ledger::default()), AtomicUsize::new(0));
    for _ in 0..kills {
        let server = serve(data.path());
        let life = Life {
            url: server.url.clone(),
            ledger: &ledger,
            next: &next,
            answers: AtomicUsize::new(0),
            is_dead: AtomicBool::new(false),
        };
        let answers_until_kill = random.usize(20..300);
        thread::scope(|scope| {
            for _ in 0..PUSHERS {
                scope.spawn(|| life.push());
            }
            for _ in 0..WORKERS {
                let random = random.fork();
                scope.spawn(|| life.work(random));
            }
            while life.answers.load(Ordering::Relaxed) < answers_until_kill {
                thread::yield_now();
            }
            server.signal(Signal::KILL);
            life.is_dead.store(true, Ordering::Relaxed);
        });
        drop(server.wait());
    }
    let server = serve(data.path());
    let mut ledger = ledger.into_inner().unwrap();
    let left = drain(&server.url, &mut ledger);
    assert!(left.values().all(|times| *times == 1), "one comes twice: {left:?}");
    let is_lost =
        |number: &&u64| !ledger.acked.contains(number) && !ledger.maybe_acked.contains(number);
    let lost: Vec<_> = ledger.pushed.iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "{lost:?} are lost");
    println!(
        "{} pushed, {} acked, {} leases",
        ledger.pushed.len(),
        ledger.acked.len(),
        ledger.leased_count
    );
    assert!(ledger.acked.len() as u64 > kills, "hardly anything happened");
}
