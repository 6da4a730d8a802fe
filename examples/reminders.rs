//! Timers and reminders of an actor of one's own, and a clock that is moved instead of waited for.
//!
//! `cargo run --example reminders`. It takes no time: a day passes when it is told to.

use std::time::Duration;

use lanekeeper::{Clock, Handler, Lanekeeper, Reminder, Request, Turn, VirtualActor};
use serde::{Deserialize, Serialize};

const MINUTE: Duration = Duration::from_secs(60);

/// A cart that is reminded of, and given up after a day.
#[derive(Default, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
    is_given_up: bool,
    /// Not kept: how often the page of the cart was refreshed.
    #[serde(skip)]
    refreshed: u32,
}

impl VirtualActor for Cart {
    const KIND: &'static str = "cart";

    async fn on_reminder(&mut self, reminder: &Reminder, turn: &mut Turn<'_, Self>) {
        match reminder.name.as_str() {
            "nudge" => println!("{}: still want {}?", turn.id().key, self.items.join(", ")),
            _ => self.is_given_up = true,
        }
        turn.save();
    }
}

struct Put(&'static str);

#[derive(Clone)]
struct Refresh;

struct Look;

impl Request for Put {
    type Reply = ();
}

impl Request for Refresh {
    type Reply = ();
}

impl Request for Look {
    type Reply = (usize, bool, u32);
}

impl Handler<Put> for Cart {
    async fn handle(&mut self, Put(item): Put, turn: &mut Turn<'_, Self>) {
        self.items.push(item.to_owned());
        // Durable, and they wake the actor; one of the same name is replaced.
        let now = turn.now();
        turn.remind("nudge", now + 60 * MINUTE).expect("a name of a few letters");
        turn.remind("give up", now + 24 * 60 * MINUTE).expect("a name of a few letters");
        // A turn every minute, for as long as the actor stays in memory.
        turn.timer_every("refresh", MINUTE, Refresh);
        turn.save();
    }
}

impl Handler<Refresh> for Cart {
    async fn handle(&mut self, _: Refresh, _: &mut Turn<'_, Self>) {
        self.refreshed += 1;
    }
}

impl Handler<Look> for Cart {
    async fn handle(&mut self, _: Look, _: &mut Turn<'_, Self>) -> (usize, bool, u32) {
        (self.items.len(), self.is_given_up, self.refreshed)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::builder().clock(Clock::manual()).open().await?;
    let cart = node.actor::<Cart>("alice");
    cart.ask(Put("tea")).await?;
    node.advance(5 * MINUTE).await?;
    let (items, _, refreshed) = cart.ask(Look).await?;
    println!("after 5 minutes: {items} item, refreshed {refreshed} times");
    node.advance(55 * MINUTE).await?;
    // Out of memory its timer ends; its reminders do not.
    cart.passivate().await;
    node.advance(23 * 60 * MINUTE).await?;
    let (_, is_given_up, refreshed) = cart.ask(Look).await?;
    println!("after a day: given up: {is_given_up}, refreshed {refreshed} times since");
    Ok(())
}
