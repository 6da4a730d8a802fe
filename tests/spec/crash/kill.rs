//! `kill -9` of the real binary at random moments under concurrent pushes and pops: nothing
//! acknowledged is lost, doubled, altered or out of order.
//!
//! `KILLS=1000 SEED=7 cargo test --test spec crash_kill` for a longer run.

use std::{
    collections::{HashMap, HashSet},
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde::Deserialize;

const PUSHERS: usize = 4;
const POPPERS: usize = 2;
const POP_DEPTH: usize = 3;

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A server process on a data directory.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lanekeeper"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("it says where it listens");
        Self { process, url: url.to_owned() }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// An item as a pusher made it: exactly this text must come back.
fn item(pusher: usize, number: usize) -> String {
    let padding = "x".repeat((pusher * 31 + number * 17) % 200);
    format!("{{ \"pusher\":{pusher},\"number\": {number},\"padding\":\"{padding}\" }}")
}

#[derive(Deserialize)]
struct Popped<'a> {
    #[serde(borrow)]
    items: Vec<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct Sent {
    pusher: usize,
    number: usize,
    #[serde(rename = "padding")]
    _padding: String,
}

/// What clients know for certain, and what they do not.
#[derive(Default)]
struct Ledger {
    pushed: HashSet<(usize, usize)>,
    maybe_pushed: HashSet<(usize, usize)>,
    popped: HashMap<(usize, usize), usize>,
    /// Pops without an answer: each may have taken as many messages as it asked for.
    pops_unanswered: usize,
}

impl Ledger {
    /// Notes the items of one answer, in order.
    fn note_popped(&mut self, body: &str) -> usize {
        let popped: Popped = serde_json::from_str(body).unwrap();
        let mut last = HashMap::new();
        for raw in &popped.items {
            let sent: Sent = serde_json::from_str(raw.get()).unwrap();
            assert_eq!(raw.get(), item(sent.pusher, sent.number), "an item was altered");
            let times = self.popped.entry((sent.pusher, sent.number)).or_default();
            *times += 1;
            assert_eq!(*times, 1, "{}/{} came twice", sent.pusher, sent.number);
            let before = last.insert(sent.pusher, sent.number);
            assert!(before < Some(sent.number), "pusher {} is out of order", sent.pusher);
        }
        popped.items.len()
    }

    fn check_conservation(&self) {
        for taken in self.popped.keys() {
            let is_known = self.pushed.contains(taken) || self.maybe_pushed.contains(taken);
            assert!(is_known, "{taken:?} was never pushed");
        }
        let missing = self.pushed.iter().filter(|sent| !self.popped.contains_key(sent)).count();
        let allowed = self.pops_unanswered * POP_DEPTH;
        assert!(missing <= allowed, "{missing} lost, {allowed} may be in unanswered pops");
    }
}

/// One life of the server: clients work until it was killed after so many answers.
fn live(server: Server, ledger: &Mutex<Ledger>, next: &[AtomicUsize], answers_until_kill: usize) {
    let (answers, is_dead) = (AtomicUsize::new(0), AtomicBool::new(false));
    let url = server.url.clone();
    let (kill, is_due) = std::sync::mpsc::channel();
    let answered = || {
        if answers.fetch_add(1, Ordering::Relaxed) + 1 == answers_until_kill {
            kill.send(()).unwrap();
        }
    };
    thread::scope(|scope| {
        for (pusher, next) in next.iter().enumerate() {
            let (url, answered, is_dead) = (&url, &answered, &is_dead);
            scope.spawn(move || {
                let agent = ureq::agent();
                while !is_dead.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let body = format!("{{\"item\":{},\"priority\":1}}", item(pusher, number));
                    let sent = agent.post(format!("{url}/queue/q/push")).send(&body);
                    let mut ledger = ledger.lock().unwrap();
                    match sent {
                        Ok(_) => drop(ledger.pushed.insert((pusher, number))),
                        Err(_) => drop(ledger.maybe_pushed.insert((pusher, number))),
                    }
                    drop(ledger);
                    answered();
                }
            });
        }
        for _ in 0..POPPERS {
            scope.spawn(|| {
                let agent = ureq::agent();
                while !is_dead.load(Ordering::Relaxed) {
                    let path = format!("{url}/queue/q/pop?depth={POP_DEPTH}");
                    let answer = agent.post(path).send_empty();
                    let body = answer.and_then(|mut answer| answer.body_mut().read_to_string());
                    let mut ledger = ledger.lock().unwrap();
                    match body {
                        Ok(body) => drop(ledger.note_popped(&body)),
                        Err(_) => ledger.pops_unanswered += 1,
                    }
                    drop(ledger);
                    answered();
                }
            });
        }
        is_due.recv().unwrap();
        server.kill();
        is_dead.store(true, Ordering::Relaxed);
    });
}

fn drain(url: &str, ledger: &mut Ledger) {
    loop {
        let mut answer = ureq::post(format!("{url}/queue/q/pop?depth=100")).send_empty().unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        if ledger.note_popped(&body) == 0 {
            return;
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    let (kills, seed) = (number("KILLS", 50), number("SEED", 9));
    println!("KILLS={kills} SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let data = tempfile::tempdir().unwrap();
    let ledger = Mutex::new(Ledger::default());
    let next: Vec<_> = (0..PUSHERS).map(|_| AtomicUsize::new(0)).collect();
    for kill in 1..=kills {
        live(Server::start(data.path()), &ledger, &next, random.usize(1..150));
        if kill % 10 == 0 {
            let server = Server::start(data.path());
            let mut ledger = ledger.lock().unwrap();
            drain(&server.url, &mut ledger);
            ledger.check_conservation();
            server.kill();
        }
    }
    let ledger = ledger.into_inner().unwrap();
    println!("{} pushed, {} popped", ledger.pushed.len(), ledger.popped.len());
    assert!(ledger.popped.len() as u64 > kills, "hardly anything happened");
}
