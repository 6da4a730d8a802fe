//! What a client does: one request after the other, each noted in the ledger.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Life, ledger::Ledger};

const OWNERS: usize = 6;
const PERMITS: u64 = 3;

pub(super) struct Client<'a> {
    pub(super) life: &'a Life<'a>,
    agent: ureq::Agent,
    random: fastrand::Rng,
}

/// What came of a request.
enum Answer {
    Done(Value),
    /// Refused with a status and its problem.
    Refused(u16, Value),
    /// Nobody knows.
    None,
}

fn send(agent: &ureq::Agent, method: &str, url: &str, body: Option<&Value>) -> Answer {
    let request = ureq::http::Request::builder().method(method).uri(url);
    let answer = match body {
        Some(body) => agent.run(request.body(body.to_string()).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    };
    let Ok(mut answer) = answer else { return Answer::None };
    let status = answer.status().as_u16();
    let Ok(text) = answer.body_mut().read_to_string() else { return Answer::None };
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    if status < 300 { Answer::Done(value) } else { Answer::Refused(status, value) }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .new_agent()
}

/// The numbers of messages in an answer, with their leases.
fn messages(answer: &Value) -> Vec<(u64, Value)> {
    let messages = answer["messages"].as_array().unwrap().iter();
    messages
        .map(|message| (message["item"]["n"].as_u64().unwrap(), message["lease"].clone()))
        .collect()
}

impl<'a> Client<'a> {
    pub(super) fn new(life: &'a Life<'a>, random: fastrand::Rng) -> Self {
        Self { life, agent: agent(), random }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        send(&self.agent, method, &format!("{}{path}", self.life.url), body)
    }

    fn ledger(&self) -> std::sync::MutexGuard<'a, Ledger> {
        self.life.ledger.lock().unwrap()
    }

    /// One to five messages: some urgent, some delayed, some with a key, which is pushed again.
    pub(super) fn push(&mut self) {
        let count = self.random.usize(1..=5);
        let numbers: Vec<_> = (0..count).map(|_| self.ledger().number()).collect();
        let is_keyed = self.random.u8(..4) == 0;
        let item = |number: &u64| {
            let mut item = json!({"item": {"n": number}, "priority": number % 4});
            if number.is_multiple_of(7) {
                item["delay_ms"] = json!(number % 300);
            }
            if is_keyed {
                item["key"] = json!(format!("k{number}"));
            }
            item
        };
        let body = json!({"items": numbers.iter().map(item).collect::<Vec<_>>()});
        let mut answer = self.ask("POST", "/queue/q/push", Some(&body));
        if is_keyed && matches!(answer, Answer::Done(_)) {
            answer = self.ask("POST", "/queue/q/push", Some(&body));
        }
        if let Answer::Done(done) = answer {
            let ids: Vec<String> = serde_json::from_value(done["ids"].clone()).unwrap();
            assert_eq!(ids.len(), numbers.len(), "{done}");
            for (number, id) in numbers.into_iter().zip(ids) {
                self.ledger().note_pushed(number, id);
            }
        }
    }

    pub(super) fn pop(&mut self) {
        let depth = self.random.usize(1..=3);
        match self.ask("POST", &format!("/queue/q/pop?depth={depth}&detail=true&wait_ms=20"), None)
        {
            Answer::Done(done) => {
                let mut ledger = self.ledger();
                for (number, _) in messages(&done) {
                    ledger.note_seen(number);
                    ledger.note_gone(number);
                }
            }
            Answer::Refused(..) => {}
            Answer::None => self.ledger().note_unanswered_pop(depth),
        }
    }

    /// Leases, perhaps extends, and then acks, nacks, dead-letters or abandons.
    pub(super) fn work(&mut self) {
        let body = json!({"depth": 3, "ttl_ms": 1000, "wait_ms": 20, "worker": "w1"});
        let Answer::Done(leased) = self.ask("POST", "/queue/q/lease", Some(&body)) else { return };
        let leased = messages(&leased);
        leased.iter().for_each(|(number, _)| self.ledger().note_seen(*number));
        let leases: Vec<_> = leased.iter().map(|(_, lease)| lease.clone()).collect();
        if leases.is_empty() {
            return;
        }
        match self.random.u8(..8) {
            0 => drop(self.settle("nack", &json!({"leases": leases, "delay_ms": 50}))),
            1 => drop(self.settle("nack", &json!({"leases": leases, "reason": "no"}))),
            2 => drop(self.settle("dead-letter", &json!({"leases": leases, "reason": "bad"}))),
            3 => {}
            4 => {
                drop(self.settle("extend", &json!({"leases": leases, "ttl_ms": 2000})));
                self.ack(&leased, &leases);
            }
            _ => self.ack(&leased, &leases),
        }
    }

    fn settle(&self, verb: &str, body: &Value) -> Answer {
        self.ask("POST", &format!("/queue/q/{verb}"), Some(body))
    }

    fn ack(&self, leased: &[(u64, Value)], leases: &[Value]) {
        let answer = self.settle("ack", &json!({"leases": leases}));
        let mut ledger = self.ledger();
        match answer {
            Answer::Done(done) => {
                let failed = done["failed"].as_array().cloned().unwrap_or_default();
                let has_failed = |lease| failed.iter().any(|failure| &failure["lease"] == lease);
                for (number, _) in leased.iter().filter(|(_, lease)| !has_failed(lease)) {
                    ledger.note_gone(*number);
                }
            }
            Answer::Refused(status, problem) if status >= 500 => panic!("{problem}"),
            Answer::Refused(..) => {}
            Answer::None => leased.iter().for_each(|(number, _)| ledger.note_maybe_gone(*number)),
        }
    }

    /// Cancels, redrives, purges another queue, pauses, changes settings, beats, publishes, looks.
    pub(super) fn look_after(&mut self) {
        match self.random.u8(..9) {
            0 | 1 => self.cancel(),
            2 => drop(self.ask("POST", "/queue/q/redrive", None)),
            3 => {
                drop(self.ask("POST", "/queue/other/push", Some(&json!({"item": {}}))));
                drop(self.ask("POST", "/queue/other/purge", None));
            }
            4 => {
                drop(self.ask("POST", "/queue/q/pause", Some(&json!({"pop": true}))));
                drop(self.ask("POST", "/queue/q/resume", None));
            }
            5 => {
                let config = json!({"lease_ttl_ms": 1000 + self.random.u64(..1000)});
                drop(self.ask("PUT", "/queue/q/config", Some(&config)));
            }
            6 => drop(self.ask("POST", "/worker/w1/heartbeat", None)),
            7 => {
                drop(self.ask(
                    "PUT",
                    "/stream/s/config",
                    Some(&json!({"retain": 5, "persist": true})),
                ));
                let body = json!({"class": "critical", "data": {"n": self.random.u64(..)}});
                drop(self.ask("POST", "/stream/s/publish", Some(&body)));
            }
            _ => {
                for path in ["/queue/q/stats", "/queue/q/peek?depth=10", "/queues", "/workers"] {
                    drop(self.ask("GET", path, None));
                }
            }
        }
    }

    fn cancel(&mut self) {
        let Some((number, id)) = self.ledger().id_near(self.random.u64(..)) else { return };
        match self.ask("DELETE", &format!("/queue/q/message/{id}"), None) {
            Answer::Done(_) => self.ledger().note_gone(number),
            Answer::Refused(..) => {}
            Answer::None => self.ledger().note_maybe_gone(number),
        }
    }

    /// Acquires and releases permits of a gate; who was told that it holds one does.
    pub(super) fn hold(&mut self) {
        let owner = format!("o{}", self.random.usize(..OWNERS));
        let (is_held, is_known) = {
            let ledger = self.ledger();
            (ledger.holders.contains(&owner), !ledger.maybe_holders.contains(&owner))
        };
        drop(self.ask("PUT", "/gate/g/policy", Some(&json!({"max_concurrent": PERMITS}))));
        if is_held && is_known {
            let ticket = self.ask("GET", &format!("/gate/g/ticket/{owner}"), None);
            if let Answer::Done(ticket) = ticket {
                assert_eq!(ticket["state"], "granted", "{owner} has lost its permit");
            } else if let Answer::Refused(404, problem) = ticket {
                panic!("{owner} has lost its permit: {problem}");
            }
        }
        if self.random.bool() {
            let answer = self.ask("POST", "/gate/g/release", Some(&json!({"owner": owner})));
            self.note_permit(
                &owner,
                match answer {
                    Answer::Done(_) => Some(false),
                    Answer::Refused(..) => return,
                    Answer::None => None,
                },
            );
        } else {
            // A wait of no time: whoever is not let in stands in no line.
            let body = json!({"owner": owner, "timeout_ms": 0});
            let answer = self.ask("POST", "/gate/g/acquire", Some(&body));
            self.note_permit(
                &owner,
                match answer {
                    Answer::Done(_) => Some(true),
                    Answer::Refused(..) => return,
                    Answer::None => None,
                },
            );
        }
    }

    fn note_permit(&self, owner: &str, is_held: Option<bool>) {
        let mut ledger = self.ledger();
        ledger.maybe_holders.remove(owner);
        ledger.holders.remove(owner);
        match is_held {
            Some(true) => drop(ledger.holders.insert(owner.to_owned())),
            Some(false) => {}
            None => drop(ledger.maybe_holders.insert(owner.to_owned())),
        }
        assert!(ledger.holders.len() as u64 <= PERMITS, "{:?} all hold one", ledger.holders);
    }
}

