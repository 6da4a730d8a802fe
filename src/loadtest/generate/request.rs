//! The bytes of requests.

use std::io::Write;

use crate::loadtest::{
    item::{ItemId, Items},
    plan::{action::Action, run_plan::Plan},
};

/// A leased message, as its worker holds it.
#[derive(Clone, Debug)]
pub(crate) struct HeldLeases {
    /// What settles the lease.
    pub(crate) token: String,
    /// Where the ledger notes its delivery.
    pub(crate) delivered: u32,
}

/// What one request asks, beyond its kind.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The kind of request.
    pub(crate) action: Action,
    /// Which of the run's queues.
    pub(crate) queue: u32,
    /// The item a push carries.
    pub(crate) item: ItemId,
    /// Its priority.
    pub(crate) priority: u32,
    /// Messages a pop or a lease asks for.
    pub(crate) depth: u32,
    /// The leases that are settled.
    pub(crate) held: Vec<HeldLeases>,
}

/// Writes the requests of one run.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    run: String,
    /// What follows the path: everything but the length of the body.
    head: String,
    /// How long leases last, in milliseconds.
    ttl_ms: u64,
    /// The items of the run.
    pub(crate) items: Items,
}

impl Requests {
    /// The requests of a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        let (run, host, ttl_ms) = (plan.run.clone(), &plan.host, plan.scenario.work.ttl_ms);
        let items = Items::new(&run, &plan.scenario.item_bytes);
        let mut head = format!(" HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
        if let Some(token) = &plan.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        head.push_str("Content-Length: ");
        Self { run, head, ttl_ms, items }
    }

    /// Replaces what is in `out` by a request; `body` saves making a buffer each time.
    pub(crate) fn write(&self, asked: &Asked, body: &mut Vec<u8>, out: &mut Vec<u8>) {
        body.clear();
        let (place, verb) = asked.action.place();
        out.clear();
        out.extend_from_slice(b"POST /");
        out.extend_from_slice(place.as_bytes());
        out.push(b'/');
        self.write_queue(asked.queue, out);
        out.push(b'/');
        out.extend_from_slice(verb.as_bytes());
        match asked.action {
            Action::Push => self.push_body(asked, i64::from(asked.priority), body),
            Action::PushBadPriority => self.push_body(asked, -1, body),
            Action::PushBadItem => body.extend_from_slice(br#"{"item":"text","priority":1}"#),
            Action::Publish => {
                body.extend_from_slice(b"{\"class\":\"important\",\"data\":");
                self.items.write(asked.item, body);
                body.push(b'}');
            }
            Action::Pop => query_depth(asked.depth, out),
            Action::PopBadDepth => query_depth(101, out),
            Action::Lease => {
                let (depth, ttl_ms) = (asked.depth, self.ttl_ms);
                write!(body, "{{\"depth\":{depth},\"ttl_ms\":{ttl_ms}}}")
                    .expect("memory takes every byte");
            }
            Action::Ack | Action::Nack => write_leases(&asked.held, body),
            Action::Redrive => body.extend_from_slice(b"{\"depth\":100}"),
        }
        out.extend_from_slice(self.head.as_bytes());
        write!(out, "{}\r\n\r\n", body.len()).expect("memory takes every byte");
        out.extend_from_slice(body);
    }

    fn push_body(&self, asked: &Asked, priority: i64, body: &mut Vec<u8>) {
        body.extend_from_slice(b"{\"item\":");
        self.items.write(asked.item, body);
        write!(body, ",\"priority\":{priority}}}").expect("memory takes every byte");
    }

    fn write_queue(&self, queue: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(queue_name(&self.run, queue).as_bytes());
    }
}

fn query_depth(depth: u32, out: &mut Vec<u8>) {
    write!(out, "?depth={depth}").expect("memory takes every byte");
}

fn write_leases(held: &[HeldLeases], body: &mut Vec<u8>) {
    body.extend_from_slice(b"{\"leases\":[");
    for (place, held) in held.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        write!(body, "{comma}\"{}\"", held.token).expect("memory takes every byte");
    }
    body.extend_from_slice(b"]}");
}

/// The name of one of a run's queues: no other run has one of that name.
pub(crate) fn queue_name(run: &str, queue: u32) -> String {
    format!("loadtest-{run}-{queue}")
}
