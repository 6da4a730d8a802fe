//! The simplest queue: a list of messages, looked through for every question.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use lanekeeper_actors::queue::{
    LeaseError, LeaseToken, MessageId, MessageState, OnExpire, QueueConfig,
};

/// How many happened of everything that ends a message's life here, or begins it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) pushed: u64,
    pub(super) received: u64,
    pub(super) popped: u64,
    pub(super) acked: u64,
    pub(super) nacked: u64,
    pub(super) expired: u64,
    pub(super) dropped: u64,
    pub(super) dead_lettered: u64,
    pub(super) cancelled: u64,
    pub(super) purged: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Life {
    Ready,
    Scheduled(SystemTime),
    Leased { until: SystemTime, token: Option<LeaseToken> },
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) number: u64,
    pub(super) priority: u32,
    pub(super) life: Life,
    pub(super) deliveries: u32,
    pub(super) expires_at: Option<SystemTime>,
}

/// The queue, and its dead letters.
#[derive(Clone, Debug, Default)]
pub(super) struct Naive {
    pub(super) config: QueueConfig,
    pub(super) messages: Vec<Message>,
    /// Numbers and priorities.
    pub(super) dead: Vec<(u64, u32)>,
    pub(super) keys: BTreeMap<String, (MessageId, SystemTime)>,
    pub(super) counts: Counts,
    /// When the node was opened.
    pub(super) opened_at: Option<SystemTime>,
}

impl Naive {
    pub(super) fn state_of(&self, id: MessageId) -> MessageState {
        match self.messages.iter().find(|message| message.id == id).map(|found| &found.life) {
            Some(Life::Ready) => MessageState::Ready,
            Some(Life::Scheduled(_)) => MessageState::Scheduled,
            Some(Life::Leased { .. }) => MessageState::Leased,
            None => MessageState::Done,
        }
    }

    /// What is ready, in pop order.
    pub(super) fn ready(&self) -> Vec<&Message> {
        let mut ready: Vec<_> =
            self.messages.iter().filter(|message| message.life == Life::Ready).collect();
        ready.sort_by_key(|message| (message.priority, message.id));
        ready
    }

    pub(super) fn count(&self, state: MessageState) -> u64 {
        self.messages.iter().filter(|message| self.state_of(message.id) == state).count() as u64
    }

    /// Takes the first messages that are alive out of the ready ones; those passed over whose time
    /// to live has ended go their way.
    pub(super) fn take(&mut self, depth: usize, now: SystemTime) -> Vec<Message> {
        let mut taken = Vec::new();
        while taken.len() < depth {
            let Some(first) = self.ready().first().map(|message| message.id) else { break };
            let message = self.remove(first);
            if message.expires_at.is_some_and(|end| end <= now) {
                self.expire(&message);
            } else {
                taken.push(message);
            }
        }
        taken
    }

    pub(super) fn remove(&mut self, id: MessageId) -> Message {
        let index = self.messages.iter().position(|message| message.id == id);
        self.messages.swap_remove(index.expect("the message is there"))
    }

    /// Whether a token is good.
    pub(super) fn judge(&self, token: LeaseToken, now: SystemTime) -> Result<(), LeaseError> {
        let id = token.message_id();
        match self.messages.iter().find(|message| message.id == id).map(|found| &found.life) {
            None => Err(LeaseError::NotFound),
            Some(Life::Leased { until, token: Some(own) }) if *own == token && *until > now => {
                Ok(())
            }
            Some(_) => Err(LeaseError::Expired),
        }
    }

    /// The lease of a message ends without success.
    pub(super) fn give_back(
        &mut self,
        mut message: Message,
        delay: Duration,
        is_counted: bool,
        now: SystemTime,
    ) {
        if !is_counted {
            message.deliveries -= 1;
        }
        let is_too_often =
            self.config.max_deliveries.is_some_and(|most| message.deliveries >= most);
        if is_counted && is_too_often {
            self.bury(&message);
        } else if message.expires_at.is_some_and(|end| end <= now) {
            self.expire(&message);
        } else {
            message.life = if delay.is_zero() { Life::Ready } else { Life::Scheduled(now + delay) };
            self.messages.push(message);
        }
    }

    pub(super) fn bury(&mut self, message: &Message) {
        self.counts.dead_lettered += 1;
        self.dead.push((message.number, message.priority));
    }

    fn expire(&mut self, message: &Message) {
        self.counts.expired += 1;
        match self.config.on_expire {
            OnExpire::Drop => self.counts.dropped += 1,
            OnExpire::DeadLetter => self.bury(message),
        }
    }

    /// What happens by itself until now.
    pub(super) fn fall_due(&mut self, now: SystemTime) {
        let ids: Vec<_> = self.messages.iter().map(|message| message.id).collect();
        for id in ids {
            let found = self.messages.iter().find(|message| message.id == id);
            let message = found.expect("nothing else takes it").clone();
            let is_expired = message.expires_at.is_some_and(|end| end <= now);
            match message.life {
                Life::Leased { until, .. } if until <= now => {
                    let message = self.remove(id);
                    self.counts.expired += 1;
                    let is_counted = self.opened_at.is_none_or(|opened_at| until > opened_at);
                    self.give_back(message, Duration::ZERO, is_counted, now);
                }
                Life::Ready | Life::Scheduled(_) if is_expired => {
                    let message = self.remove(id);
                    self.expire(&message);
                }
                Life::Scheduled(ready_at) if ready_at <= now => {
                    let mut message = self.remove(id);
                    message.life = Life::Ready;
                    self.messages.push(message);
                }
                _ => {}
            }
        }
        self.keys.retain(|_, (_, forget_at)| *forget_at > now);
    }

    /// Every message that ever came is somewhere, or went where it is counted.
    pub(super) fn check_conservation(&self) {
        let Counts { pushed, received, popped, acked, dropped, .. } = self.counts;
        let Counts { dead_lettered, cancelled, purged, .. } = self.counts;
        let gone = popped + acked + dropped + dead_lettered + cancelled + purged;
        assert_eq!(pushed + received, gone + self.messages.len() as u64);
    }
}
