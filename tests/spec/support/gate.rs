//! Gates on an engine that fails when told to, by a clock that is moved by hand.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::poll;
use lanekeeper_actors::{
    Clock, Event, Node, NodeBuilder,
    gate::{Acquire, Gate, GateError, GatePolicy, GateTotals, Permit, Ticket, TicketState},
};
use lanekeeper_storage::{Crash, FaultEngine};

/// An acquire that was begun.
pub(crate) type Acquiring = Pin<Box<dyn Future<Output = Result<Permit, GateError>> + Send>>;

pub(crate) struct Gates {
    pub(crate) node: Node,
    pub(crate) clock: Clock,
    pub(crate) engine: Arc<FaultEngine>,
}

impl Gates {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(build: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Self {
        Self::on(FaultEngine::new(1), Clock::manual(), build)
    }

    fn on(
        engine: FaultEngine,
        clock: Clock,
        build: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Self {
        let engine = Arc::new(engine);
        let builder = build(Node::builder()).clock(clock.clone()).without_duties();
        let node = builder.start(Arc::clone(&engine) as _).unwrap();
        Self { node, clock, engine }
    }

    /// A gate that admits so many.
    pub(crate) async fn gate(&self, id: &str, max_concurrent: u32) -> Gate {
        let gate = self.node.gate(id);
        gate.set_policy(GatePolicy::concurrent(max_concurrent)).await.unwrap();
        gate
    }

    /// Moves the clock, and has everything happen that is due by then.
    pub(crate) async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        let due = self.due_count().await;
        if due == 0 {
            return;
        }
        let mut events = self.node.events();
        self.node.run_duties().await.unwrap();
        for _ in 0..due {
            let is_fired = |event: &Event| matches!(event, Event::ReminderFired { .. });
            events.until(is_fired).await.unwrap();
        }
    }

    /// Has everything happen that is due, again and again, until the figures are as wanted.
    pub(crate) async fn advance_until(&self, is_wanted: impl Fn(&GateTotals) -> bool) {
        for _ in 0..100 {
            self.advance(Duration::from_millis(1)).await;
            if is_wanted(&self.node.gate_totals()) {
                return;
            }
        }
        panic!("{:?}", self.node.gate_totals());
    }

    async fn due_count(&self) -> usize {
        use lanekeeper_storage::{Engine, ScanLimit, key};
        let range = key::reminders_due_by(self.clock.now_ms());
        self.engine.scan(&range, ScanLimit::count(1_000)).unwrap().len()
    }

    /// The same gates after the process was killed and started again.
    pub(crate) fn crash(self) -> Self {
        let disk = self.engine.disk().crash(Crash::Kill);
        let engine = FaultEngine::open(&disk, FaultEngine::options()).unwrap();
        Self::on(engine, self.clock, |builder| builder)
    }

    /// Fails if the records do not agree with each other.
    pub(crate) fn check(&self) {
        let report = self.engine.disk().crash(Crash::Kill).check().unwrap();
        assert!(report.is_sound(), "{report}");
    }
}

/// An acquire that waits, begun.
pub(crate) async fn waiting(acquire: Acquire) -> Acquiring {
    let mut acquiring = acquire.into_future();
    assert!(poll!(&mut acquiring).is_pending());
    acquiring
}

/// An acquire that is granted at once.
pub(crate) async fn granted(gate: &Gate, owner: &str) {
    let permit = gate.acquire(owner).await.unwrap();
    assert_eq!((permit.owner(), permit.waited()), (owner, Duration::ZERO));
}

/// The position of an owner that waits.
pub(crate) fn position(ticket: &Ticket) -> u32 {
    match ticket.state {
        TicketState::Queued { position, .. } => position,
        TicketState::Granted => panic!("{ticket:?} does not wait"),
    }
}

/// Releases and says who was let in for it.
pub(crate) async fn next(gate: &Gate, owner: &str) -> Vec<String> {
    let released = gate.release(owner).await.unwrap();
    assert!(released.released, "{owner} holds no permit");
    released.granted
}
