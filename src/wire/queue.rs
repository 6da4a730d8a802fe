//! What is said of queues and their messages.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::wire::rate::PerSecond;

/// The answer to a push.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pushed {
    /// Always `true`: a refusal is a problem document.
    pub success: bool,
    /// The number of messages accepted, without duplicates.
    pub count: usize,
    /// The ids, in the order in which the messages were sent; for a duplicate the id of the
    /// original.
    pub ids: Vec<String>,
    /// The messages with the key of an earlier one; left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<Duplicate>,
}

/// A duplicate of an earlier message; it changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Duplicate {
    /// Its index among the messages sent.
    pub index: usize,
    /// The id of the original.
    pub id: String,
    /// The state of the original: `scheduled`, `ready` or `leased`; once it is gone `done`, `dead`
    /// (a dead letter), `expired` or `evicted`.
    pub state: String,
}

/// The answer to a pop: the payloads alone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Popped {
    /// The payloads, the most urgent first.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Box<RawValue>>,
    /// The number of entries in this answer.
    pub count: usize,
}

/// A message with its properties.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id: opaque.
    pub id: String,
    /// Its priority; 0 is the most urgent.
    pub priority: u32,
    /// Its payload.
    #[schema(value_type = Object)]
    pub item: Box<RawValue>,
    /// The time it was accepted, in Unix milliseconds.
    pub pushed_at: u64,
    /// The number of its deliveries, including this one.
    pub deliveries: u32,
    /// The end of its time to live, in Unix milliseconds; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The reason of its last nack, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its origin, if it is a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetter>,
    /// Its state, in the answer for a single message: `ready`, `scheduled` or `leased`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The time it becomes ready, in Unix milliseconds, in a peek at scheduled messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<u64>,
    /// The end of its lease, in Unix milliseconds, in a peek at leased messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<u64>,
    /// The worker that holds its lease, in a peek at leased messages, if it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// The state of the messages a peek shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeekState {
    /// Messages that can be popped or leased.
    #[default]
    Ready,
    /// Scheduled messages.
    Scheduled,
    /// Messages under a lease.
    Leased,
}

/// The answer to a promotion.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Promoted {
    /// Whether it was scheduled; `false` for a message that was ready already.
    pub promoted: bool,
}

/// The origin of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The queue it came from.
    pub origin: String,
    /// Its id there.
    pub id: String,
    /// The reason why it was dead-lettered.
    pub reason: String,
    /// The number of its deliveries.
    pub deliveries: u32,
    /// The time it was accepted there, in Unix milliseconds.
    pub pushed_at: u64,
    /// The time it was dead-lettered, in Unix milliseconds.
    pub died_at: u64,
}

/// The answer to a pop with `detail=true`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Messages {
    /// The messages, the most urgent first.
    pub messages: Vec<Message>,
    /// The number of entries in this answer.
    pub count: usize,
}

/// The answer to a peek: a page of messages in the order of priority and arrival.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// The messages of this page.
    pub messages: Vec<Message>,
    /// The number of entries in this answer.
    pub count: usize,
    /// The value of `after` for the next page; `null` at the end.
    pub next: Option<String>,
}

/// The answer to the cancellation of a message.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// Always `true`: a refusal is a problem document.
    pub cancelled: bool,
}

/// The answer to a purge.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Purged {
    /// The number of messages removed.
    pub purged: u64,
}

/// The verbs that are paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verbs {
    /// Pushes are refused.
    pub push: bool,
    /// Pops are refused.
    pub pop: bool,
}

/// The answer to a pause or a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseState {
    /// The verbs that are paused now.
    pub paused: Verbs,
}

/// The moment when a push is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// After it is applied in memory.
    Memory,
    /// After it is written to the journal, which is fsynced at intervals.
    Relaxed,
    /// After an fsync.
    Durable,
}

/// The effect of a push into a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The push is refused as `queue_full`.
    #[default]
    Reject,
    /// The newest of the least urgent messages is removed for a more urgent one.
    EvictLowest,
}

