//! Filling one queue of a server with any number of items, as often resumed as need be.

use std::time::Instant;

use serde::Deserialize;

use crate::loadtest::{
    fill::prepopulate::Filling,
    target::{
        Subject,
        client::{Client, ClientError},
    },
};

/// Items in one push, and bytes.
const BATCH_ITEMS: u64 = 1_000;
const BATCH_BYTES: usize = 4 << 20;

/// What a queue is filled with.
#[derive(Clone, Debug)]
pub(crate) struct Bulk {
    /// The queue.
    pub(crate) id: String,
    /// Items there are to be.
    pub(crate) count: u64,
    /// Priorities they have in turn, from 0 on; with one, it is 1.
    pub(crate) priorities: u64,
    /// Bytes of each.
    pub(crate) item_bytes: usize,
}

/// Why a queue is not filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BulkError {
    /// The server refused or was lost; a second try goes on where this one ended.
    #[error("{0}; run it again to continue")]
    Client(#[from] ClientError),
    /// Something else pushed to it or took from it: nobody can tell what is missing.
    #[error(
        "queue {id} is used by others: {pushed} messages were pushed and {ready} are ready; use \
         another queue"
    )]
    Used {
        /// The queue.
        id: String,
        /// Messages ever pushed.
        pushed: u64,
        /// Messages there.
        ready: u64,
    },
}

#[derive(Deserialize)]
struct Stats {
    ready: u64,
    pushed: u64,
}

#[derive(Deserialize)]
struct Accepted {
    count: u64,
}

impl Bulk {
    /// Pushes what is missing and answers how many are there then, as the server counts them.
    ///
    /// Each batch is accepted whole or not at all, and each item follows from its number: whatever
    /// ended an earlier try, this one goes on after the last batch that was accepted.
    ///
    /// # Errors
    /// [`BulkError`].
    pub(crate) fn fill(
        &self,
        target: &Subject,
        mut tell: impl FnMut(Filling),
    ) -> Result<u64, BulkError> {
        let mut client = Client::new(target.addr, &target.host, target.token());
        let stats_path = format!("/queue/{}/stats", self.id);
        let push_path = format!("/queue/{}/push", self.id);
        let Stats { ready, pushed } = client.ask("GET", &stats_path, b"")?;
        if ready != pushed {
            return Err(BulkError::Used { id: self.id.clone(), pushed, ready });
        }
        let began = Instant::now();
        let mut next = pushed;
        while next < self.count {
            let accepted: Accepted = client.post(&push_path, &self.batch(next))?;
            next += accepted.count;
            let (done, total) = (next - pushed, self.count - pushed);
            tell(Filling { done, total, elapsed: began.elapsed() });
        }
        let Stats { ready, .. } = client.ask("GET", &stats_path, b"")?;
        Ok(ready)
    }

    /// The push of the items from a number on.
    fn batch(&self, first: u64) -> Vec<u8> {
        let mut body = b"{\"items\":[".to_vec();
        let mut number = first;
        while number < self.count.min(first + BATCH_ITEMS) && body.len() < BATCH_BYTES {
            let priority = if self.priorities == 1 { 1 } else { number % self.priorities };
            let comma = if number == first { "" } else { "," };
            let head = format!("{comma}{{\"priority\":{priority},\"item\":");
            body.extend_from_slice(head.as_bytes());
            let begin = body.len();
            body.extend_from_slice(format!("{{\"number\":{number},\"pad\":\"").as_bytes());
            let used = body.len() - begin + 2;
            body.resize(body.len() + self.item_bytes.saturating_sub(used), b'x');
            body.extend_from_slice(b"\"}}");
            number += 1;
        }
        body.extend_from_slice(b"]}");
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_items_of_the_size_and_ends_with_the_count() {
        let bulk = Bulk { id: "q".to_owned(), count: 1_500, priorities: 3, item_bytes: 200 };
        for (first, expected) in [(0, 1_000), (1_000, 500)] {
            let body: serde_json::Value = serde_json::from_slice(&bulk.batch(first)).unwrap();
            let items = body["items"].as_array().unwrap();
            assert_eq!(items.len(), expected);
            assert_eq!(items[1]["item"].to_string().len(), 200);
            assert_eq!(items[1]["priority"], (first + 1) % 3);
        }
    }
}
