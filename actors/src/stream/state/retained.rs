//! The last messages of a stream, for those who come late.

use std::{collections::VecDeque, sync::Arc};

use crate::stream::api::event::Message;

/// Bytes of payloads that are kept at most.
const BYTES_MAX: usize = 8 << 20;

/// Messages in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
}

impl Retained {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.messages.iter()
    }

    /// The last messages, so many at most.
    pub(crate) fn last(&self, count: usize) -> impl Iterator<Item = &Arc<Message>> {
        self.messages.iter().skip(self.messages.len().saturating_sub(count))
    }

    /// Keeps a message.
    pub(crate) fn push(&mut self, message: Arc<Message>) {
        self.bytes += message.data.size_bytes();
        self.messages.push_back(message);
    }

    /// Lets go what is too much, the oldest first; answers their numbers.
    pub(crate) fn trim(&mut self, count_max: usize, bytes_max: usize) -> Vec<u64> {
        let (bytes_max, mut gone) = (bytes_max.min(BYTES_MAX), Vec::new());
        while self.messages.len() > count_max || self.bytes > bytes_max {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= oldest.data.size_bytes();
            gone.push(oldest.seq);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{queue::api::item::Item, stream::api::priority_class::Class};

    #[test]
    fn the_oldest_go_by_count_and_by_bytes() {
        let mut retained = Retained::default();
        let data = Item::from_json(format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20)));
        let data = data.expect("an object");
        for seq in 1..=10 {
            retained.push(Arc::new(Message::new(Class::Bulk, seq, data.clone())));
        }
        assert_eq!(retained.trim(9, usize::MAX), [1, 2, 3]);
        assert_eq!(retained.last(2).map(|message| message.seq).collect::<Vec<_>>(), [9, 10]);
        assert_eq!(retained.trim(9, 5 * data.size_bytes()), [4, 5]);
        assert_eq!(retained.trim(1, usize::MAX).len(), 4);
        assert_eq!(retained.bytes(), data.size_bytes());
    }
}
