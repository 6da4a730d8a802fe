//! Where the messages of a queue are delivered to: kept here, delivered by whoever watches.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use lanekeeper_storage::{Durability, LoadError, key, record::SinkRecord};
use tokio::sync::broadcast;

use crate::{
    actor::virtual_actor::{Handler, Request},
    node::{
        lifecycle::Node,
        list::{List, Listed, PageOptions},
    },
    queue::{
        actor::QueueActor,
        api::{config::LEASE_TTL, error::QueueError, handle::Queue},
        listing::ids::read_durable,
    },
    runtime::{kind_settings::KindSettings, shared_state::Runtime, turn::Turn},
};

/// Bytes of an address at most.
const URL_BYTES_MAX: usize = 2_048;
/// Deliveries under way at once at most.
const CONCURRENCY_MAX: u32 = 100;
/// Changes that a watcher may fall behind by before it has to look at all sinks again.
const BACKLOG_MAX: usize = 1_024;

/// The webhook of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// The address, 1 to 2,048 bytes. Whoever delivers says what an address is.
    pub url: String,
    /// Deliveries under way at once at most: 1 to 100, 5 by default.
    pub concurrency_max: u32,
    /// How long a delivery may take, and whoever takes a message over: 1 s to 12 h, 30 s by
    /// default.
    pub lease_ttl: Duration,
    /// Headers that are sent with each message. Whoever delivers says what they may be.
    pub headers: SinkHeaders,
}

/// Headers of a sink, by their names, which are lower case. Their values may be secrets: `Debug`
/// shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SinkHeaders(BTreeMap<String, String>);

impl SinkHeaders {
    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for SinkHeaders {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(headers: I) -> Self {
        let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
        Self(headers.into_iter().map(lower).collect())
    }
}

impl fmt::Debug for SinkHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Bytes of the headers of one sink at most, names and values together.
const HEADER_BYTES_MAX: usize = 16 << 10;

impl Sink {
    /// A sink at this address, the rest as it is by default.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            concurrency_max: 5,
            lease_ttl: Duration::from_secs(30),
            headers: SinkHeaders::default(),
        }
    }

    /// Sends this header with each message too; one of the same name is replaced.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.0.insert(name.to_ascii_lowercase(), value.into());
        self
    }

    /// Whether it is within its bounds; whether the address is one, nobody here can say.
    ///
    /// # Errors
    /// [`QueueError::InvalidSink`].
    pub fn check(&self) -> Result<(), QueueError> {
        let bytes = self.url.len();
        if !(1..=URL_BYTES_MAX).contains(&bytes) {
            let (field, bound) = ("url", "1 to 2048 bytes long");
            return Err(QueueError::InvalidSink { field, bound, found: bytes as u64 });
        }
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency_max) {
            let (field, found) = ("max_concurrency", self.concurrency_max.into());
            return Err(QueueError::InvalidSink { field, bound: "from 1 to 100", found });
        }
        if !(LEASE_TTL.0..=LEASE_TTL.1).contains(&self.lease_ttl) {
            let (field, found) = ("lease_ttl_ms", millis(self.lease_ttl));
            let bound = "from 1000 (1 s) to 43200000 (12 h)";
            return Err(QueueError::InvalidSink { field, bound, found });
        }
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > HEADER_BYTES_MAX {
            let (field, bound) = ("headers", "up to 16384 bytes long together");
            return Err(QueueError::InvalidSink { field, bound, found: bytes as u64 });
        }
        Ok(())
    }
}

impl From<SinkRecord> for Sink {
    fn from(record: SinkRecord) -> Self {
        let SinkRecord { url, concurrency_max, lease_ttl_ms, headers } = record;
        let (lease_ttl, headers) =
            (Duration::from_millis(lease_ttl_ms), headers.into_iter().collect());
        Self { url, concurrency_max, lease_ttl, headers }
    }
}

