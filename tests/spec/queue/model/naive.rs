//! The simplest queue: a list of messages, looked through for every question.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use lanekeeper_actors::queue::{
    LeaseError, LeaseToken, MessageId, MessageState, OnExpire, OnFull, QueueConfig,
};

/// How many happened of everything that ends a message's life here, or begins it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) pushed: u64,
    pub(crate) received: u64,
    pub(crate) popped: u64,
    pub(crate) acked: u64,
    pub(crate) nacked: u64,
    pub(crate) expired: u64,
    pub(crate) dropped: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) cancelled: u64,
    pub(crate) purged: u64,
    pub(crate) evicted: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Life {
    Ready,
    /// Until then; whether everything else waits with it.
    Scheduled {
        until: SystemTime,
        is_holding: bool,
    },
    Leased {
        until: SystemTime,
        token: Option<LeaseToken>,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) number: u64,
    pub(crate) priority: u32,
    pub(crate) life: Life,
    pub(crate) deliveries: u32,
    pub(crate) expires_at: Option<SystemTime>,
}

/// The queue, and its dead letters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naive {
    pub(crate) config: QueueConfig,
    pub(crate) messages: Vec<Message>,
    /// Numbers and priorities.
    pub(crate) dead: Vec<(u64, u32)>,
    pub(crate) keys: BTreeMap<String, (MessageId, SystemTime)>,
    /// What became of those that are gone, if not done.
    pub(crate) endings: BTreeMap<MessageId, MessageState>,
    /// The number of the message that each key was pushed with last.
    pub(crate) owners: BTreeMap<String, u64>,
    pub(crate) counts: Counts,
    /// What a queue in memory falls back to: what it had counted when it entered memory.
    pub(crate) floor: Option<Counts>,
}

impl Naive {
    pub(crate) fn state_of(&self, id: MessageId) -> MessageState {
        match self.messages.iter().find(|message| message.id == id).map(|found| &found.life) {
            Some(Life::Ready) => MessageState::Ready,
            Some(Life::Scheduled { .. }) => MessageState::Scheduled,
            Some(Life::Leased { .. }) => MessageState::Leased,
            None => self.endings.get(&id).copied().unwrap_or(MessageState::Done),
        }
    }

    /// What is ready, in pop order.
    pub(crate) fn ready(&self) -> Vec<&Message> {
        let mut ready: Vec<_> =
            self.messages.iter().filter(|message| message.life == Life::Ready).collect();
        ready.sort_by_key(|message| (message.priority, message.id));
        ready
    }

    pub(crate) fn count(&self, state: MessageState) -> u64 {
        self.messages.iter().filter(|message| self.state_of(message.id) == state).count() as u64
    }

