//! The verb with options: what is set before it is awaited, and awaiting it.

use std::future::IntoFuture;

use crate::{
    queue::api::item::{IntoItem, InvalidItem, Item},
    runtime::mailbox::BoxFuture,
    worker::api::{error::LivenessError, handle::Worker, worker_info::Beat},
};

/// A heartbeat that was not sent yet; await it to send it.
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

    /// The metadata of the worker: one JSON object, kept byte for byte, which replaces the previous
    /// one. A heartbeat without it keeps the previous one.
    pub fn meta(mut self, meta: impl IntoItem) -> Self {
        self.meta = Some(meta.into_item());
        self
    }
}

impl Heartbeat {
    /// Continues the life named in the answer to an earlier heartbeat. Without it a new life
    /// begins, as for a process that has just started.
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
            worker.liveness.service.beat(&worker.liveness.runtime, id, meta, life).await
        })
    }
}
