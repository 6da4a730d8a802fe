//! The end of a stream: its subscribers are told, and nothing of it is left.

use lanekeeper_storage::{ScanLimit, key};

use crate::{
    actor::virtual_actor::{Handler, Request},
    runtime::turn::Turn,
    stream::{
        actor::StreamActor,
        api::{config::StreamConfig, error::StreamError, event::End, handle::Topic, stats::Counts},
    },
};

/// Messages removed in one go.
const PAGE: usize = 1_000;

/// Delete the stream; answers whether there was anything of it.
struct Delete;

impl Request for Delete {
    type Reply = Result<bool, StreamError>;
}

impl Handler<Delete> for StreamActor {
    async fn handle(&mut self, _: Delete, turn: &mut Turn<'_, Self>) -> Result<bool, StreamError> {
        let topic = turn.id().key;
        let settings = key::stream_settings(&topic);
        let is_kept = turn.store().get(&settings)?.is_some();
        let mut range = key::stream_retained_all(&topic);
        loop {
            let page = turn.store().scan(range.clone(), ScanLimit::count(PAGE)).await?;
            let Some((last, _)) = page.last() else { break };
            range = range.after(last);
            page.iter().for_each(|(key, _)| turn.batch().delete(key.clone()));
        }
        if is_kept {
            turn.batch().delete(settings);
            turn.batch().frees_space();
        }
        self.settle_exits();
        let was_used =
            self.subscriber_set.len() > 0 || self.retained.len() > 0 || self.seq_last > 0;
        self.subscriber_set.iter().for_each(|shared_buffer| shared_buffer.close(End::Deleted));
        // They leave what is not theirs any more; numbers go on, so that none is met twice.
        (self.subscriber_set, self.exit_signals) = Default::default();
        (self.config, self.departed) = (StreamConfig::default(), Counts::default());
        (self.retained, self.published) = Default::default();
        Ok(is_kept || was_used)
    }
}

impl Topic {
    /// Deletes the stream: its subscribers get what waits for them and are told that it was
    /// [deleted](End::Deleted), its settings and what it kept for late subscribers are gone.
    /// Answers whether there was anything of it.
    ///
    /// # Errors
    /// The common ones.
    pub async fn delete(&self) -> Result<bool, StreamError> {
        self.ask(Delete).await?
    }
}
