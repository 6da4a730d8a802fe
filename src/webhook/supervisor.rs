//! One dispatcher for each sink there is, told when its sink changes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use lanekeeper_actors::queue::{QueueError, Sink, SinkChange};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use crate::webhook::{dispatcher, runner::RunnerState};

/// Sinks read together.
const PAGE: usize = 1_000;
/// How long to wait before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps a dispatcher for every sink, until it is to stop; returns once nothing is under way.
pub(crate) async fn supervise(shared: Arc<RunnerState>, mut stopping: watch::Receiver<bool>) {
    // Before the first look: what changes after it must not be missed.
    let mut changes = shared.node.sink_changes();
    let mut couriers = Couriers { shared, at_work: HashMap::new(), tasks: JoinSet::new() };
    let mut has_seen_all = false;
    loop {
        if !has_seen_all {
            has_seen_all = couriers.look_at_all().await.inspect_err(warn).is_ok();
        }
        let looked = tokio::select! {
            // An error says that nobody is left to wait for.
            _ = stopping.changed() => break,
            () = tokio::time::sleep(RETRY), if !has_seen_all => Ok(()),
            change = changes.next() => match change {
                Some(SinkChange::Of(queue)) => couriers.look_at(&queue).await,
                // Its dispatcher stands in the line of the queue.
                Some(SinkChange::Resumed(_)) => Ok(()),
                Some(SinkChange::Missed(_)) => {
                    has_seen_all = false;
                    Ok(())
                }
                None => break,
            },
            Some(ended) = couriers.tasks.join_next() => match ended {
                Ok(queue) => couriers.look_at(&queue).await,
                Err(error) => {
                    report(&error);
                    has_seen_all = false;
                    Ok(())
                }
            },
        };
        let filled = couriers.fill_places().await.inspect_err(warn);
        has_seen_all &= looked.inspect_err(warn).is_ok() && filled.is_ok();
    }
    couriers.stop().await;
}

struct Couriers {
    shared: Arc<RunnerState>,
    /// What the dispatcher of each queue was told last.
    at_work: HashMap<String, watch::Sender<Option<Sink>>>,
    tasks: JoinSet<String>,
}

impl Couriers {
    async fn look_at_all(&mut self) -> Result<(), QueueError> {
        let (mut found, mut after) = (HashSet::new(), None::<String>);
        loop {
            let mut list = self.shared.node.sinks().limit(PAGE);
            if let Some(after) = &after {
                list = list.after(after);
            }
            let page = list.await?;
            for (queue, sink) in page.sinks {
                self.tell(&queue, Some(sink));
                found.insert(queue);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let is_gone = |queue: &&String| !found.contains(*queue);
        let mut gone: Vec<String> = self.at_work.keys().filter(is_gone).cloned().collect();
        gone.extend(self.shared.counters.waiting().iter().filter(is_gone).cloned());
        for queue in gone {
            // It may have come after the page it would be on.
            self.look_at(&queue).await?;
        }
        Ok(())
    }

    async fn look_at(&mut self, queue: &str) -> Result<(), QueueError> {
        let sink = self.shared.node.queue(queue).sink().await?;
        self.tell(queue, sink);
        Ok(())
    }

    /// Lets sinks that wait take the places that have become free, the first by id first.
    async fn fill_places(&mut self) -> Result<(), QueueError> {
        while self.has_place() {
            let first = self.shared.counters.waiting().first().cloned();
            let Some(queue) = first else { break };
            self.look_at(&queue).await?;
        }
        Ok(())
    }

    fn has_place(&self) -> bool {
        self.at_work.len() < self.shared.sinks_max
    }

    /// Tells the dispatcher of a queue, if that is news; one that is missing begins if there is a
    /// place for it, and waits for one otherwise.
    fn tell(&mut self, queue: &str, sink: Option<Sink>) {
        let dispatcher = self.at_work.get(queue).filter(|told| !told.is_closed());
        match dispatcher {
            Some(told) => {
                told.send_if_modified(|current| {
                    let is_news = *current != sink;
                    *current = sink;
                    is_news
                });
            }
            None if sink.is_some() && !self.at_work.contains_key(queue) && !self.has_place() => {
                if self.shared.counters.waiting().insert(queue.to_owned()) {
                    let sinks_max = self.shared.sinks_max;
                    tracing::warn!(queue, sinks_max, "its sink waits: there are too many");
                }
            }
            None if sink.is_some() => {
                let (told, news) = watch::channel(sink);
                let shared = Arc::clone(&self.shared);
                let address = shared.node.queue(queue);
                self.tasks.spawn(dispatcher::run(shared, address, news));
                self.at_work.insert(queue.to_owned(), told);
                self.shared.counters.waiting().remove(queue);
            }
            None => {
                self.at_work.remove(queue);
                self.shared.counters.waiting().remove(queue);
            }
        }
    }

    /// Ends every dispatcher once what it has under way has ended.
    async fn stop(mut self) {
        for told in self.at_work.values() {
            told.send_replace(None);
        }
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_or_else(|error| report(&error), drop);
        }
    }
}

fn warn(error: &QueueError) {
    tracing::warn!(%error, "sinks could not be read: tried again");
}

fn report(error: &JoinError) {
    tracing::error!(%error, "the delivery of a sink ended: begun again");
}
