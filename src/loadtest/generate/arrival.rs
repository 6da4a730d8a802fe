//! When a generator has something to send.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::loadtest::{
    load_clock::nanos,
    plan::{
        run_plan::{Control, Model, Plan},
        schedule::Pacer,
    },
};

/// Moments to send at.
pub(crate) enum Arrivals {
    /// By a schedule.
    Open(Pacer),
    /// By users.
    Closed(Users),
}

/// Users that send, wait for the answer, wait a while, and send again.
pub(crate) struct Users {
    /// When each idle one sends next.
    due: BinaryHeap<Reverse<u64>>,
    /// All there are, idle or not.
    count: u32,
    /// The generator's place among how many.
    place: (u32, u32),
    spawn_gap: u64,
    spawn_next: u64,
    wait: (u64, u64),
    end: u64,
}

impl Arrivals {
    /// Those of the generator at `place` among `count` from `start` on.
    pub(crate) fn new(plan: &Plan, start: u64, (place, count): (usize, usize)) -> Self {
        let begin = start + nanos(plan.warmup);
        let length = nanos(plan.duration);
        match plan.model {
            Model::Open { scale } => {
                let shape = plan.scenario.shape;
                Self::Open(Pacer::new(shape, start, (begin, length), (place, count), scale))
            }
            Model::Closed { spawn_rate, wait_ms: (least, most), .. } => {
                let gap = if spawn_rate > 0.0 { count as f64 * 1e9 / spawn_rate } else { 0.0 };
                Self::Closed(Users {
                    due: BinaryHeap::new(),
                    count: 0,
                    place: (place as u32, count as u32),
                    spawn_gap: gap as u64,
                    spawn_next: start + (gap as u64) * place as u64 / count as u64,
                    wait: (least * 1_000_000, most * 1_000_000),
                    end: begin + length,
                })
            }
        }
    }

    /// The next moment, if there is one before the end.
    pub(crate) fn due(&self) -> Option<u64> {
        match self {
            Self::Open(pacer) => pacer.due(),
            Self::Closed(users) => users.due.peek().map(|due| due.0).filter(|due| *due < users.end),
        }
    }

    /// Takes the next moment and goes on.
    pub(crate) fn take(&mut self, control: &Control) {
        match self {
            Self::Open(pacer) => pacer.advance(control.scale_now()),
            Self::Closed(users) => drop(users.due.pop()),
        }
    }

    /// Users begin as they are due.
    pub(crate) fn spawn(&mut self, control: &Control, now: u64) {
        let Self::Closed(users) = self else { return };
        let (place, count) = users.place;
        let all = control.users_now();
        let wanted = all / count + u32::from(place < all % count);
        while users.count < wanted && users.spawn_next <= now {
            users.due.push(Reverse(users.spawn_next.max(now)));
            users.count += 1;
            users.spawn_next = users.spawn_next.max(now.saturating_sub(users.spawn_gap));
            users.spawn_next += users.spawn_gap;
        }
        while users.count > wanted && users.due.pop().is_some() {
            users.count -= 1;
        }
    }

    /// A request of somebody came to its end.
    pub(crate) fn settled(&mut self, now: u64, pause: u64, random: &mut fastrand::Rng) {
        if let Self::Closed(users) = self {
            let wait = random.u64(users.wait.0..=users.wait.1);
            users.due.push(Reverse(now + wait.max(pause)));
        }
    }

    /// Users there are.
    pub(crate) fn user_count(&self) -> u64 {
        match self {
            Self::Open(_) => 0,
            Self::Closed(users) => u64::from(users.count),
        }
    }

    /// Whether latency is counted from when a request is sent, for want of an intended moment.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}
