//! What an answer, or none, means for the figures and for what is known of items.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        answer::{Answer, problem_code},
        connection::Loss,
        ledger::{Outcome, Popped},
        scenario::Action,
    },
    Call, Generator,
};

#[derive(Deserialize)]
struct Items<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

impl Generator {
    /// Judges an answer.
    pub(super) fn answered(&mut self, place: usize, call: &Call, answer: &Answer, now: u64) {
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
    }

    fn pushed(&mut self, call: &Call, now: u64) -> u64 {
        self.settle(call, Outcome::Kept, now);
        1
    }

    fn settle(&mut self, call: &Call, outcome: Outcome, now: u64) {
        if self.plan.is_verified {
            self.ledger.settle(call.asked.item.number, outcome, now);
        }
    }

    fn popped(&mut self, call: &Call, body: &[u8], now: u64) -> Result<u64, String> {
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
    fn refusal(&mut self, call: &Call, status: u16, body: &[u8], now: u64) -> String {
        let code = problem_code(body);
        let is_known = status != 500 && code.is_some();
        let code = code.unwrap_or("without a code");
        match call.asked.action {
            Action::Push => {
                let outcome = if is_known { Outcome::Refused } else { Outcome::Unknown };
                let answered = if is_known { now } else { u64::MAX };
                self.settle(call, outcome, answered);
            }
            Action::Publish if !is_known => self.ledger.published.1 += 1,
            Action::Pop if !is_known => self.ledger.cut.push((call.asked.queue, call.asked.depth)),
            _ => {}
        }
        format!("{status} {code}")
    }

    /// No answer came: what was sent may have happened.
    pub(super) fn lost(&mut self, call: &Call, loss: &Loss, now: u64) {
        match call.asked.action {
            Action::Push if !loss.was_sent => self.settle(call, Outcome::Refused, now),
            Action::Publish if loss.was_sent => self.ledger.published.1 += 1,
            Action::Pop if loss.was_sent => {
                self.ledger.cut.push((call.asked.queue, call.asked.depth));
            }
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
