//! Waiting in line for messages, for so long and no longer.

use std::{pin::pin, sync::Arc, time::Duration};

use crate::{
    actor::error::{AskError, NotExecuted},
    queue::{
        actor::WaitingReply,
        api::{error::QueueError, handle::Queue},
    },
    runtime::shared_state::Runtime,
};

/// How long somebody still waits.
pub(crate) struct LongPoll {
    runtime: Arc<Runtime>,
    until: Duration,
}

/// What waiting came to.
pub(crate) enum WaitResult<T> {
    Given(T),
    /// The time is over.
    InVain,
    /// The activation ended with all who waited: ask again.
    LineGone,
}

impl LongPoll {
    /// Waits so long from now.
    ///
    /// # Errors
    /// [`QueueError::InvalidWait`].
    pub(crate) fn new(queue: &Queue, wait: Duration) -> Result<Self, QueueError> {
        let wait_max = queue.limits().wait_max;
        if wait > wait_max {
            return Err(QueueError::InvalidWait { wait, wait_max });
        }
        let runtime = Arc::clone(queue.runtime());
        let until = runtime.clock.elapsed() + wait;
        Ok(Self { runtime, until })
    }

    /// Whether there is any left.
    pub(crate) fn is_left(&self) -> bool {
        self.until > self.runtime.clock.elapsed()
    }

    /// Waits for what is given or for the end of the patience.
    pub(crate) async fn wait<T>(
        &mut self,
        waiting: WaitingReply<T>,
    ) -> Result<WaitResult<T>, QueueError> {
        let WaitingReply { position, given } = waiting;
        let clock = &self.runtime.clock;
        let sleep = clock.sleep_until(self.until);
        let mut given = pin!(given.wait());
        let first = tokio::select! {
            biased;
            answer = &mut given => Some(answer),
            () = sleep => None,
        };
        let answer = match first {
            Some(answer) => answer,
            None if position.leave() => return Ok(WaitResult::InVain),
            // The queue was first: the answer is on its way.
            None => given.await,
        };
        match answer {
            Ok(answer) => Ok(WaitResult::Given(answer)),
            Err(AskError::NotExecuted(NotExecuted::ShuttingDown)) => Ok(WaitResult::LineGone),
            Err(error) => Err(error.into()),
        }
    }
}
