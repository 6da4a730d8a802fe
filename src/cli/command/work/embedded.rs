//! Working on a queue of a data directory opened here.

use std::{sync::Arc, time::Duration};

use lanekeeper::{
    Lanekeeper,
    queue::{self, ConsumeOptions, Consumer, Message},
};

use crate::cli::{
    args,
    command::work::{
        Summary,
        child::{CommandOutcome, Job, Task},
    },
    exit::CommandFailure,
};

/// How long the node may take to be put away.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A queue being worked on.
pub(crate) struct Embedded {
    node: Lanekeeper,
    consumer: Consumer,
}

impl Embedded {
    pub(crate) async fn open(
        args: &args::work::Work,
        job: Arc<Job>,
    ) -> Result<Self, CommandFailure> {
        let dir = args.target.data.as_deref().filter(|dir| dir.is_dir());
        let dir = dir.ok_or_else(|| CommandFailure::not_started("--data is no data directory"))?;
        let node = Lanekeeper::open(dir).await.map_err(CommandFailure::not_started)?;
        let options = ConsumeOptions {
            concurrency: args.concurrency,
            lease_ttl: Some(args.ttl.0),
            worker: args.worker.clone(),
            life: args.life,
            retry: crate::cli::command::work::retry(args),
            messages_max: args.once.then_some(1),
            until_empty: args.until_empty,
        };
        let handler = move |message: Message| {
            let job = Arc::clone(&job);
            async move {
                match job.run(task(&message)).await {
                    CommandOutcome::Done => Ok(()),
                    CommandOutcome::Failed(reason) => Err(queue::HandlerFailure::retry(reason)),
                    CommandOutcome::GivenUp(reason) => {
                        Err(queue::HandlerFailure::dead_letter(reason))
                    }
                }
            }
        };
        let consumer =
            node.queue(&args.id).consume(options, handler).map_err(CommandFailure::failed)?;
        Ok(Self { node, consumer })
    }

    pub(crate) async fn ended(&mut self) {
        self.consumer.ended().await;
    }

    pub(crate) async fn stop(&mut self, grace: Duration) {
        self.consumer.stop(grace).await;
    }

    pub(crate) async fn close(self) -> Result<Summary, CommandFailure> {
        let stats = self.consumer.stats();
        drop(self.consumer);
        self.node.shutdown(CLOSE_TIMEOUT).await.map_err(CommandFailure::failed)?;
        let queue::ConsumerStats { handled, failed, lost, released, .. } = stats;
        Ok(Summary { handled, failed, lost, released })
    }
}

fn task(message: &Message) -> Task {
    let since = message.pushed_at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Task {
        id: message.id.to_string(),
        lease: None,
        priority: message.priority,
        deliveries: message.deliveries,
        pushed_at_ms: since.as_millis() as u64,
        payload: message.item.as_str().to_owned(),
    }
}
