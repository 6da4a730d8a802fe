//! Changing some settings of a queue in one turn, whatever the others are by then.

use lanekeeper_storage::Durability;

use crate::{
    actor::{
        id::{ID_LENGTH_MAX, check_id},
        virtual_actor::{Handler, Request},
    },
    queue::{
        actor::QueueActor,
        api::{config::QueueConfig, error::QueueError, handle::Queue},
        verb::{dead_letter::SUFFIX, handler::Configure},
    },
    runtime::turn::Turn,
};

/// What makes other settings of those in force.
type ConfigChange<E> = Box<dyn FnOnce(QueueConfig) -> Result<QueueConfig, E> + Send>;

/// Make other settings of those in force.
struct ChangeConfig<E> {
    change: ConfigChange<E>,
    /// The node's durability.
    node: Durability,
}

impl<E: From<QueueError> + Send + 'static> Request for ChangeConfig<E> {
    type Reply = Result<QueueConfig, E>;
}

impl<E: From<QueueError> + Send + 'static> Handler<ChangeConfig<E>> for QueueActor {
    async fn handle(
        &mut self,
        ChangeConfig { change, node }: ChangeConfig<E>,
        turn: &mut Turn<'_, Self>,
    ) -> Result<QueueConfig, E> {
        let config = change(QueueConfig::from(&self.rules.settings))?;
        if config.has_dead_letters() {
            dead_letter_id(&turn.id().key)?;
        }
        Ok(self.handle(Configure { config, node }, turn).await?)
    }
}

/// The id of the queue that the dead letters of `queue` go to.
pub(crate) fn dead_letter_id(queue: &str) -> Result<String, QueueError> {
    let id = format!("{queue}{SUFFIX}");
    match check_id(&id) {
        Ok(()) => Ok(id),
        Err(_) => Err(QueueError::NoDeadLetterId { id, length_max: ID_LENGTH_MAX }),
    }
}

impl Queue {
    /// Replaces the configuration by what `change` makes of the one in force, with no other change
    /// in between; answers what is in force now. If `change` fails, nothing changes. It runs inside
    /// the queue's turn: it should not block.
    ///
    /// ```
    /// # use lanekeeper_actors::{Node, queue::{QueueConfig, QueueError}};
    /// # async fn example(node: &Node) -> Result<(), QueueError> {
    /// let orders = node.queue("tenant-7.orders");
    /// orders.change_config(|config| {
    ///     Ok::<_, QueueError>(QueueConfig { capacity: Some(1_000), ..config })
    /// }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `change` answers, and as [`Queue::configure`].
    pub async fn change_config<E: From<QueueError> + Send + 'static>(
        &self,
        change: impl FnOnce(QueueConfig) -> Result<QueueConfig, E> + Send + 'static,
    ) -> Result<QueueConfig, E> {
        let node = self.runtime().options.durability;
        self.ask(ChangeConfig { change: Box::new(change), node }).await?
    }
}