    /// Takes the first messages that are alive out of the ready ones; those passed over whose time
    /// to live has ended go their way.
    pub(crate) fn take(&mut self, depth: usize, now: SystemTime) -> Vec<Message> {
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

    pub(crate) fn remove(&mut self, id: MessageId) -> Message {
        // A lease names its message by where it is; the arrival stays.
        let index = self.messages.iter().position(|own| arrival(own.id) == arrival(id));
        self.messages.swap_remove(index.expect("the message is there"))
    }

    /// Whether an exclusive queue gives nothing for now.
    pub(crate) fn is_locked(&self) -> bool {
        let locks = |message: &Message| match message.life {
            Life::Ready => false,
            Life::Scheduled { is_holding, .. } => is_holding,
            Life::Leased { .. } => true,
        };
        self.config.exclusive && self.messages.iter().any(locks)
    }

    /// How long a key is remembered.
    pub(crate) fn window(&self) -> Duration {
        self.config.dedup_window.unwrap_or(Duration::from_secs(300))
    }

    /// The priorities of those that are no repetitions, of messages with these keys.
    pub(crate) fn newcomers(&self, keyed: &[(u32, Option<String>)], now: SystemTime) -> Vec<u32> {
        let is_known = |key: &String| self.keys.get(key).is_some_and(|(_, end)| *end > now);
        let (mut seen, mut newcomers) = (Vec::new(), Vec::new());
        for (priority, key) in keyed {
            let key = key.as_ref().filter(|_| !self.window().is_zero());
            if key.is_none_or(|key| !is_known(key) && !seen.contains(&key)) {
                newcomers.push(*priority);
                seen.extend(key);
            }
        }
        newcomers
    }

    /// Makes room for newcomers of these priorities, or refuses them.
    pub(crate) fn admit(&mut self, newcomers: &[u32]) -> bool {
        let Some(capacity) = self.config.capacity else { return true };
        let room = (capacity as usize).saturating_sub(self.messages.len());
        let excess = newcomers.len().saturating_sub(room);
        let mut ready: Vec<_> =
            self.ready().iter().map(|found| (found.priority, found.id)).collect();
        if excess == 0 {
            return true;
        }
        let Some(kept) = ready.len().checked_sub(excess) else { return false };
        let victims = ready.split_off(kept);
        let least_urgent = newcomers.iter().copied().max();
        if self.config.on_full == OnFull::Reject
            || victims.iter().any(|(priority, _)| Some(*priority) <= least_urgent)
        {
            return false;
        }
        for (_, id) in victims {
            self.remove(id);
            self.endings.insert(id, MessageState::Evicted);
            self.counts.evicted += 1;
        }
        true
    }

    /// A dead letter has come back: its key, if it is remembered as that, leads there.
    pub(crate) fn come_back(&mut self, number: u64, id: MessageId, now: SystemTime) {
        for (key, (own, forget_at)) in &mut self.keys {
            let is_dead = self.endings.get(own) == Some(&MessageState::Dead);
            if self.owners.get(key) == Some(&number) && is_dead && *forget_at > now {
                *own = id;
            }
        }
    }

    /// A message that was taken out unused gives its key back.
    pub(crate) fn free_key(&mut self, id: MessageId) {
        self.keys.retain(|_, (own, _)| *own != id);
    }

    /// The node has ended: what was in memory is gone.
    pub(crate) fn reopen(&mut self) {
        if let Some(counts) = self.floor {
            self.messages.clear();
            self.keys.clear();
            self.endings.clear();
            self.counts = counts;
        }
    }

    /// Whether a token is good.
    pub(crate) fn judge(&self, token: LeaseToken, now: SystemTime) -> Result<(), LeaseError> {
        let own = arrival(token.message_id());
        match self
            .messages
            .iter()
            .find(|message| arrival(message.id) == own)
            .map(|found| &found.life)
        {
            None => Err(LeaseError::NotFound),
            Some(Life::Leased { until, token: Some(own) }) if *own == token && *until > now => {
                Ok(())
            }
            Some(_) => Err(LeaseError::Expired),
        }
    }

    /// The lease of a message ends without success.
    pub(crate) fn give_back(
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
            let scheduled =
                Life::Scheduled { until: now + delay, is_holding: self.config.exclusive };
            message.life = if delay.is_zero() { Life::Ready } else { scheduled };
            self.messages.push(message);
        }
    }

    pub(crate) fn bury(&mut self, message: &Message) {
        self.counts.dead_lettered += 1;
        self.dead.push((message.number, message.priority));
        self.endings.insert(message.id, MessageState::Dead);
    }

    fn expire(&mut self, message: &Message) {
        self.counts.expired += 1;
        match self.config.on_expire {
            OnExpire::Drop => {
                self.counts.dropped += 1;
                self.endings.insert(message.id, MessageState::Expired);
            }
            OnExpire::DeadLetter => self.bury(message),
        }
    }

    /// What happens by itself until now.
    pub(crate) fn fall_due(&mut self, now: SystemTime) {
        let ids: Vec<_> = self.messages.iter().map(|message| message.id).collect();
        for id in ids {
            let found = self.messages.iter().find(|message| message.id == id);
            let message = found.expect("nothing else takes it").clone();
            let is_expired = message.expires_at.is_some_and(|end| end <= now);
            match message.life {
                Life::Leased { until, .. } if until <= now => {
                    let message = self.remove(id);
                    self.counts.expired += 1;
                    self.give_back(message, Duration::ZERO, true, now);
                }
                Life::Ready | Life::Scheduled { .. } if is_expired => {
                    let message = self.remove(id);
                    self.expire(&message);
                }
                Life::Scheduled { until, .. } if until <= now => {
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
    pub(crate) fn check_conservation(&self) {
        let Counts { pushed, received, popped, acked, dropped, .. } = self.counts;
        let Counts { dead_lettered, cancelled, purged, evicted, .. } = self.counts;
        let gone = popped + acked + dropped + dead_lettered + cancelled + purged + evicted;
        assert_eq!(pushed + received, gone + self.messages.len() as u64);
    }
}

fn arrival(id: MessageId) -> String {
    id.to_string()[..16].to_owned()
}
