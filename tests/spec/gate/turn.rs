//! Permits that other actors' turns take and give back.

use std::time::Duration;

use lanekeeper_actors::{Event, Handler, Request, Turn, VirtualActor, gate::TicketState};
use serde::{Deserialize, Serialize};

use crate::support::gate::{Gates, waiting};

/// An actor whose jobs each hold a permit, taken and given back in its turns.
#[derive(Default, Serialize, Deserialize)]
struct Jobs {
    running: Vec<String>,
}

impl VirtualActor for Jobs {
    const KIND: &'static str = "jobs";
}

/// Begin a job if the gate lets it in.
struct Begin(&'static str);

/// End a job.
struct End(&'static str);

impl Request for Begin {
    type Reply = bool;
}

impl Request for End {
    type Reply = ();
}

impl Handler<Begin> for Jobs {
    async fn handle(&mut self, Begin(job): Begin, turn: &mut Turn<'_, Self>) -> bool {
        let permit = turn.gate("g").acquire(job).timeout(Duration::ZERO).await;
        if permit.is_ok() {
            self.running.push(job.to_owned());
            turn.save();
        }
        permit.is_ok()
    }
}

impl Handler<End> for Jobs {
    async fn handle(&mut self, End(job): End, turn: &mut Turn<'_, Self>) {
        self.running.retain(|running| running != job);
        turn.save();
        turn.release_permit("g", job).unwrap();
    }
}

#[tokio::test]
async fn a_turn_takes_permits_without_waiting_and_gives_them_back_with_its_commit() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    let jobs = gates.node.actor::<Jobs>("j");
    assert!(jobs.ask(Begin("one")).await.unwrap());
    assert!(jobs.ask(Begin("one")).await.unwrap(), "idempotent by owner");
    assert!(!jobs.ask(Begin("two")).await.unwrap());
    let next = waiting(gate.acquire("next")).await;
    let mut events = gates.node.events();
    jobs.ask(End("one")).await.unwrap();
    jobs.ask(End("one")).await.unwrap();
    gates.node.run_duties().await.unwrap();
    let is_gate = |event: &Event| matches!(event, Event::Turn { id } if id.kind == "gate");
    events.until(is_gate).await.unwrap();
    next.await.unwrap();
    assert_eq!(gate.ticket("next").await.unwrap().state, TicketState::Granted);
}