/// Brings everything out of the queue, once, in the order of its state: dead letters are redriven,
/// leases and delays are waited for.
pub(super) fn drain(url: &str, ledger: &mut Ledger) {
    let agent = agent();
    let done = |method: &str, path: &str| match send(&agent, method, &format!("{url}{path}"), None)
    {
        Answer::Done(done) => done,
        Answer::Refused(_, problem) => panic!("{path}: {problem}"),
        Answer::None => panic!("{path} was not answered"),
    };
    done("POST", "/queue/q/resume");
    loop {
        done("POST", "/queue/q/redrive");
        let popped = messages(&done("POST", "/queue/q/pop?depth=100&detail=true&wait_ms=200"));
        for (number, _) in &popped {
            ledger.note_seen(*number);
            ledger.note_gone(*number);
        }
        let stats = done("GET", "/queue/q/stats");
        let left = ["ready", "scheduled", "leased"].map(|state| stats[state].as_u64().unwrap());
        let dead = done("GET", "/queue/q-deadletter/stats")["ready"].as_u64().unwrap();
        if popped.is_empty() && left == [0; 3] && dead == 0 {
            break;
        }
    }
    ledger.check_conservation();
    let gate = done("GET", "/gate/g/stats");
    assert!(gate["active_count"].as_u64().unwrap() <= PERMITS, "{gate}");
}
