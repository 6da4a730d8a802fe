//! The standing duties of a node: supervised actix actors on an arbiter of their own.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Arbiter, AsyncContext, Context, Supervised, Supervisor,
    System, WrapFuture,
};
use futures_util::FutureExt;
use lanekeeper_storage::{Engine, LoadError, Maintenance};
use tokio::sync::oneshot;

use crate::{
    maintenance::service::{self, MaintenanceService},
    node::event::Event,
    outbox::delivery,
    runtime::{mailbox::BoxFuture, passivation, shared_state::Runtime},
    time::reminder,
};

/// One duty: runs until its arbiter stops, and again if it panics.
struct ServiceActor {
    name: &'static str,
    runtime: Weak<Runtime>,
    run: Run,
}

impl Actor for ServiceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let run = AssertUnwindSafe((self.run)(Weak::clone(&self.runtime))).catch_unwind();
        let restart_on_panic =
            |result: Result<(), _>, service: &mut Self, ctx: &mut Self::Context| {
                if result.is_err() {
                    tracing::error!(
                        service = service.name,
                        "a duty of the node panicked; it starts again"
                    );
                    ctx.stop();
                }
            };
        ctx.spawn(run.into_actor(self).map(restart_on_panic));
    }
}

impl Supervised for ServiceActor {}

type Run = Box<dyn Fn(Weak<Runtime>) -> BoxFuture<()> + Send>;

/// The runtime's own duties, and those of the built-ins.
fn services(built_in: Vec<Arc<dyn MaintenanceService>>) -> Vec<(&'static str, Run)> {
    let mut services: Vec<(&'static str, Run)> = vec![
        ("passivation", Box::new(|runtime| Box::pin(passivate(runtime)))),
        ("timers", Box::new(|runtime| Box::pin(fire_timers(runtime)))),
        ("reminders", Box::new(|runtime| Box::pin(deliver_reminders(runtime)))),
        ("outbox", Box::new(|runtime| Box::pin(deliver_letters(runtime)))),
        ("upkeep", Box::new(|runtime| Box::pin(keep_up(runtime)))),
    ];
    for service in built_in {
        let name = service.name();
        let run = move |runtime| {
            Box::pin(service::commit_effects(Arc::clone(&service), runtime)) as BoxFuture<()>
        };
        services.push((name, Box::new(run)));
    }
    services
}

