//! The built-in actors, which every node knows from its start: so that their reminders wake them
//! after a restart before anybody has asked for them.

use crate::{Node, gate::GateActor};

/// Makes a node know them.
pub(crate) fn register(node: &Node) {
    node.register::<GateActor>().expect("nobody has taken a kind of a node that begins");
}
