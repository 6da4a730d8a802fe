//! What the page shows, and what it may order.

use std::{
    sync::{Arc, Mutex, MutexGuard, mpsc::Sender},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::loadtest::{
    fill::prepopulate::Filling,
    plan::{
        run_plan::{Control, Model, Plan},
        scenario::Scenario,
    },
    record::{
        result::{RunResult, Second},
        tally::SecondCounts,
        timeline::{self, Timeline},
    },
    run::Watcher,
};

/// Seconds that the page draws.
const SECONDS_MAX: usize = 300;

/// A run that somebody wants.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageOrder {
    /// A scenario's name.
    pub(crate) scenario: String,
    /// How long is measured, in seconds.
    pub(crate) seconds: u64,
    /// What the rates are multiplied by, in the open model.
    #[serde(default)]
    pub(crate) scale: Option<f64>,
    /// Users, in the closed model.
    #[serde(default)]
    pub(crate) users: Option<u32>,
    /// Users that begin each second.
    #[serde(default)]
    pub(crate) spawn_rate: Option<f64>,
}

/// A change to the run under way.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// What the rates are multiplied by.
    #[serde(default)]
    pub(crate) scale: Option<f64>,
    /// Users there are to be.
    #[serde(default)]
    pub(crate) users: Option<u32>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// None was ordered, or the last one is over.
    #[default]
    Idle,
    /// Ordered; its server starts.
    Starting,
    /// Its queues are filled.
    Filling,
    /// It is under way.
    Running,
    /// Its queues are emptied and judged.
    Verifying,
}

/// What the page asks for each second.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct PageState {
    phase: Phase,
    scenario: String,
    title: String,
    model: Option<Model>,
    scale: f64,
    users: u32,
    planned_seconds: f64,
    measured_seconds: f64,
    filled: u64,
    to_fill: u64,
    seconds: Vec<Second>,
    requests: Vec<(String, crate::loadtest::record::result::Figures)>,
    failures: Vec<(String, String, u64)>,
    verdict: Option<crate::loadtest::verify::Verification>,
    warnings: Vec<String>,
    message: String,
    runs: usize,
}

#[derive(Default)]
struct Inner {
    state: PageState,
    control: Option<Arc<Control>>,
    results: Vec<RunResult>,
}

/// Shared by the page and whoever runs what it orders.
pub(crate) struct PageBoard {
    inner: Mutex<Inner>,
    orders: Mutex<Sender<PageOrder>>,
    /// What there is to choose from.
    scenarios: Vec<Scenario>,
}

impl PageBoard {
    /// A board without a run; orders go to whoever has the other end.
    pub(crate) fn new(orders: Sender<PageOrder>, scenarios: Vec<Scenario>) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), orders: Mutex::new(orders), scenarios })
    }

    /// What there is to choose from.
    pub(crate) fn scenarios(&self) -> &[Scenario] {
        &self.scenarios
    }

    /// The scenario of a name.
    pub(crate) fn scenario(&self, id: &str) -> Option<&Scenario> {
        self.scenarios.iter().find(|scenario| scenario.id == id)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics with it")
    }

    /// What there is to show.
    pub(crate) fn state(&self) -> PageState {
        let inner = self.inner();
        let mut state = inner.state.clone();
        if let Some(control) = &inner.control {
            (state.scale, state.users) = (control.scale_now(), control.users_now());
        }
        state
    }

    /// Results of the runs so far.
    pub(crate) fn results(&self) -> Vec<RunResult> {
        self.inner().results.clone()
    }

    /// Orders a run; false if one is under way.
    pub(crate) fn order(&self, order: PageOrder) -> bool {
        let mut inner = self.inner();
        if inner.state.phase != Phase::Idle {
            return false;
        }
        let runs = inner.state.runs;
        let scenario = order.scenario.clone();
        inner.state = PageState { phase: Phase::Starting, scenario, runs, ..PageState::default() };
        let orders = self.orders.lock().expect("nobody panics with it");
        orders.send(order).is_ok()
    }

    /// Ends the run under way.
    pub(crate) fn stop(&self) {
        if let Some(control) = &self.inner().control {
            control.stop();
        }
    }

    /// Changes the run under way; false if there is none that can be changed so.
    pub(crate) fn change(&self, change: Change) -> bool {
        let inner = self.inner();
        let Some(control) = &inner.control else { return false };
        match (inner.state.model, change) {
            (Some(Model::Open { .. }), Change { scale: Some(scale), users: None }) => {
                control.scale(scale);
                true
            }
            (Some(Model::Closed { .. }), Change { users: Some(users), scale: None }) => {
                control.users(users);
                true
            }
            _ => false,
        }
    }

    /// A run begins.
    pub(crate) fn begin(&self, plan: &Plan, control: &Arc<Control>) {
        let mut inner = self.inner();
        inner.control = Some(Arc::clone(control));
        let state = &mut inner.state;
        state.phase = Phase::Filling;
        state.title.clone_from(&plan.scenario.title);
        state.model = Some(plan.model);
        state.planned_seconds = plan.duration.as_secs_f64();
    }

    /// A run is over, with its result or the reason why there is none.
    pub(crate) fn end(&self, ended: Result<RunResult, String>) {
        let mut inner = self.inner();
        inner.control = None;
        inner.state.phase = Phase::Idle;
        match ended {
            Ok(result) => {
                inner.state.verdict.clone_from(&result.verification);
                inner.state.warnings.clone_from(&result.warnings);
                inner.results.push(result);
            }
            Err(reason) => inner.state.message = reason,
        }
        inner.state.runs = inner.results.len();
    }
}

/// Puts what happens on the board.
impl Watcher for Arc<PageBoard> {
    fn filling(&mut self, filling: Filling) {
        let state = &mut self.inner().state;
        (state.filled, state.to_fill) = (filling.done, filling.total);
    }

    fn second(&mut self, plan: &Plan, timeline: &Timeline) {
        let state = &mut self.inner().state;
        let is_over = plan.duration <= Duration::from_secs_f64(timeline.measured_seconds);
        state.phase = if is_over { Phase::Verifying } else { Phase::Running };
        state.measured_seconds = timeline.measured_seconds;
        let first = timeline.seconds.len().saturating_sub(SECONDS_MAX);
        state.seconds = timeline.seconds[first..].to_vec();
        state.requests = timeline::figures(&timeline.all).into_iter().collect();
        state.failures = failures(&timeline.all);
    }

    fn note(&mut self, text: &str) {
        text.clone_into(&mut self.inner().state.message);
    }
}

fn failures(all: &SecondCounts) -> Vec<(String, String, u64)> {
    let mut failures = Vec::new();
    for (action, reasons) in &all.failures {
        for (reason, count) in reasons {
            failures.push((action.name().to_owned(), reason.clone(), *count));
        }
    }
    failures
}
