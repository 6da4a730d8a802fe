//! What every node comes with besides the runtime: the one place that puts the two together.

mod forget;

use std::sync::Arc;

use crate::{
    Clock, Node,
    duty::StandingDuty,
    gate::{self, GateActor},
    liveness::{self, Followers},
    queue::{self, QueueActor},
    runtime::BuiltIn,
    setting::Settings,
};

/// Makes the built-ins of a node that is about to start.
pub(crate) fn install(mut settings: Settings, clock: &Clock) -> BuiltIn {
    queue::install(&mut settings);
    let mut followers = Followers::default();
    followers.add("queues", queue::follow);
    followers.add("gates", gate::follow);
    let mut duties: Vec<Arc<dyn StandingDuty>> = liveness::install(&mut settings, clock, followers);
    duties.extend(forget::duty(&settings));
    BuiltIn { settings, duties }
}

/// Makes a node that begins know its built-in actors, so that their reminders wake them after a
/// restart before anybody has asked for them.
pub(crate) fn register(node: &Node) {
    let is_first = "nobody has taken a kind of a node that begins";
    node.register::<QueueActor>().expect(is_first);
    node.register::<GateActor>().expect(is_first);
}
