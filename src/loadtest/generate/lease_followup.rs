//! What follows a lease: its messages are acked, nacked or abandoned, and what the server says to
//! that.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::loadtest::{
    generate::{
        Generator, PlannedRequest,
        lease_work::LeaseFate,
        request::{Asked, HeldLeases},
    },
    load_clock::millis,
    plan::action::Action,
    record::expected_items::Popped,
};

/// A request that follows from an answer.
pub(crate) struct Follow {
    pub(crate) asked: Asked,
    /// When it could be sent first.
    pub(crate) due: u64,
    /// Whether nothing more follows.
    pub(crate) is_last: bool,
}

#[derive(Deserialize)]
struct Leased<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
    #[serde(borrow)]
    lease: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Settled<'a> {
    #[serde(borrow)]
    failed: Vec<Failed<'a>>,
}

#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(borrow)]
    lease: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Redriven {
    moved: u64,
}

impl Generator {
    /// Notes what is about to be sent, where the moment matters.
    pub(crate) fn note_sent(&mut self, asked: &Asked, sent: u64) {
        if asked.action == Action::Nack {
            asked.held.iter().for_each(|held| self.ledger.give_back(held.delivered, sent));
        }
    }

    /// Notes the messages of a lease and decides what becomes of each.
    pub(crate) fn leased(
        &mut self,
        call: &PlannedRequest,
        body: &[u8],
        now: u64,
    ) -> Result<u64, String> {
        let Ok(Leased { messages }) = serde_json::from_slice(body) else {
            self.ledger.cut_leases.push(call.asked.queue);
            return Err("the answer is no list of messages".to_owned());
        };
        self.tally.empty_pops += u64::from(messages.is_empty() && self.is_measured(call.intended));
        let lease = Popped { sent: call.sent, answered: now, queue: call.asked.queue };
        self.ledger.leases.push(lease);
        let until = call.sent + millis(self.plan.scenario.work.ttl_ms);
        let (mut acked, mut nacked) = (Vec::new(), Vec::new());
        for message in &messages {
            let text = message.item.get().as_bytes();
            let item = match self.requests.items.read(text, &mut self.scratch) {
                Ok(item) => item,
                Err(stranger) => {
                    self.ledger.meet(stranger);
                    continue;
                }
            };
            let delivered = self.ledger.deliver(item, until);
            let held = HeldLeases { token: message.lease.clone().into_owned(), delivered };
            match self.plan.scenario.work.fate(&mut self.random) {
                LeaseFate::Acked => acked.push(held),
                LeaseFate::Nacked => nacked.push(held),
                LeaseFate::Abandoned => self.ledger.abandoned += 1,
            }
        }
        self.follow(&call.asked, [(Action::Ack, acked), (Action::Nack, nacked)], now);
        Ok(messages.len() as u64)
    }

    /// Queues the requests that settle leases.
    fn follow(&mut self, lease: &Asked, settling: [(Action, Vec<HeldLeases>); 2], now: u64) {
        let count = settling.iter().filter(|(_, held)| !held.is_empty()).count();
        let wanted = settling.into_iter().filter(|(_, held)| !held.is_empty());
        for (place, (action, held)) in wanted.enumerate() {
            let asked = Asked { action, held, ..lease.clone() };
            self.follows.push_back(Follow { asked, due: now, is_last: place + 1 == count });
        }
    }

    /// Notes which of the leases are settled now.
    pub(crate) fn settled(
        &mut self,
        call: &PlannedRequest,
        body: &[u8],
        now: u64,
    ) -> Result<u64, String> {
        let Ok(Settled { failed }) = serde_json::from_slice(body) else {
            self.unsettled(call);
            return Err("the answer does not say what failed".to_owned());
        };
        let asked = &call.asked;
        let is_good = |held: &&HeldLeases| failed.iter().all(|failed| failed.lease != held.token);
        let good = asked.held.iter().filter(is_good);
        let mut count = 0;
        if asked.action == Action::Ack {
            self.ledger.pop(Popped { sent: call.sent, answered: now, queue: asked.queue });
        }
        for held in good {
            count += 1;
            if asked.action == Action::Ack {
                self.ledger.ack(held.delivered);
            } else {
                self.ledger.nacked += 1;
            }
        }
        match failed.first() {
            Some(failed) => Err(format!("200 with {}", failed.code)),
            None => Ok(count),
        }
    }

    /// Notes that it is not known which of the leases are settled.
    pub(crate) fn unsettled(&mut self, call: &PlannedRequest) {
        if call.asked.action == Action::Ack {
            self.ledger.cut.push((call.asked.queue, call.asked.held.len() as u32));
        }
    }

    pub(crate) fn redriven(&mut self, body: &[u8]) -> Result<u64, String> {
        match serde_json::from_slice::<Redriven>(body) {
            Ok(Redriven { moved }) => {
                self.ledger.redriven += moved;
                Ok(moved)
            }
            Err(_) => {
                self.ledger.cut_redrives += 1;
                Err("the answer does not say how many were moved".to_owned())
            }
        }
    }
}
