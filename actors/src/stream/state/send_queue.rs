//! What waits for one subscriber, and where something is missing in it.

use std::sync::Arc;

use crate::stream::{
    api::{
        event::{Gap, Message, StreamEvent},
        priority_class::{Class, PerClass},
    },
    state::class_queue::{ClassPushed, ClassQueue},
};

/// A class queue that knows of each class where messages were lost: before which of those that
/// wait, or behind the last.
#[derive(Debug)]
pub(crate) struct SendQueue {
    queue: ClassQueue<WaitingMessage>,
    lost_last: PerClass<u64>,
}

#[derive(Debug)]
struct WaitingMessage {
    message: Arc<Message>,
    /// Messages of its class that were lost between the one before it and itself.
    lost_before: u64,
}

/// What became of a message that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    Queued,
    /// Queued in the place of one of this class.
    Replaced(Class),
    Refused,
    Overflowed,
}

impl SendQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { queue: ClassQueue::new(capacity), lost_last: PerClass::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Messages that wait, of one class.
    pub(crate) fn len_of(&self, class: Class) -> usize {
        self.queue.len_of(class)
    }

    pub(crate) fn offer(&mut self, message: Arc<Message>) -> Offered {
        let class = message.class;
        let lost_before = *self.lost_last.of(class);
        match self.queue.push(class, WaitingMessage { message, lost_before }) {
            ClassPushed::Queued => {
                *self.lost_last.of_mut(class) = 0;
                Offered::Queued
            }
            ClassPushed::Replaced(victim, evicted) => {
                *self.lost_last.of_mut(class) = 0;
                self.lose_first(victim, evicted.lost_before + 1);
                Offered::Replaced(victim)
            }
            ClassPushed::Refused(_) => {
                self.lose_last(class);
                Offered::Refused
            }
            ClassPushed::Overflowed(_) => Offered::Overflowed,
        }
    }

    /// Notes that a message was lost that was not even offered.
    pub(crate) fn lose_last(&mut self, class: Class) {
        *self.lost_last.of_mut(class) += 1;
    }

    fn lose_first(&mut self, class: Class, count: u64) {
        match self.queue.first_mut(class) {
            Some(first) => first.lost_before += count,
            None => *self.lost_last.of_mut(class) += count,
        }
    }

    /// The number up to which nothing waits; `None` if a gap waits.
    pub(crate) fn given_through(&self) -> Option<u64> {
        let mut through = u64::MAX;
        for class in Class::ALL {
            match self.queue.first(class) {
                Some(first) if first.lost_before > 0 => return None,
                Some(first) => through = through.min(first.message.seq - 1),
                None if *self.lost_last.of(class) > 0 => return None,
                None => {}
            }
        }
        Some(through)
    }

    /// Takes what is next: a gap before the message it precedes.
    pub(crate) fn take(&mut self) -> Option<StreamEvent> {
        for class in Class::ALL {
            let lost = match self.queue.first_mut(class) {
                Some(first) => &mut first.lost_before,
                None => self.lost_last.of_mut(class),
            };
            if let count @ 1.. = std::mem::take(lost) {
                return Some(StreamEvent::Gap(Gap { class, count }));
            }
            if let Some(waiting) = self.queue.pop_of(class) {
                return Some(StreamEvent::Message(waiting.message));
            }
        }
        None
    }

    /// Forgets everything; answers how many messages waited.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.queue.len();
        self.queue.clear();
        self.lost_last = PerClass::default();
        count
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    use crate::queue::api::item::Item;

    fn message(class: Class, seq: u64) -> Arc<Message> {
        Arc::new(Message::new(class, seq, Item::from_json("{}").expect("an object")))
    }

    fn seqs(send_queue: &mut SendQueue) -> Vec<String> {
        let text = |event| match event {
            StreamEvent::Message(message) => format!("{}", message.seq),
            StreamEvent::Gap(gap) => format!("{}:{}", gap.class, gap.count),
            StreamEvent::Notice(notice) => panic!("{notice:?}"),
        };
        std::iter::from_fn(|| send_queue.take()).map(text).collect()
    }

    #[test]
    fn a_gap_stands_where_the_messages_are_missing() {
        let mut send_queue = SendQueue::new(3);
        let classes = [Class::Bulk, Class::Bulk, Class::Important, Class::Important, Class::Bulk];
        for (seq, class) in (0..).zip(classes) {
            let _ = send_queue.offer(message(class, seq));
        }
        assert_eq!(seqs(&mut send_queue), ["2", "3", "bulk:1", "1", "bulk:1"]);
        let _ = send_queue.offer(message(Class::Bulk, 9));
        assert_eq!(seqs(&mut send_queue), ["9"], "a gap is told once");
    }

    #[test]
    fn gaps_that_meet_are_one() {
        let mut send_queue = SendQueue::new(2);
        for seq in 0..6 {
            let _ = send_queue.offer(message(Class::Critical, seq));
        }
        assert_eq!(seqs(&mut send_queue), ["critical:4", "4", "5"]);
        for seq in 6..9 {
            let _ = send_queue.offer(message(Class::Bulk, seq));
        }
        let _ = send_queue.offer(message(Class::Important, 9));
        let _ = send_queue.offer(message(Class::Important, 10));
        assert_eq!(seqs(&mut send_queue), ["9", "10", "bulk:3"]);
    }

    /// What a class of a subscriber must see: its messages in order, the lost ones as gaps.
    #[derive(Default)]
    struct Expected {
        /// Numbers published and not yet seen or told of.
        pending: VecDeque<u64>,
    }

    #[test]
    fn nothing_is_lost_silently_whatever_happens() {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..300 {
            history(&mut random);
        }
    }

    fn history(random: &mut fastrand::Rng) {
        let mut send_queue = SendQueue::new(random.usize(1..12));
        let mut expected: [Expected; 4] = Default::default();
        let (mut published, mut delivered, mut evicted, mut refused) = (0, 0, 0, 0);
        let mut told = 0;
        let drift = random.u8(1..9);
        for seq in 0..400 {
            let class = Class::ALL[random.usize(..4)];
            if random.u8(..10) < drift {
                published += 1;
                match send_queue.offer(message(class, seq)) {
                    Offered::Queued => {}
                    Offered::Replaced(_) => evicted += 1,
                    Offered::Refused => refused += 1,
                    Offered::Overflowed => unreachable!("far fewer control messages are sent"),
                }
                expected[class as usize].pending.push_back(seq);
            } else if let Some(event) = send_queue.take() {
                see(event, &mut expected, &mut delivered, &mut told);
            }
            assert_eq!(published, delivered + evicted + refused + send_queue.len() as u64);
        }
        while let Some(event) = send_queue.take() {
            see(event, &mut expected, &mut delivered, &mut told);
        }
        assert_eq!(published, delivered + evicted + refused);
        assert_eq!(told, evicted + refused, "every loss is told, once");
        assert!(expected.iter().all(|class| class.pending.is_empty()));
    }

    fn see(event: StreamEvent, expected: &mut [Expected; 4], delivered: &mut u64, told: &mut u64) {
        match event {
            StreamEvent::Message(message) => {
                let next = expected[message.class as usize].pending.pop_front();
                assert_eq!(next, Some(message.seq), "in order, and nothing left out untold");
                *delivered += 1;
            }
            StreamEvent::Gap(Gap { class, count }) => {
                *told += count;
                for _ in 0..count {
                    assert!(expected[class as usize].pending.pop_front().is_some());
                }
            }
            StreamEvent::Notice(notice) => panic!("{notice:?}"),
        }
    }
}
