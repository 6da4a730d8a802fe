//! What every node comes with besides the runtime: the one place that puts the two together.

mod forget;

use std::sync::Arc;

use crate::{
    gate::{self, actor::GateActor},
    maintenance::service::MaintenanceService,
    node::lifecycle::Node,
    queue::{self, actor::QueueActor},
    runtime::{kind_settings::KindSettings, shared_state::BuiltIn},
    time::clock::Clock,
    worker::{self, background::offline_handlers::OfflineHandlers},
};

/// Makes the built-ins of a node that is about to start.
pub(crate) fn install(mut settings: KindSettings, clock: &Clock) -> BuiltIn {
    queue::setting::sink::install(&mut settings);
    let mut followers = OfflineHandlers::default();
    followers.add("queues", queue::verb::worker_offline::follow);
    followers.add("gates", gate::verb::release_worker::follow);
    let mut services: Vec<Arc<dyn MaintenanceService>> =
        worker::background::maintenance::install(&mut settings, clock, followers);
    services.extend(forget::duty(&settings));
    BuiltIn { settings, services }
}

/// Makes a node that begins know its built-in actors, so that their reminders wake them after a
/// restart before anybody has asked for them.
pub(crate) fn register(node: &Node) {
    let is_first = "nobody has taken a kind of a node that begins";
    node.register::<QueueActor>().expect(is_first);
    node.register::<GateActor>().expect(is_first);
}
