//! An actor of your own: who it is, what it can be asked, how it answers.
//!
//! `cargo run --example hello_actor`

use lanekeeper::{Handler, Lanekeeper, Request, Turn, VirtualActor};
use serde::{Deserialize, Serialize};

/// The state: a greeter remembers how many it has greeted.
#[derive(Default, Serialize, Deserialize)]
struct Greeter {
    greeted: u32,
}

impl VirtualActor for Greeter {
    const KIND: &'static str = "greeter";
}

/// What a greeter can be asked.
struct Greet(&'static str);

impl Request for Greet {
    type Reply = String;
}

impl Handler<Greet> for Greeter {
    async fn handle(&mut self, Greet(name): Greet, turn: &mut Turn<'_, Self>) -> String {
        self.greeted += 1;
        format!("{} says hello to {name}, its guest no. {}", turn.id().key, self.greeted)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::in_memory();
    // An actor always exists: naming it is enough.
    let alice = node.actor::<Greeter>("alice");
    println!("{}", alice.ask(Greet("bob")).await?);
    println!("{}", alice.ask(Greet("carol")).await?);
    println!("{}", node.actor::<Greeter>("dave").ask(Greet("bob")).await?);
    Ok(())
}
