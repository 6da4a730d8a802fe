//! The bytes of requests.

use std::io::Write;

use super::{
    item::{ItemId, Items},
    scenario::Action,
};

/// What one request asks, beyond its kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The kind of request.
    pub(super) action: Action,
    /// Which of the run's queues.
    pub(super) queue: u32,
    /// The item a push carries.
    pub(super) item: ItemId,
    /// Its priority.
    pub(super) priority: u32,
    /// Messages a pop asks for.
    pub(super) depth: u32,
}

/// Writes the requests of one run.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    run: String,
    /// What follows the path: everything but the length of the body.
    head: String,
    /// The items of the run.
    pub(super) items: Items,
}

impl Requests {
    /// Requests to a server named so in `Host`, with its token if it wants one.
    pub(super) fn new(run: &str, host: &str, token: Option<&str>, items: Items) -> Self {
        let mut head = format!(" HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        head.push_str("Content-Length: ");
        Self { run: run.to_owned(), head, items }
    }

    /// Replaces what is in `out` by a request; `body` saves making a buffer each time.
    pub(super) fn write(&self, asked: &Asked, body: &mut Vec<u8>, out: &mut Vec<u8>) {
        body.clear();
        let (place, verb) = match asked.action {
            Action::Push | Action::PushBadItem | Action::PushBadPriority => ("queue", "push"),
            Action::Pop | Action::PopBadDepth => ("queue", "pop"),
            Action::Publish => ("stream", "publish"),
        };
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

/// The name of one of a run's queues: no other run has one of that name.
pub(super) fn queue_name(run: &str, queue: u32) -> String {
    format!("loadtest-{run}-{queue}")
}
