//! A generator: one thread that sends requests at their moments and takes their answers.
//!
//! It never blocks but to wait for the next moment or sign, so that a slow answer holds up nothing:
//! a request whose moment has come waits at most for a free connection, and its latency counts from
//! that moment all the same.

mod arrival;
mod classify;
mod connection;
mod lease_followup;
pub(crate) mod lease_work;
mod pool;
pub(crate) mod request;
pub(crate) mod response_head;
pub(crate) mod subscribers;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use crate::loadtest::{
    generate::{
        arrival::Arrivals,
        connection::{Loss, Progress},
        lease_followup::Follow,
        pool::Pool,
        request::{Asked, Requests},
    },
    item::ItemId,
    load_clock::{nanos, now},
    plan::{
        action::Action,
        run_plan::{Control, Plan},
        scenario::Fault,
    },
    record::{expected_items::ExpectedItems, tally::SecondCounts},
};

/// What generators tell while they run.
pub(crate) struct Report {
    /// The second it is about, counted from the beginning of what is measured.
    pub(crate) second: u64,
    /// What was counted in it.
    pub(crate) tally: SecondCounts,
}

/// A request under way.
pub(crate) struct PlannedRequest {
    asked: Asked,
    /// Latency counts from here.
    intended: u64,
    sent: u64,
    /// Whether whoever sent it goes on to something else after it.
    is_last: bool,
}

/// Requests that wait for a connection, at most.
const BACKLOG_MAX: usize = 1_000_000;

/// How often overdue answers are looked for.
const LOOK: u64 = 20_000_000;

/// How long a user whose connection failed waits before the next.
const PAUSE: u64 = 50_000_000;

/// One request in so many is cut, where the scenario says so.
const CUT_ONE_IN: u32 = 20;

/// One of a run's generators.
pub(crate) struct Generator {
    plan: Arc<Plan>,
    control: Arc<Control>,
    reports: Sender<Report>,
    requests: Requests,
    pool: Pool,
    arrivals: Arrivals,
    /// Moments that have come, waiting for a connection.
    backlog: VecDeque<u64>,
    /// What follows from answers, waiting for one too.
    follows: VecDeque<Follow>,
    /// What is being counted.
    tally: SecondCounts,
    ledger: ExpectedItems,
    random: fastrand::Rng,
    /// Buffers that are used again and again.
    body: Vec<u8>,
    scratch: Vec<u8>,
    /// When the measured part begins, and when it ends.
    measured: (u64, u64),
    second: u64,
    look_next: u64,
}

