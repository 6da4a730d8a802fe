//! Changing some settings of a stream in one turn, whatever the others are by then.

use crate::{
    actor::virtual_actor::{Handler, Request},
    runtime::turn::Turn,
    stream::{
        actor::StreamActor,
        api::{config::StreamConfig, error::StreamError, handle::Topic},
        verb::handler::Configure,
    },
};

/// Make other settings of those in force.
struct ChangeConfig<E>(ConfigChange<E>);

/// What makes them.
type ConfigChange<E> = Box<dyn FnOnce(StreamConfig) -> Result<StreamConfig, E> + Send>;

impl<E: From<StreamError> + Send + 'static> Request for ChangeConfig<E> {
    type Reply = Result<StreamConfig, E>;
}

impl<E: From<StreamError> + Send + 'static> Handler<ChangeConfig<E>> for StreamActor {
    async fn handle(
        &mut self,
        ChangeConfig(change): ChangeConfig<E>,
        turn: &mut Turn<'_, Self>,
    ) -> Result<StreamConfig, E> {
        let config = change(self.config)?;
        Ok(self.handle(Configure(config), turn).await?)
    }
}

impl Topic {
    /// Replaces the settings by what `change` makes of those in force, with no other change in
    /// between; answers what is in force now. If `change` fails, nothing changes. It runs inside
    /// the stream's turn: it should not block.
    ///
    /// # Errors
    /// What `change` answers, and as [`Topic::configure`].
    pub async fn change_config<E: From<StreamError> + Send + 'static>(
        &self,
        change: impl FnOnce(StreamConfig) -> Result<StreamConfig, E> + Send + 'static,
    ) -> Result<StreamConfig, E> {
        self.ask(ChangeConfig(Box::new(change))).await?
    }
}
