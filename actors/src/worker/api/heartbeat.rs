//! The verb with options: what is set before it is awaited, and awaiting it.

use std::future::IntoFuture;

use crate::{
    queue::api::item::{IntoItem, InvalidItem, Item},
    runtime::mailbox::BoxFuture,
    worker::api::{error::LivenessError, handle::Worker, worker_info::Beat},
};

/// A heartbeat that was not sent yet: await it.
#[must_use = "nothing beats before it is awaited"]
#[derive(Debug)]
pub struct Heartbeat {
    worker: Worker,
    meta: Option<Result<Item, InvalidItem>>,
    life: Option<u64>,
}

impl Heartbeat {
    pub(crate) fn new(worker: Worker) -> Self {
        Self { worker, meta: None, life: None }
    }

    /// What the worker says of itself: one JSON object, kept byte for byte, in place of what it
    /// said before. A heartbeat without it leaves that as it is.
    pub fn meta(mut self, meta: impl IntoItem) -> Self {
        self.meta = Some(meta.into_item());
        self
    }
}

impl Heartbeat {
    /// Goes on with the life that the answer to an earlier heartbeat named. Without it a new life
    /// begins: the process has just started.
    pub fn life(mut self, life: u64) -> Self {
        self.life = Some(life);
        self
    }
}

impl IntoFuture for Heartbeat {
    type Output = Result<Beat, LivenessError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { worker, meta, life } = self;
        Box::pin(async move {
            let id = worker.checked_id()?;
            let meta = meta.transpose()?;
            worker.liveness.keeper.beat(&worker.liveness.runtime, id, meta, life).await
        })
    }
}
