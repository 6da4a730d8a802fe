//! Leases on their way to whoever asked for them.

use crate::{
    actor::actor_ref::ActorRef,
    queue::{
        actor::QueueActor,
        api::lease_token::{LeaseToken, LeasedMessage},
        verb::settle::GiveBack,
    },
};

/// Leases that were given and not yet received: dropped on the way, they go back at once and no
/// delivery is counted, so that whoever gives up waiting loses nothing.
pub(crate) struct UndeliveredLeases {
    leased: Vec<LeasedMessage>,
    queue: ActorRef<QueueActor>,
}

impl UndeliveredLeases {
    pub(crate) fn new(leased: Vec<LeasedMessage>, queue: ActorRef<QueueActor>) -> Self {
        Self { leased, queue }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leased.is_empty()
    }

    /// Receives them.
    pub(crate) fn receive(mut self) -> Vec<LeasedMessage> {
        std::mem::take(&mut self.leased)
    }
}

impl Drop for UndeliveredLeases {
    fn drop(&mut self) {
        if self.leased.is_empty() {
            return;
        }
        let tokens: Vec<LeaseToken> = self.leased.iter().map(|leased| leased.token).collect();
        if let Err(error) = self.queue.tell(GiveBack { tokens, is_counted: false }) {
            tracing::debug!(%error, "leases that nobody received end by themselves");
        }
    }
}
