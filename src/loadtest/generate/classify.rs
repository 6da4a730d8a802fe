//! What an answer, or none, means for the figures and for what is known of items.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::loadtest::{
    generate::{
        Generator, PlannedRequest,
        connection::Loss,
        response_head::{ResponseHead, problem_code},
    },
    plan::{action::Action, scenario::Fault},
    record::expected_items::{ItemOutcome, Popped},
};

/// How long a server may take to notice that its disk has space again.
const RETURN: u64 = 2_000_000_000;

#[derive(Deserialize)]
struct Items<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

impl Generator {
    /// Judges an answer; true if whoever asked goes on to something else.
    pub(crate) fn answered(
        &mut self,
        place: usize,
        call: &PlannedRequest,
        answer: &ResponseHead,
        now: u64,
    ) -> bool {
        let follows = self.follows.len();
        // The body stays where it is; taking the connection's buffer for a while would cost more.
        let line = self.pool.line(place);
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        body.extend_from_slice(line.connection.body(answer));
        let judged = match (call.asked.action, answer.status) {
            (Action::Push, 200) => Ok(self.pushed(call, now)),
            (Action::Publish, 200) => {
                self.ledger.published.0 += 1;
                Ok(1)
            }
            (Action::Pop, 200) => self.popped(call, &body, now),
            (Action::Lease, 200) => self.leased(call, &body, now),
            (Action::Ack | Action::Nack, 200) => self.settled(call, &body, now),
            (Action::Redrive, 200) => self.redriven(&body),
            (Action::Push, 507) if self.is_full_disk_right(call, &body) => {
                self.settle(call, ItemOutcome::Refused, now);
                self.tally.turned_away += u64::from(self.is_measured(call.intended));
                Ok(0)
            }
            (action, 400) if action.refusal().is_some() => refused(action, &body),
            (_, status) => Err(self.refusal(call, status, &body, now)),
        };
        if self.is_measured(call.intended) {
            let nanos = now.saturating_sub(call.intended);
            match judged {
                Ok(messages) => {
                    let count = self.tally.count(call.asked.action, nanos);
                    count.bytes += body.len() as u64;
                    count.messages += messages;
                }
                Err(reason) => self.tally.fail(call.asked.action, nanos, reason),
            }
        }
        self.body = body;
        call.is_last && self.follows.len() == follows
    }

    /// Whether a disk that is full is what the scenario is about, and has no space yet.
    fn is_full_disk_right(&self, call: &PlannedRequest, body: &[u8]) -> bool {
        let is_back = |moment: u64| call.sent > moment + RETURN;
        self.plan.scenario.fault == Some(Fault::Disk)
            && problem_code(body) == Some("disk_full")
            && !self.control.space_at().is_some_and(is_back)
    }

    fn pushed(&mut self, call: &PlannedRequest, now: u64) -> u64 {
        self.settle(call, ItemOutcome::Kept, now);
        1
    }

    fn settle(&mut self, call: &PlannedRequest, outcome: ItemOutcome, now: u64) {
        if self.plan.is_verified {
            self.ledger.settle(call.asked.item.number, outcome, now);
        }
    }

    fn popped(&mut self, call: &PlannedRequest, body: &[u8], now: u64) -> Result<u64, String> {
        let Ok(answer) = serde_json::from_slice::<Items<'_>>(body) else {
            self.ledger.cut.push((call.asked.queue, call.asked.depth));
            return Err("the answer is no list of items".to_owned());
        };
        if answer.items.is_empty() {
            self.tally.empty_pops += u64::from(self.is_measured(call.intended));
        } else if self.plan.is_verified {
            self.ledger.pop(Popped { sent: call.sent, answered: now, queue: call.asked.queue });
            for item in &answer.items {
                let item = self.requests.items.read(item.get().as_bytes(), &mut self.scratch);
                self.ledger.take(item);
            }
        }
        Ok(answer.items.len() as u64)
    }

    /// A refusal changed nothing; a failure of the server is none, and neither is what is not its
    /// own answer.
    fn refusal(&mut self, call: &PlannedRequest, status: u16, body: &[u8], now: u64) -> String {
        let code = problem_code(body);
        let is_known = status != 500 && code.is_some();
        let code = code.unwrap_or("without a code");
        match call.asked.action {
            Action::Push => {
                let outcome = if is_known { ItemOutcome::Refused } else { ItemOutcome::Unknown };
                let answered = if is_known { now } else { u64::MAX };
                self.settle(call, outcome, answered);
            }
            _ if !is_known => self.unknown(call),
            _ => {}
        }
        format!("{status} {code}")
    }

    /// No answer came: what was sent may have happened.
    pub(crate) fn lost(&mut self, call: &PlannedRequest, loss: &Loss, now: u64) {
        match call.asked.action {
            Action::Push if !loss.was_sent => self.settle(call, ItemOutcome::Refused, now),
            _ if loss.was_sent => self.unknown(call),
            _ => {}
        }
    }

    /// Notes what may have happened.
    fn unknown(&mut self, call: &PlannedRequest) {
        let (queue, depth) = (call.asked.queue, call.asked.depth);
        match call.asked.action {
            Action::Publish => self.ledger.published.1 += 1,
            Action::Pop => self.ledger.cut.push((queue, depth)),
            Action::Lease => self.ledger.cut_leases.push(queue),
            Action::Ack => self.unsettled(call),
            Action::Redrive => self.ledger.cut_redrives += 1,
            _ => {}
        }
    }
}

/// Whether a refusal that was provoked is the right one.
fn refused(action: Action, body: &[u8]) -> Result<u64, String> {
    let code = problem_code(body).unwrap_or("no code");
    if action.refusal() == Some(code) {
        Ok(0)
    } else {
        Err(format!("400 {code} and not {}", action.refusal().unwrap_or_default()))
    }
}