/// The settings of a queue. A field left out of a `PUT` gets its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The largest number of messages in the queue; `null`: unlimited.
    #[schema(minimum = 1)]
    pub capacity: Option<u64>,
    /// The effect of a push into a full queue.
    pub on_full: OnFull,
    /// The durability of the queue; `null`: the node's.
    pub durability: Option<Durability>,
    /// Deliveries after which a message that is nacked or whose lease expires moves to the
    /// dead-letter queue; `null`: never.
    #[schema(minimum = 1)]
    pub max_deliveries: Option<u32>,
    /// The duration of a lease that does not set one; `null`: 30000.
    #[schema(minimum = 1000, maximum = 43200000)]
    pub lease_ttl_ms: Option<u64>,
    /// The time to live of a message that does not set one; `null`: forever.
    #[schema(minimum = 1, maximum = 31622400000_i64)]
    pub message_ttl_ms: Option<u64>,
    /// The effect of the end of a message's time to live.
    pub on_expire: OnExpire,
    /// The time a deduplication key is remembered; 0: not at all; `null`: 300000.
    #[schema(maximum = 31622400000_i64)]
    pub dedup_window_ms: Option<u64>,
    /// Whether only one batch of leases is given out at a time; others get 423 `locked` or wait.
    pub exclusive: bool,
    /// The rate of accepted messages; `null`: unlimited.
    pub push_rate: Option<Rate>,
    /// The rate of popped or leased messages; `null`: unlimited.
    pub pop_rate: Option<Rate>,
    /// The time after which a waiting message rises by one priority; `null`: never. A peek shows
    /// the priorities and the order as pushed.
    #[schema(minimum = 1, maximum = 31622400000_i64)]
    pub aging_ms: Option<u64>,
    /// The gate whose permits the leases hold, one each; `null`: none.
    #[schema(max_length = 128)]
    pub gate: Option<String>,
}

/// The effect of the end of a message's time to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExpire {
    /// The message is removed.
    #[default]
    Drop,
    /// The message moves to the dead-letter queue.
    DeadLetter,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Tokens added per second, with up to six decimals: 0.1 is one in ten seconds.
    #[schema(value_type = f64, minimum = 0.000001, maximum = 1000000000.0)]
    pub per_second: PerSecond,
    /// The largest number of tokens.
    #[schema(minimum = 1, maximum = 1000000000)]
    pub burst: u32,
}

/// The count of one priority of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PriorityStats {
    /// The priority.
    pub priority: u32,
    /// Ready messages.
    pub ready: u64,
}

/// The counts and totals of a queue; zeros if it was never used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Ready messages.
    pub ready: u64,
    /// Scheduled messages.
    pub scheduled: u64,
    /// Leased messages.
    pub leased: u64,
    /// Messages in its dead-letter queue.
    pub dead: u64,
    /// Ready messages by priority, most urgent first; at most the first 1,000 priorities.
    pub by_priority: Vec<PriorityStats>,
    /// Bytes of all payloads.
    pub bytes: u64,
    /// The age of the oldest ready message; 0 if there is none.
    pub oldest_ready_age_ms: u64,
    /// The age of the oldest lease; 0 if there is none.
    pub oldest_leased_age_ms: u64,
    /// Messages accepted since creation.
    pub pushed: u64,
    /// Dead letters received from other queues, or moved back, since creation.
    pub received: u64,
    /// Messages popped since creation.
    pub popped: u64,
    /// Messages acked since creation.
    pub acked: u64,
    /// Leases nacked since creation.
    pub nacked: u64,
    /// Leases and messages that expired since creation.
    pub expired: u64,
    /// Messages removed at the end of their time to live since creation.
    pub dropped: u64,
    /// Messages moved to the dead-letter queue since creation.
    pub dead_lettered: u64,
    /// Dead letters moved back to the queue they came from since creation.
    pub redriven: u64,
    /// Messages refused since creation: the queue was full, paused or over its rate.
    pub rejected: u64,
    /// Duplicates by their deduplication key since creation.
    pub duplicates: u64,
    /// Messages removed for more urgent ones since creation.
    pub evicted: u64,
    /// Messages cancelled by id since creation.
    pub cancelled: u64,
    /// Messages purged since creation.
    pub purged: u64,
    /// The verbs that are paused.
    pub paused: Verbs,
    /// The moment when a push is acknowledged.
    pub durability: Durability,
    /// The time before a power cut whose acknowledged work is lost: 0 if none, `null` if all.
    pub loss_window_ms: Option<u64>,
}

/// A page of queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueList {
    /// The ids, in order.
    pub queues: Vec<String>,
    /// The number of entries in this answer.
    pub count: usize,
    /// The value of `after` for the next page; `null` at the end.
    pub next: Option<String>,
}

/// A page of queues with their counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueDepths {
    /// The queues, by id.
    pub queues: Vec<QueueDepth>,
    /// The number of entries in this answer.
    pub count: usize,
    /// The value of `after` for the next page; `null` at the end.
    pub next: Option<String>,
}

/// The counts of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueDepth {
    /// Its id.
    pub id: String,
    /// Ready messages.
    pub ready: u64,
    /// Scheduled messages.
    pub scheduled: u64,
    /// Leased messages.
    pub leased: u64,
    /// Messages in its dead-letter queue.
    pub dead: u64,
}
