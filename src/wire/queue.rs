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
    /// How many messages were accepted, repetitions not among them.
    pub count: usize,
    /// The ids, in the order in which the messages were sent; that of the original for a
    /// repetition.
    pub ids: Vec<String>,
    /// The messages that were recognised by their key as pushed before; left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<Duplicate>,
}

/// A message that repeats one pushed before, and changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Duplicate {
    /// Its index among those that were sent.
    pub index: usize,
    /// The id of the original.
    pub id: String,
    /// The state of the original: `scheduled`, `ready` or `leased`; once it is gone, what became of
    /// it: `done`, `dead` (a dead letter), `expired` or `evicted`.
    pub state: String,
}

/// The answer to a pop: the payloads alone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Popped {
    /// The payloads, the most urgent first.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Box<RawValue>>,
    /// How many there are.
    pub count: usize,
}

/// A message with all that is known of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id: opaque.
    pub id: String,
    /// Its urgency, 0 first.
    pub priority: u32,
    /// Its payload.
    #[schema(value_type = Object)]
    pub item: Box<RawValue>,
    /// When it was accepted, in Unix milliseconds.
    pub pushed_at: u64,
    /// How often it was leased, the lease it comes with included.
    pub deliveries: u32,
    /// When its time to live ends, in Unix milliseconds, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Why it was given back last, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it was before it died, for a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetter>,
    /// What it waits for, where one message was asked for: `ready`, `scheduled` or `leased`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When it becomes ready, in Unix milliseconds, where scheduled messages were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<u64>,
    /// When its lease ends, in Unix milliseconds, where leased messages were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<u64>,
    /// Who has it, where leased messages were asked for and that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// Which messages a peek shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeekState {
    /// Those that can be taken.
    #[default]
    Ready,
    /// Those that wait for their time.
    Scheduled,
    /// Those that somebody works on.
    Leased,
}

/// The answer to a promotion.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Promoted {
    /// Whether it was scheduled; one that was ready stays as it was.
    pub promoted: bool,
}

/// What a dead letter was before it died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The queue it died in.
    pub origin: String,
    /// Its id there.
    pub id: String,
    /// Why it died.
    pub reason: String,
    /// How often it had been leased.
    pub deliveries: u32,
    /// When it had been accepted there, in Unix milliseconds.
    pub pushed_at: u64,
    /// When it died, in Unix milliseconds.
    pub died_at: u64,
}

/// The answer to a pop with `detail=true`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Messages {
    /// The messages, the most urgent first.
    pub messages: Vec<Message>,
    /// How many there are.
    pub count: usize,
}

/// The answer to a peek: a page of messages in the order of priority and arrival.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// The messages of this page.
    pub messages: Vec<Message>,
    /// How many there are.
    pub count: usize,
    /// What to send as `after` for the next page; `null` at the end.
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
    /// How many messages were removed.
    pub purged: u64,
}

/// Which verbs are paused.
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
    /// What is paused now.
    pub paused: Verbs,
}

/// When a push is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Once applied in memory.
    Memory,
    /// Once written to the journal, which is fsynced at intervals.
    Relaxed,
    /// Once fsynced.
    Durable,
}

/// What a push into a full queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// It is refused as `queue_full`.
    #[default]
    Reject,
    /// The newest of the least urgent messages gives way to a more urgent one.
    EvictLowest,
}

/// The settings of a queue. A field that a `PUT` leaves out takes its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Messages the queue holds at most; `null`: no bound.
    #[schema(minimum = 1)]
    pub capacity: Option<u64>,
    /// What a push into a full queue does.
    pub on_full: OnFull,
    /// The queue's own durability; `null`: the node's.
    pub durability: Option<Durability>,
    /// Deliveries after which a message that is given back or whose lease ends goes to the
    /// dead-letter queue; `null`: it never does.
    #[schema(minimum = 1)]
    pub max_deliveries: Option<u32>,
    /// How long a lease lasts for which nothing else is asked; `null`: 30000.
    #[schema(minimum = 1000, maximum = 43200000)]
    pub lease_ttl_ms: Option<u64>,
    /// How long a message lives that does not say so itself; `null`: forever.
    #[schema(minimum = 1, maximum = 31622400000_i64)]
    pub message_ttl_ms: Option<u64>,
    /// What happens to a message then.
    pub on_expire: OnExpire,
    /// How long the key of a message is remembered; 0: not at all; `null`: 300000.
    #[schema(maximum = 31622400000_i64)]
    pub dedup_window_ms: Option<u64>,
    /// Whether there is one batch of leases at a time; others get 423 `locked` or wait.
    pub exclusive: bool,
    /// How often messages are accepted; `null`: no limit.
    pub push_rate: Option<Rate>,
    /// How often messages are popped or leased; `null`: no limit.
    pub pop_rate: Option<Rate>,
    /// After how long a message that waits rises by one priority; `null`: never. A peek shows the
    /// priorities and the order as they were pushed.
    #[schema(minimum = 1, maximum = 31622400000_i64)]
    pub aging_ms: Option<u64>,
    /// The id of the gate of whose permits every lease holds one; `null`: none.
    #[schema(max_length = 128)]
    pub gate: Option<String>,
}

