//! Replies that a later turn gives: a place kept for a value, and the promise to fill it.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use lanekeeper_storage::Engine;
use tokio::sync::oneshot;

use crate::{
    actor::{
        caller,
        error::{AskError, NotExecuted, Unknown},
    },
    runtime::commit_barrier::CommitBarrier,
};

/// The obligation to answer later, kept by the actor. Dropping it tells the waiter that there will
/// be no answer.
#[derive(Debug)]
pub struct ReplyHandle<T>(oneshot::Sender<(T, CommitBarrier)>);

/// The other end of a [`ReplyHandle`], given out in a reply.
pub struct DeferredReply<T> {
    receiver: oneshot::Receiver<(T, CommitBarrier)>,
    engine: Arc<dyn Engine>,
}

pub(crate) fn pair<T>(engine: Arc<dyn Engine>) -> (ReplyHandle<T>, DeferredReply<T>) {
    let (sender, receiver) = oneshot::channel();
    (ReplyHandle(sender), DeferredReply { receiver, engine })
}

impl<T> ReplyHandle<T> {
    /// Whether nobody waits any more.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }

    pub(crate) fn fulfil(self, value: T, gate: CommitBarrier) {
        // A waiter that went away meanwhile is no failure of the turn.
        let _ = self.0.send((value, gate));
    }
}

impl<T> DeferredReply<T> {
    /// Waits for the value, and until the turn that gave it is as durable as promised. Dropping the
    /// future gives up the wait; a value that was given in that moment is lost with it.
    ///
    /// # Errors
    /// [`NotExecuted::ShuttingDown`] if the promise was dropped, [`AskError::Unknown`] if the
    /// commit of the turn that fulfilled it failed.
    pub async fn wait(self) -> Result<T, AskError> {
        let mut receiver = pin!(self.receiver);
        let received = poll_fn(|cx| {
            let catch_panic = receiver.as_mut().poll(cx);
            if catch_panic.is_pending() {
                caller::mark_waiting();
            }
            catch_panic
        });
        let (value, gate) = received.await.map_err(|_| NotExecuted::ShuttingDown)?;
        let opened = gate.open(&*self.engine).await;
        opened.map_err(|error| AskError::Unknown(Unknown::Commit(error)))?;
        Ok(value)
    }
}

impl<T> fmt::Debug for DeferredReply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deferred")
    }
}
