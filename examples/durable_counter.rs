//! State that survives: a counter that goes on where it was when its process ended.
//!
//! `cargo run --example durable_counter -- ./counter-data`, more than once.

use std::time::Duration;

use lanekeeper::{Handler, Lanekeeper, Request, Turn, VirtualActor};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
struct Counter {
    total: u64,
}

impl VirtualActor for Counter {
    const KIND: &'static str = "counter";
}

struct Add(u64);

impl Request for Add {
    type Reply = u64;
}

impl Handler<Add> for Counter {
    async fn handle(&mut self, Add(n): Add, turn: &mut Turn<'_, Self>) -> u64 {
        self.total += n;
        // Written with this turn: the reply leaves when the total is on disk.
        turn.save();
        self.total
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "./counter-data".to_owned());
    let node = Lanekeeper::open(&dir).await?;
    let visits = node.actor::<Counter>("visits");
    println!("visits: {}", visits.ask(Add(1)).await?);
    // Put away and brought back: the state is the same.
    visits.passivate().await;
    println!("visits: {}", visits.ask(Add(1)).await?);
    node.shutdown(Duration::from_secs(10)).await?;
    Ok(())
}