impl From<Sink> for SinkRecord {
    fn from(sink: Sink) -> Self {
        let lease_ttl_ms = millis(sink.lease_ttl);
        let headers = sink.headers.0.into_iter().collect();
        Self { url: sink.url, concurrency_max: sink.concurrency_max, lease_ttl_ms, headers }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Deliver to this sink from now on, or to none.
struct ReplaceSink {
    sink: Option<Sink>,
    /// The node's durability.
    node: Durability,
}

/// Say where the messages are delivered to.
struct ReadSink;

impl Request for ReplaceSink {
    /// Whether there was one before.
    type Reply = Result<bool, QueueError>;
}

impl Handler<ReplaceSink> for QueueActor {
    async fn handle(
        &mut self,
        ReplaceSink { sink, node }: ReplaceSink,
        turn: &mut Turn<'_, Self>,
    ) -> Result<bool, QueueError> {
        let key = key::sink(&turn.id().key);
        let was_there = turn.store().get(&key)?.is_some();
        match sink {
            Some(sink) => {
                self.create(turn);
                turn.lasting_at(node).put(key, SinkRecord::from(sink).encode());
            }
            None if was_there => turn.lasting_at(node).delete(key),
            None => return Ok(false),
        }
        tell(turn, SinkChange::Of);
        Ok(was_there)
    }
}

impl Request for ReadSink {
    type Reply = Result<Option<Sink>, QueueError>;
}

impl Handler<ReadSink> for QueueActor {
    async fn handle(
        &mut self,
        ReadSink: ReadSink,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Option<Sink>, QueueError> {
        let record = turn.store().get(&key::sink(&turn.id().key))?;
        let record = record.map(|record| SinkRecord::decode(&record)).transpose();
        Ok(record.map_err(LoadError::from)?.map(Sink::from))
    }
}

impl Queue {
    /// Has the messages delivered there from now on, restarts included, by whoever
    /// [delivers](Node::sink_changes) for this node.
    ///
    /// # Errors
    /// [`QueueError::InvalidSink`].
    pub async fn set_sink(&self, sink: Sink) -> Result<(), QueueError> {
        sink.check()?;
        self.replace_sink(Some(sink)).await.map(drop)
    }

    /// Where the messages are delivered to, if they are.
    ///
    /// # Errors
    /// The common ones.
    pub async fn sink(&self) -> Result<Option<Sink>, QueueError> {
        self.ask(ReadSink).await?
    }

    /// Ends the delivery: what is under way is finished, nothing new begins. Answers whether there
    /// was one.
    ///
    /// # Errors
    /// The common ones.
    pub async fn remove_sink(&self) -> Result<bool, QueueError> {
        self.replace_sink(None).await
    }

    async fn replace_sink(&self, sink: Option<Sink>) -> Result<bool, QueueError> {
        let node = self.runtime().options.durability;
        self.ask(ReplaceSink { sink, node }).await?
    }
}

/// The list of a node's sinks, in the order of their queues' ids. Await it.
pub type ListSinks = List<Sinks>;

/// The sinks of a node.
pub struct Sinks(Arc<Runtime>);

/// A page of sinks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkList {
    /// The ids of queues, and their sinks.
    pub sinks: Vec<(String, Sink)>,
    /// The value of `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

impl Listed for Sinks {
    type Found = SinkList;
    type Error = QueueError;

    fn invalid_limit(limit: usize, limit_max: usize) -> QueueError {
        QueueError::InvalidLimit { limit, limit_max }
    }

    async fn read(self, page: PageOptions) -> Result<SinkList, QueueError> {
        let range = page.range(key::sinks, key::sink);
        let found = read_durable(&self.0, range, page.scan_limit()).await?;
        let mut sinks = Vec::with_capacity(found.len());
        for (key, record) in found {
            let Some(id) = key::queue_id_of_sink(&key) else { continue };
            let record = SinkRecord::decode(&record).map_err(LoadError::from)?;
            sinks.push((id.to_owned(), record.into()));
        }
        let next = page.cut(&mut sinks, |(id, _)| id);
        Ok(SinkList { sinks, next })
    }
}

/// Which sinks change, told to whoever watches.
#[derive(Clone)]
struct Changes(broadcast::Sender<SinkChange>);

/// Tells whoever watches what has happened to the queue of this turn.
pub(crate) fn tell(turn: &Turn<'_, QueueActor>, change: impl FnOnce(Arc<str>) -> SinkChange) {
    let changes: Option<&Changes> = turn.meta.guard.kind.runtime.settings.get();
    if let Some(changes) = changes {
        // Nobody has to watch.
        changes.0.send(change(Arc::from(&*turn.id().key))).ok();
    }
}

/// Makes the queues of a node that is about to start tell of their sinks.
pub(crate) fn install(settings: &mut KindSettings) {
    settings.insert(Changes(broadcast::Sender::new(BACKLOG_MAX)));
}

/// What matters to a sink. Its turn may not have been committed yet: ask the queue what holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkChange {
    /// The sink of this queue was set, replaced or removed.
    Of(Arc<str>),
    /// The pops of this queue were paused and are not any more.
    Resumed(Arc<str>),
    /// So many changes were missed: look at [all sinks](Node::sinks) again.
    Missed(u64),
}

/// The changes of a node's sinks from the subscription on.
#[derive(Debug)]
pub struct SinkChanges(broadcast::Receiver<SinkChange>);

impl SinkChanges {
    /// The next change, or `None` once the node is gone. Dropping the future loses none.
    pub async fn next(&mut self) -> Option<SinkChange> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(SinkChange::Missed(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Node {
    /// The sinks of this node's queues: await what this returns. Dropping its future is safe.
    ///
    /// # Errors
    /// As [`Node::queues`].
    pub fn sinks(&self) -> ListSinks {
        List::new(Sinks(Arc::clone(self.runtime())))
    }

    /// Which sinks change from now on, and which queues are resumed, for whoever delivers.
    pub fn sink_changes(&self) -> SinkChanges {
        let changes: &Changes = self.runtime().settings.get().expect("every node has them");
        SinkChanges(changes.0.subscribe())
    }
}
