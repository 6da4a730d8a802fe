//! An actor of the sort a user writes, with what tests need to look inside.

use lanekeeper_actors::{Handler, Request, Turn, VirtualActor};
use serde::{Deserialize, Serialize};

/// A counter whose total is durable once it was kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counter {
    total: u64,
}

impl VirtualActor for Counter {
    const KIND: &'static str = "counter";
}

/// Adds without saving.
pub(crate) struct Add(pub(crate) u64);

/// Adds and saves.
#[derive(Clone)]
pub(crate) struct Keep(pub(crate) u64);

/// Panics after it has added.
pub(crate) struct Panic;

impl Request for Add {
    type Reply = u64;
}

impl Request for Keep {
    type Reply = u64;
}

impl Request for Panic {
    type Reply = ();
}

impl Handler<Add> for Counter {
    async fn handle(&mut self, Add(n): Add, _turn: &mut Turn<'_, Self>) -> u64 {
        self.total += n;
        self.total
    }
}

impl Handler<Keep> for Counter {
    async fn handle(&mut self, Keep(n): Keep, turn: &mut Turn<'_, Self>) -> u64 {
        self.total += n;
        turn.save();
        self.total
    }
}

impl Handler<Panic> for Counter {
    async fn handle(&mut self, _: Panic, turn: &mut Turn<'_, Self>) {
        self.total += 1_000;
        turn.save();
        panic!("on purpose");
    }
}
