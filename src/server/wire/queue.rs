//! What is said of queues and their messages.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The answer to a push.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pushed {
    /// Always `true`: a refusal is a problem document.
    pub success: bool,
    /// How many messages were accepted.
    pub count: usize,
    /// Their ids, in the order in which they were sent.
    pub ids: Vec<String>,
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
    /// How often it was delivered before.
    pub deliveries: u32,
    /// What it waits for, where one message was asked for: `ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The answer to a pop with `detail=true`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Messages {
    /// The messages, the most urgent first.
    pub messages: Vec<Message>,
    /// How many there are.
    pub count: usize,
}

/// The answer to a peek: a page of messages in pop order.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Messages the queue holds at most; `null`: no bound.
    #[schema(minimum = 1)]
    pub capacity: Option<u64>,
    /// What a push into a full queue does.
    pub on_full: OnFull,
    /// The queue's own durability; `null`: the node's.
    pub durability: Option<Durability>,
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
    /// Messages popped since creation.
    pub popped: u64,
    /// Messages acknowledged since creation.
    pub acked: u64,
    /// Leases given back since creation.
    pub nacked: u64,
    /// Leases and messages that expired since creation.
    pub expired: u64,
    /// Messages moved to the dead-letter queue since creation.
    pub dead_lettered: u64,
    /// Messages refused since creation: because the queue was full or paused.
    pub rejected: u64,
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
