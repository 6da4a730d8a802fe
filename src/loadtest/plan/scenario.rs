//! A scenario: what is asked of the server, how often, and of how many queues.

use serde::{Deserialize, Serialize};

use crate::loadtest::{
    generate::lease_work::Work,
    plan::{action::Action, schedule::Shape},
};

/// What one load test does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// How it is called: `s3a`.
    pub(crate) id: String,
    /// What it shows, in a line.
    pub(crate) title: String,
    /// Requests per second over its length, all queues together.
    pub(crate) shape: Shape,
    /// How long it takes unless told otherwise.
    #[serde(default = "usual_seconds")]
    pub(crate) seconds: u64,
    /// Among how many queues the requests are shared out.
    #[serde(default = "one")]
    pub(crate) queues: u32,
    /// How many of those are asked; all, if it is not given. The others are there, idle.
    #[serde(default)]
    pub(crate) active: Option<u32>,
    /// Which requests, in which proportion.
    pub(crate) mix: Vec<Share>,
    /// From how many priorities one is drawn for each item: 0 up to one less; with one, it is 1.
    #[serde(default = "one")]
    pub(crate) priorities: u32,
    /// Messages a pop asks for.
    #[serde(default = "one")]
    pub(crate) depth: u32,
    /// Sizes of the items, taken in turn.
    #[serde(default = "usual_sizes")]
    pub(crate) item_bytes: Vec<usize>,
    /// Items in the queues before it begins, all queues together.
    #[serde(default)]
    pub(crate) prepopulated: u64,
    /// Whether as many items as its pops will take are added to those.
    #[serde(default)]
    pub(crate) is_topped_up: bool,
    /// Subscribers of the stream that is published to, which read everything.
    #[serde(default)]
    pub(crate) subscribers: u32,
    /// Subscribers of it that never read.
    #[serde(default)]
    pub(crate) slow_subscribers: u32,
    /// What is done with messages that are leased.
    #[serde(default)]
    pub(crate) work: Work,
    /// What is broken on purpose meanwhile.
    #[serde(default)]
    pub(crate) fault: Option<Fault>,
}

fn usual_seconds() -> u64 {
    30
}

fn one() -> u32 {
    1
}

fn usual_sizes() -> Vec<usize> {
    vec![256]
}

/// A kind of request and its weight among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// What is asked.
    pub(crate) action: Action,
    /// How often, in proportion to the weights of the others.
    pub(crate) weight: u32,
}

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// The server is killed with -9 and started again, after a third and after two thirds.
    Kill,
    /// One connection in twenty is cut with its request under way.
    Cut,
    /// The disk of the server is nearly full, and has space again after two thirds.
    Disk,
}

/// The least and the most a field of a scenario may be.
const BOUNDS: [(&str, u64, u64); 7] = [
    ("queues", 1, 1_000_000),
    ("priorities", 1, 1_000),
    ("depth", 1, 100),
    ("prepopulated", 0, 100_000_000),
    ("seconds", 1, 7 * 86_400),
    ("subscribers", 0, 1_000),
    ("slow_subscribers", 0, 1_000),
];

/// Sizes an item may have: enough for what tells it apart, no more than servers take.
const ITEM_BYTES: (usize, usize) = (80, 1 << 20);

impl Scenario {
    /// Refuses what no server could be asked, naming the field and its bound.
    pub(crate) fn check(&self) -> Result<(), String> {
        let found = [
            u64::from(self.queues),
            u64::from(self.priorities),
            u64::from(self.depth),
            self.prepopulated,
            self.seconds,
            u64::from(self.subscribers),
            u64::from(self.slow_subscribers),
        ];
        for ((field, least, most), found) in BOUNDS.into_iter().zip(found) {
            if !(least..=most).contains(&found) {
                return Err(self.wrong(field, &format!("from {least} to {most}, not {found}")));
            }
        }
        let (least, most) = ITEM_BYTES;
        if let Some(size) = self.item_bytes.iter().find(|size| !(least..=most).contains(*size)) {
            return Err(self.wrong("item_bytes", &format!("from {least} to {most}, not {size}")));
        }
        if self.item_bytes.is_empty() {
            return Err(self.wrong("item_bytes", "at least one size"));
        }
        if self.active.is_some_and(|active| !(1..=self.queues).contains(&active)) {
            return Err(self.wrong("active", "from 1 to the number of queues"));
        }
        let weights: u64 = self.mix.iter().map(|share| u64::from(share.weight)).sum();
        if weights == 0 {
            return Err(self.wrong("mix", "at least one action with a weight"));
        }
        if self.mix.iter().any(|share| share.action.is_settling()) {
            return Err(self.wrong("mix", "without ack and nack: they follow each lease by itself"));
        }
        self.work.check().map_err(|(field, bound)| self.wrong(field, &bound))?;
        self.shape.check().map_err(|reason| self.wrong("shape", &reason))
    }

    fn wrong(&self, field: &str, bound: &str) -> String {
        format!("scenario {}: {field} must be {bound}", self.id)
    }

    /// Whether messages are leased.
    pub(crate) fn is_leasing(&self) -> bool {
        self.fraction(Action::Lease) > 0.0
    }

    /// The share of requests that are this action.
    pub(crate) fn fraction(&self, action: Action) -> f64 {
        let of = |share: &Share| f64::from(share.weight);
        let all: f64 = self.mix.iter().map(of).sum();
        self.mix.iter().filter(|share| share.action == action).map(of).sum::<f64>() / all
    }
}