impl Generator {
    /// The generator at `place` of a plan's, from `start` on.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn new(
        plan: &Arc<Plan>,
        control: &Arc<Control>,
        reports: Sender<Report>,
        start: u64,
        place: usize,
    ) -> io::Result<Self> {
        let lane = plan.first_lane + place as u16;
        let begin = start + nanos(plan.warmup);
        let connections = (plan.connections / plan.generators).max(1);
        let among = (usize::from(lane), plan.generators);
        Ok(Self {
            requests: Requests::new(plan),
            pool: Pool::new(plan.addr, connections)?,
            arrivals: Arrivals::new(plan, start, among),
            backlog: VecDeque::new(),
            follows: VecDeque::new(),
            tally: SecondCounts::default(),
            ledger: ExpectedItems::new(lane),
            random: fastrand::Rng::with_seed(plan.seed ^ (u64::from(lane) << 48)),
            body: Vec::new(),
            scratch: Vec::new(),
            measured: (begin, begin + nanos(plan.duration)),
            second: 0,
            look_next: 0,
            plan: Arc::clone(plan),
            control: Arc::clone(control),
            reports,
        })
    }

    /// Sends everything there is to send, and waits for the answers.
    ///
    /// # Errors
    /// As the operating system says when it waits.
    pub(crate) fn run(mut self) -> io::Result<ExpectedItems> {
        let mut signs = Vec::new();
        loop {
            let now = now();
            self.report(now);
            if self.is_over(now) {
                break;
            }
            self.admit(now);
            self.dispatch();
            self.drop_overdue(now);
            let span = self.wake(now).saturating_sub(crate::loadtest::load_clock::now());
            let span = Duration::from_nanos(span);
            self.pool.wait(span, &mut signs)?;
            for place in signs.drain(..) {
                self.advance(place);
            }
        }
        self.abandon();
        self.send_report();
        Ok(self.ledger)
    }

    /// Whether everything was sent and answered, or waited for long enough.
    fn is_over(&mut self, now: u64) -> bool {
        if self.control.is_stopped() {
            self.measured.1 = self.measured.1.min(now);
        } else if now < self.measured.1 || self.arrivals.due().is_some() {
            return false;
        }
        let is_idle = self.backlog.is_empty() && self.follows.is_empty();
        let is_settled = is_idle && self.pool.busy_count() == 0;
        is_settled || now >= self.measured.1 + nanos(self.plan.timeout)
    }

    /// When there is something to do, if no connection gives a sign before.
    fn wake(&self, now: u64) -> u64 {
        let due = if self.control.is_stopped() { None } else { self.arrivals.due() };
        due.unwrap_or(u64::MAX).min(now + LOOK)
    }

    /// Takes up the moments that have come.
    fn admit(&mut self, now: u64) {
        if self.control.is_stopped() {
            self.backlog.clear();
            return;
        }
        self.arrivals.spawn(&self.control, now);
        while let Some(due) = self.arrivals.due().filter(|due| *due <= now) {
            self.arrivals.take(&self.control);
            if self.is_measured(due) {
                self.tally.lag.record(now - due);
                self.tally.delayed += u64::from(!self.pool.is_free());
            }
            if self.backlog.len() < BACKLOG_MAX {
                self.backlog.push_back(due);
            } else {
                let action = self.choose();
                self.fail(action, due, "never sent: too many waited for a connection".to_owned());
            }
        }
    }

    /// Sends what waits, as far as there are connections.
    fn dispatch(&mut self) {
        while !self.backlog.is_empty() || !self.follows.is_empty() {
            let Some(taken) = self.pool.take() else { return };
            let follow = self.follows.pop_front();
            let due = follow.as_ref().map_or_else(|| self.backlog.pop_front(), |it| Some(it.due));
            let due = due.expect("one of the two has something");
            match (taken, follow) {
                (Ok(place), Some(Follow { asked, is_last, .. })) => {
                    self.send(place, asked, (due, is_last));
                }
                (Ok(place), None) => {
                    let asked = self.ask(now());
                    self.send(place, asked, (due, true));
                }
                (Err(loss), follow) => self.give_up(loss, due, follow),
            }
        }
    }

    /// There is no connection to send with.
    fn give_up(&mut self, loss: Loss, due: u64, follow: Option<Follow>) {
        let action = follow.as_ref().map_or_else(|| self.choose(), |it| it.asked.action);
        self.fail(action, due, loss.reason);
        if follow.is_none_or(|it| it.is_last) {
            self.arrivals.settled(now(), PAUSE, &mut self.random);
        }
    }

    fn send(&mut self, place: usize, asked: Asked, (due, is_last): (u64, bool)) {
        let sent = now();
        let intended = if self.arrivals.is_closed() { sent } else { due };
        let is_cut = self.plan.scenario.fault == Some(Fault::Cut);
        let is_cut = is_cut && self.random.u32(..CUT_ONE_IN) == 0;
        self.note_sent(&asked, sent);
        let line = self.pool.line(place);
        line.connection.clear();
        self.requests.write(&asked, &mut self.body, &mut line.connection.output);
        line.call = Some(PlannedRequest { asked, intended, sent, is_last });
        if is_cut {
            let bytes = line.connection.output.len();
            let bytes = if self.random.bool() { bytes } else { self.random.usize(..bytes) };
            line.connection.send_part(bytes);
            self.cut(place);
        } else {
            self.advance(place);
        }
    }

    fn choose(&mut self) -> Action {
        let mix = &self.plan.scenario.mix;
        let weights: u32 = mix.iter().map(|share| share.weight).sum();
        let mut drawn = self.random.u32(..weights);
        for share in mix {
            if drawn < share.weight {
                return share.action;
            }
            drawn -= share.weight;
        }
        mix[0].action
    }

    fn ask(&mut self, sent: u64) -> Asked {
        let action = self.choose();
        let scenario = &self.plan.scenario;
        let queue = self.random.u32(..scenario.active.unwrap_or(scenario.queues));
        let priorities = self.plan.scenario.priorities;
        let priority = if priorities == 1 { 1 } else { self.random.u32(..priorities) };
        let depth = self.plan.scenario.depth;
        let item = match action {
            Action::Push if self.plan.is_verified => self.ledger.push(queue, priority, sent),
            _ => ItemId { lane: self.ledger.lane, number: 0 },
        };
        Asked { action, queue, item, priority, depth, held: Vec::new() }
    }

    /// Goes on with a connection that gave a sign.
    fn advance(&mut self, place: usize) {
        let line = self.pool.line(place);
        match line.connection.advance() {
            Progress::Pending => {}
            Progress::Answered(answer) => {
                let Some(call) = line.call.take() else { return self.pool.close(place) };
                let now = now();
                let is_done = self.answered(place, &call, &answer, now);
                if answer.is_last {
                    self.pool.close(place);
                } else {
                    self.pool.release(place);
                }
                if is_done {
                    self.arrivals.settled(now, 0, &mut self.random);
                }
            }
            Progress::Lost(loss) => self.lose(place, loss),
        }
    }

    fn lose(&mut self, place: usize, loss: Loss) {
        if let Some(call) = self.pool.line(place).call.take() {
            let now = now();
            self.lost(&call, &loss, now);
            self.fail(call.asked.action, call.intended, loss.reason);
            if call.is_last {
                self.arrivals.settled(now, PAUSE, &mut self.random);
            }
        }
        self.pool.close(place);
    }

    /// Closes a connection with its request under way, as the scenario wants it.
    fn cut(&mut self, place: usize) {
        let line = self.pool.line(place);
        let loss = line.connection.lost("cut");
        if let Some(call) = line.call.take() {
            let now = now();
            self.lost(&call, &loss, now);
            self.tally.cuts += u64::from(self.is_measured(call.intended));
            if call.is_last {
                self.arrivals.settled(now, 0, &mut self.random);
            }
        }
        self.pool.close(place);
    }

    fn drop_overdue(&mut self, now: u64) {
        if now < self.look_next {
            return;
        }
        self.look_next = now + LOOK;
        for place in self.pool.overdue(now.saturating_sub(nanos(self.plan.timeout))) {
            let loss = self.pool.line(place).connection.lost("no answer in time");
            self.lose(place, loss);
        }
    }

    /// What is still under way at the end has no answer.
    fn abandon(&mut self) {
        for place in self.pool.overdue(u64::MAX) {
            let loss = self.pool.line(place).connection.lost("no answer before the end");
            self.lose(place, loss);
        }
        for follow in std::mem::take(&mut self.follows) {
            let reason = "never sent: no connection was free".to_owned();
            self.fail(follow.asked.action, follow.due, reason);
        }
        for due in std::mem::take(&mut self.backlog) {
            let action = self.choose();
            self.fail(action, due, "never sent: no connection was free".to_owned());
        }
    }

    fn is_measured(&self, intended: u64) -> bool {
        intended >= self.measured.0
    }

    fn fail(&mut self, action: Action, intended: u64, reason: String) {
        if self.is_measured(intended) {
            let nanos = now().saturating_sub(intended);
            self.tally.fail(action, nanos, reason);
        }
    }

    /// Tells what was counted once a second is over.
    fn report(&mut self, now: u64) {
        // What is answered after the end belongs to the last second.
        let within = now.min(self.measured.1.saturating_sub(1));
        let second = within.saturating_sub(self.measured.0) / 1_000_000_000;
        if second > self.second {
            self.send_report();
            self.second = second;
        }
    }

    fn send_report(&mut self) {
        let mut tally = std::mem::take(&mut self.tally);
        tally.busy = self.pool.busy_count() as u64;
        tally.users = self.arrivals.user_count();
        // Nobody listens any more once the run was given up.
        drop(self.reports.send(Report { second: self.second, tally }));
    }
}