/// The thread on which the duties' actix system lives.
#[derive(Debug)]
pub(crate) struct Services {
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Services {
    pub(crate) fn start(runtime: &Arc<Runtime>) -> std::io::Result<Self> {
        let services = services(runtime.services.clone());
        let runtime = Arc::downgrade(runtime);
        let (stop, is_stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("lanekeeper-duty".to_owned())
            .spawn(move || run_system(&runtime, services, &is_stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops every duty and waits until none runs any more. Blocks for as long as a turn of a duty
    /// takes.
    pub(crate) fn stop(mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the duties panicked");
        }
    }
}

fn run_system(
    runtime: &Weak<Runtime>,
    services: Vec<(&'static str, Run)>,
    is_stopped: &mpsc::Receiver<()>,
) {
    let system = System::new();
    let arbiter = system.block_on(async { Arbiter::new() });
    for (name, run) in services {
        let service = ServiceActor { name, runtime: Weak::clone(runtime), run };
        Supervisor::start_in_arbiter(&arbiter.handle(), |_| service);
    }
    // Also ends when the sender is dropped.
    let _ = is_stopped.recv();
    arbiter.stop();
    if arbiter.join().is_err() {
        tracing::error!("the arbiter of the duties panicked");
    }
    System::current().stop();
    let _ = system.run();
}

async fn passivate(runtime: Weak<Runtime>) {
    while let Some(runtime) = runtime.upgrade() {
        passivation::run_once(&runtime);
        let interval = passivation::interval(runtime.options.idle_timeout);
        let sleep = runtime.clock.doze(interval);
        tokio::select! {
            () = sleep => {}
            // New activations arrive faster than they can be put away one by one.
            () = runtime.pressure.notified() => tokio::task::yield_now().await,
        }
    }
}

async fn fire_timers(runtime: Weak<Runtime>) {
    while let Some(runtime) = runtime.upgrade() {
        let now = runtime.clock.elapsed();
        runtime.timers.run_once(now);
        // Timers that are armed for now all the time leave others their turn.
        tokio::task::yield_now().await;
        let changed = runtime.timers.changed.notified();
        match runtime.timers.first_due() {
            None => changed.await,
            Some(due) => {
                let sleep = runtime.clock.doze(due.saturating_sub(now));
                tokio::select! { () = sleep => {}, () = changed => {} }
            }
        }
    }
}

/// The longest sleep of the reminder duty: wall time may be set meanwhile.
const REMINDER_SLEEP_MAX: Duration = Duration::from_secs(1);

async fn deliver_reminders(runtime: Weak<Runtime>) {
    while let Some(runtime) = runtime.upgrade() {
        let changed = runtime.reminders.changed.notified();
        let looking = runtime.in_flight.begin();
        let due_ms = reminder::run_once(&runtime).await.unwrap_or_else(|error| {
            tracing::error!(%error, "reminders could not be read");
            Some(runtime.clock.now_ms() + 1000)
        });
        drop(looking);
        match due_ms {
            None => changed.await,
            Some(due_ms) => {
                let wait_ms = due_ms.saturating_sub(runtime.clock.now_ms()).max(1);
                let wait = Duration::from_millis(wait_ms).min(REMINDER_SLEEP_MAX);
                let sleep = runtime.clock.doze(wait);
                tokio::select! { () = sleep => {}, () = changed => {} }
            }
        }
    }
}

/// The pause after letters could not be read.
const LETTERS_RETRY_AFTER: Duration = Duration::from_secs(1);

async fn deliver_letters(runtime: Weak<Runtime>) {
    while let Some(runtime) = runtime.upgrade() {
        let changed = runtime.outbox.changed.notified();
        let looking = runtime.in_flight.begin();
        let looked = delivery::run_once(&runtime).await;
        drop(looking);
        if let Err(error) = looked {
            tracing::error!(%error, "letters could not be read");
            runtime.clock.sleep(LETTERS_RETRY_AFTER).await;
            continue;
        }
        changed.await;
    }
}

/// The pause after an upkeep that failed, so that a broken disk is not hammered.
const UPKEEP_RETRY_AFTER: Duration = Duration::from_secs(1);

async fn keep_up(runtime: Weak<Runtime>) {
    let Some(engine) = runtime.upgrade().map(|runtime| Arc::clone(runtime.store.engine())) else {
        return;
    };
    let worker = EngineMaintenance::start(Arc::clone(&engine), Some(UPKEEP_NICENESS));
    let mut urgent = None;
    loop {
        std::future::poll_fn(|cx| engine.poll_maintenance(cx)).await;
        // Somebody is refused until upkeep has made room: it would starve behind those who ask.
        let worker = if engine.status().is_disk_full {
            urgent.get_or_insert_with(|| EngineMaintenance::start(Arc::clone(&engine), None))
        } else {
            &worker
        };
        let done = worker.run().await;
        let Some(runtime) = runtime.upgrade() else { return };
        match done {
            Ok(maintain) => runtime.events.emit(|| Event::Maintenance(maintain)),
            Err(error) => {
                tracing::error!(%error, "upkeep failed; it is tried again");
                runtime.clock.sleep(UPKEEP_RETRY_AFTER).await;
            }
        }
    }
}

/// How far upkeep stands back behind turns and commits when the processors are busy.
const UPKEEP_NICENESS: i32 = 10;

/// A thread for upkeep alone, which yields to everything that somebody waits for. It is one thread
/// for all of it: what the store allocates outlives the call, and threads that end leave their
/// memory scattered.
struct EngineMaintenance(mpsc::Sender<oneshot::Sender<Result<Maintenance, LoadError>>>);

impl EngineMaintenance {
    fn start(engine: Arc<dyn Engine>, niceness: Option<i32>) -> Self {
        let (orders, taken) = mpsc::channel::<oneshot::Sender<_>>();
        let work = move || {
            if let Some(niceness) = niceness {
                // Only a wish: where it is refused, upkeep runs like everything else.
                let _ = rustix::process::setpriority_process(None, niceness);
            }
            for done in taken {
                let _ = done.send(engine.maintain());
            }
        };
        let thread = thread::Builder::new().name("lanekeeper-upkeep".to_owned()).spawn(work);
        if let Err(error) = thread {
            tracing::error!(%error, "the thread for upkeep could not be started");
        }
        Self(orders)
    }

    async fn run(&self) -> Result<Maintenance, LoadError> {
        let (done, is_done) = oneshot::channel();
        let ended = || LoadError::Io("the thread for upkeep has ended".into());
        self.0.send(done).map_err(|_| ended())?;
        is_done.await.unwrap_or_else(|_| Err(ended()))
    }
}
