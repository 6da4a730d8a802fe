//! A data directory opened by the command itself.

use std::{fmt, future::Future, path::Path, time::Duration};

use lanekeeper::{
    Lanekeeper,
    queue::{Item, NewMessage, QueueCounts},
    wire,
};
use serde_json::value::RawValue;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{
    backend::queues::{Backend, ListOf, Missing, PageOf, PushOf, WorkersOf},
    exit::CommandFailure,
};

/// How long the node may take to be put away.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A node in this process.
pub(crate) struct Embedded {
    runtime: Runtime,
    node: Lanekeeper,
}

impl Embedded {
    /// Opens a data directory.
    pub(crate) fn open(dir: &Path, missing: Missing) -> Result<Self, CommandFailure> {
        if missing == Missing::Refused && !dir.is_dir() {
            let message = format!("{} is no data directory", dir.display());
            return Err(CommandFailure::not_started(message));
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let node = runtime.block_on(Lanekeeper::open(dir)).map_err(CommandFailure::not_started)?;
        Ok(Self { runtime, node })
    }

    /// The node.
    pub(crate) fn node(&self) -> &Lanekeeper {
        &self.node
    }

    /// Waits for an answer.
    pub(crate) fn wait<T, E, F>(&self, answer: F) -> Result<T, CommandFailure>
    where
        E: fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        self.runtime.block_on(answer).map_err(CommandFailure::failed)
    }
}

impl Backend for Embedded {
    fn push(
        &self,
        id: &str,
        items: &[Item],
        terms: &PushOf<'_>,
    ) -> Result<wire::Pushed, CommandFailure> {
        let message = |item| {
            let new = NewMessage::new(item).expect("an item stays an item");
            let mut new = new.priority(terms.priority).delay(terms.delay);
            if let Some(ttl) = terms.ttl {
                new = new.ttl(ttl);
            }
            if let Some(key) = terms.key {
                new = new.key(key);
            }
            new
        };
        let pushed = self.wait(self.node.queue(id).push_all(items.iter().map(message).collect()));
        Ok(wire::Pushed::from(&pushed?[..]))
    }

    fn pop(&self, id: &str, depth: usize, wait: Duration) -> Result<wire::Popped, CommandFailure> {
        let queue = self.node.queue(id);
        let messages = self.wait(async { queue.pop(depth).wait(wait).await })?;
        let payload = |item: &Item| {
            RawValue::from_string(item.as_str().to_owned()).expect("an item is valid JSON")
        };
        let items: Vec<_> = messages.iter().map(|message| payload(&message.item)).collect();
        Ok(wire::Popped { count: items.len(), items })
    }

    fn peek(&self, id: &str, page: &PageOf<'_>) -> Result<wire::Page, CommandFailure> {
        let queue = self.node.queue(id);
        let mut peek = queue.peek(page.depth);
        if let Some(priority) = page.priority {
            peek = peek.priority(priority);
        }
        if let Some(after) = page.after {
            peek = peek.after(after.parse().map_err(CommandFailure::failed)?);
        }
        self.wait(async { peek.await }).map(wire::Page::from)
    }

    fn purge(&self, id: &str, priority: Option<u32>) -> Result<wire::Purged, CommandFailure> {
        self.wait(self.node.queue(id).purge(priority)).map(|purged| wire::Purged { purged })
    }

    fn stats(&self, id: &str) -> Result<wire::Stats, CommandFailure> {
        self.wait(self.node.queue(id).stats()).map(wire::Stats::from)
    }

    fn queues(&self, page: &ListOf<'_>) -> Result<wire::QueueList, CommandFailure> {
        let mut list = self.node.queues().limit(page.limit);
        if let Some(prefix) = page.prefix {
            list = list.prefix(prefix);
        }
        if let Some(after) = page.after {
            list = list.after(after);
        }
        self.wait(async { list.await }).map(wire::QueueList::from)
    }

    fn queue_depths(&self, page: &ListOf<'_>) -> Result<wire::QueueDepths, CommandFailure> {
        let wire::QueueList { queues, count, next } = self.queues(page)?;
        let counts = self.wait(self.node.queue_counts(&queues))?;
        let depth = |(id, counts): (String, QueueCounts)| {
            let QueueCounts { ready, scheduled, leased, dead } = counts;
            wire::QueueDepth { id, ready, scheduled, leased, dead }
        };
        let queues = queues.into_iter().zip(counts).map(depth).collect();
        Ok(wire::QueueDepths { queues, count, next })
    }

    fn heartbeat(
        &self,
        id: &str,
        meta: Option<&Item>,
        life: Option<u64>,
    ) -> Result<wire::Beat, CommandFailure> {
        let mut heartbeat = self.node.worker(id).heartbeat();
        if let Some(meta) = meta {
            heartbeat = heartbeat.meta(meta);
        }
        if let Some(life) = life {
            heartbeat = heartbeat.life(life);
        }
        self.wait(async { heartbeat.await }).map(wire::Beat::from)
    }

    fn deregister(&self, id: &str, life: Option<u64>) -> Result<(), CommandFailure> {
        let worker = self.node.worker(id);
        match life {
            Some(life) => self.wait(worker.deregister_life(life)),
            None => self.wait(worker.deregister()),
        }
    }

    fn workers(&self, page: &WorkersOf<'_>) -> Result<wire::WorkerList, CommandFailure> {
        let mut list = self.node.workers().limit(page.limit);
        if let Some(status) = page.status {
            list = list.status(status);
        }
        if let Some(after) = page.after {
            list = list.after(after);
        }
        self.wait(async { list.await }).map(wire::WorkerList::from)
    }

    fn close(&self) -> Result<(), CommandFailure> {
        self.runtime.block_on(self.node.shutdown(CLOSE_TIMEOUT)).map_err(CommandFailure::failed)
    }
}