/// What happens to a message at the end of its time to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExpire {
    /// It is gone.
    #[default]
    Drop,
    /// It goes to the dead-letter queue.
    DeadLetter,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Tokens that come back each second, with up to six decimals: 0.1 is one in ten seconds.
    #[schema(value_type = f64, minimum = 0.000001, maximum = 1000000000.0)]
    pub per_second: PerSecond,
    /// Tokens there are at most.
    #[schema(minimum = 1, maximum = 1000000000)]
    pub burst: u32,
}

/// One priority of a queue in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PriorityStats {
    /// The priority.
    pub priority: u32,
    /// Messages ready to be taken.
    pub ready: u64,
}

/// A queue in numbers. A queue never used answers zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Messages ready to be taken.
    pub ready: u64,
    /// Messages that wait for their time.
    pub scheduled: u64,
    /// Messages that are leased.
    pub leased: u64,
    /// Messages in the dead-letter queue of this one.
    pub dead: u64,
    /// The ready ones by priority, most urgent first; at most the first 1,000 priorities.
    pub by_priority: Vec<PriorityStats>,
    /// Bytes of all payloads.
    pub bytes: u64,
    /// How long the oldest ready message has waited; 0 if there is none.
    pub oldest_ready_age_ms: u64,
    /// How long ago the oldest lease began; 0 if there is none.
    pub oldest_leased_age_ms: u64,
    /// Messages accepted since creation.
    pub pushed: u64,
    /// Dead letters accepted from other queues, or got back, since creation.
    pub received: u64,
    /// Messages popped since creation.
    pub popped: u64,
    /// Messages acknowledged since creation.
    pub acked: u64,
    /// Leases given back since creation.
    pub nacked: u64,
    /// Leases and messages that expired since creation.
    pub expired: u64,
    /// Messages dropped since creation because their time to live had ended.
    pub dropped: u64,
    /// Messages moved to the dead-letter queue since creation.
    pub dead_lettered: u64,
    /// Messages handed back to the queue they came from since creation.
    pub redriven: u64,
    /// Messages refused since creation: because the queue was full, paused or limited.
    pub rejected: u64,
    /// Messages recognised by their key as pushed before, since creation.
    pub duplicates: u64,
    /// Messages that gave way to more urgent ones since creation.
    pub evicted: u64,
    /// Messages cancelled by id since creation.
    pub cancelled: u64,
    /// Messages purged since creation.
    pub purged: u64,
    /// Which verbs are paused.
    pub paused: Verbs,
    /// When a push is acknowledged.
    pub durability: Durability,
    /// How much acknowledged work a power cut can take: 0 if none, `null` if all of it.
    pub loss_window_ms: Option<u64>,
}

/// A page of the queues there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueList {
    /// Their ids, in order.
    pub queues: Vec<String>,
    /// How many there are.
    pub count: usize,
    /// What to send as `after` for the next page; `null` at the end.
    pub next: Option<String>,
}

/// A page of the queues there are, with what they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueDepths {
    /// The queues, by id.
    pub queues: Vec<QueueDepth>,
    /// How many there are.
    pub count: usize,
    /// What to send as `after` for the next page; `null` at the end.
    pub next: Option<String>,
}

/// What a queue holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueDepth {
    /// Its id.
    pub id: String,
    /// Messages ready to be taken.
    pub ready: u64,
    /// Messages that wait for their time.
    pub scheduled: u64,
    /// Messages that are leased.
    pub leased: u64,
    /// Messages in its dead-letter queue.
    pub dead: u64,
}
