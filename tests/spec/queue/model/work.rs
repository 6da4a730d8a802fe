//! What is done with leases and dead letters in a history.

use std::time::Duration;

use lanekeeper_actors::queue::{
    LeaseError, LeaseToken, NackOptions, QueueError, Redrive, SettledLeases,
};

use crate::{
    queue::model::{
        history::{History, MESSAGES_MAX, number_of},
        naive::{Life, Message},
    },
    support::node::settling,
};

impl History {
    pub(crate) async fn lease(&mut self) {
        let (depth, ttl) = (self.random.usize(1..5), Duration::from_secs(1) + self.span(20));
        let (now, queue) = (self.now(), self.queue());
        if self.naive.is_locked() {
            let leased = queue.lease(depth).await;
            return assert!(matches!(leased, Err(QueueError::Locked { .. })), "{leased:?}");
        }
        let expected = self.naive.take(depth, now);
        let leases = queue.lease(depth).ttl(ttl).worker("w1").await.unwrap();
        assert_eq!(leases.len(), expected.len());
        for (lease, mut message) in leases.into_iter().zip(expected) {
            message.deliveries += 1;
            assert_eq!(lease.expires_at(), now + ttl);
            let (leased, token) = lease.detach();
            assert_eq!(
                (leased.id, number_of(&leased.item), leased.deliveries),
                (message.id, message.number, message.deliveries)
            );
            message.life = Life::Leased { until: now + ttl, token: Some(token) };
            self.naive.messages.push(message);
            self.tokens.push(token);
        }
    }

    /// Some tokens, most of them fresh; and which of them should be good.
    fn some_tokens(&mut self) -> (Vec<LeaseToken>, Vec<LeaseToken>, Vec<(LeaseToken, LeaseError)>) {
        let recent = self.tokens.len().min(12);
        let mut chosen = Vec::new();
        for _ in 0..self.random.usize(1..4) {
            let back = if self.random.u8(..) < 230 { recent } else { self.tokens.len() };
            if back > 0 {
                chosen.push(self.tokens[self.tokens.len() - 1 - self.random.usize(0..back)]);
            }
        }
        let (mut good, mut failed) = (Vec::new(), Vec::new());
        for &token in &chosen {
            match self.naive.judge(token, self.clock.now()) {
                Ok(()) if good.contains(&token) => failed.push((token, LeaseError::NotFound)),
                Ok(()) => good.push(token),
                Err(error) => failed.push((token, error)),
            }
        }
        (chosen, good, failed)
    }

    fn leave(&mut self, good: &[LeaseToken]) -> Vec<Message> {
        good.iter().map(|token| self.naive.remove(token.message_id())).collect()
    }

    pub(crate) async fn ack(&mut self) {
        let (tokens, good, failed) = self.some_tokens();
        if tokens.is_empty() {
            return;
        }
        let settled = self.queue().ack(&tokens).await.unwrap();
        assert_eq!(settled, SettledLeases { count: good.len(), failed });
        self.naive.counts.acked += self.leave(&good).len() as u64;
    }

    pub(crate) async fn nack(&mut self) {
        let (tokens, good, failed) = self.some_tokens();
        if tokens.is_empty() {
            return;
        }
        let delay = if self.random.bool() { Duration::ZERO } else { self.span(10) };
        let is_counted = self.random.u8(..) < 200;
        let options = NackOptions { delay, is_counted, ..NackOptions::default() };
        let (now, settled) = (self.now(), self.queue().nack(&tokens, options).await.unwrap());
        assert_eq!(settled, SettledLeases { count: good.len(), failed });
        for message in self.leave(&good) {
            self.naive.counts.nacked += 1;
            self.naive.give_back(message, delay, is_counted, now);
        }
        self.node.settle_duties().await.unwrap();
        self.naive.fall_due(self.clock.now());
    }

    pub(crate) async fn extend(&mut self) {
        let (tokens, good, failed) = self.some_tokens();
        if tokens.is_empty() {
            return;
        }
        let ttl = Duration::from_secs(1) + self.span(30);
        let extended = self.queue().extend(&tokens, Some(ttl)).await.unwrap();
        assert_eq!((&extended.extended, extended.failed), (&good, failed));
        assert_eq!(extended.expires_at, self.now() + ttl);
        for mut message in self.leave(&good) {
            let Life::Leased { until, .. } = &mut message.life else { unreachable!() };
            *until = extended.expires_at;
            self.naive.messages.push(message);
        }
    }

    pub(crate) async fn dead_letter(&mut self) {
        let (tokens, good, failed) = self.some_tokens();
        if tokens.is_empty() {
            return;
        }
        // The answer waits for the letters, which only the duties deliver.
        let queue = self.queue();
        let settled = settling(&self.node, queue.dead_letter(&tokens, "broken")).await;
        assert_eq!(settled.unwrap(), SettledLeases { count: good.len(), failed });
        for message in self.leave(&good) {
            self.naive.bury(&message);
        }
        self.naive.fall_due(self.clock.now());
    }

    pub(crate) async fn redrive(&mut self) {
        if self.naive.messages.len() + self.naive.dead.len() > 2 * MESSAGES_MAX {
            return;
        }
        let count = self.random.usize(1..5).min(self.naive.dead.len());
        let queue = self.queue();
        let moved = settling(&self.node, queue.redrive(Redrive::First(count.max(1)))).await;
        assert_eq!(moved.unwrap(), count as u64);
        self.naive.fall_due(self.clock.now());
        // Which of them came back is looked up: dead letters have an order of their own.
        let left = self.dead_numbers().await;
        let (stay, back): (Vec<_>, Vec<_>) =
            self.naive.dead.iter().copied().partition(|(number, _)| left.contains(number));
        assert_eq!(back.len(), count);
        self.naive.dead = stay;
        let known: Vec<_> = self.naive.messages.iter().map(|message| message.id).collect();
        let now = self.now();
        for message in self.all_ready().await {
            if known.contains(&message.id) {
                continue;
            }
            let number = number_of(&message.item);
            assert!(back.contains(&(number, message.priority)), "{number} came from nowhere");
            assert_eq!((message.deliveries, &message.dead_letter), (0, &None));
            let expires_at = self.naive.config.message_ttl.map(|ttl| now + ttl);
            let (id, priority, life) = (message.id, message.priority, Life::Ready);
            self.naive.counts.received += 1;
            self.naive.come_back(number, id, now);
            let message = Message { id, number, priority, life, deliveries: 0, expires_at };
            self.naive.messages.push(message);
        }
    }
}
