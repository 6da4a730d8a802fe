//! Lanekeeper inside an ordinary actix application: an actix actor hands its work to a queue and
//! asks a virtual actor.
//!
//! `cargo run --example actix_interop`

use std::error::Error;

use actix::{Actor, Context, Message, ResponseFuture};
use lanekeeper::{Handler, Lanekeeper, Request, Turn, VirtualActor, json};
use serde::{Deserialize, Serialize};

/// A virtual actor: one for each customer, wherever it is asked from.
#[derive(Default, Serialize, Deserialize)]
struct Account {
    orders: u32,
}

impl VirtualActor for Account {
    const KIND: &'static str = "account";
}

struct CountOrder;

impl Request for CountOrder {
    type Reply = u32;
}

impl Handler<CountOrder> for Account {
    async fn handle(&mut self, _: CountOrder, turn: &mut Turn<'_, Self>) -> u32 {
        self.orders += 1;
        turn.save();
        self.orders
    }
}

/// An actix actor of the application.
struct Shop {
    node: Lanekeeper,
}

impl Actor for Shop {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "Result<u32, String>")]
struct Order {
    customer: &'static str,
    number: u32,
}

impl actix::Handler<Order> for Shop {
    type Result = ResponseFuture<Result<u32, String>>;

    fn handle(&mut self, order: Order, _ctx: &mut Self::Context) -> Self::Result {
        let account = self.node.actor::<Account>(order.customer);
        let queue = self.node.queue("orders");
        Box::pin(async move {
            let item = json!({"customer": order.customer, "order": order.number});
            queue.push(item).await.map_err(|error| error.to_string())?;
            account.ask(CountOrder).await.map_err(|error| error.to_string())
        })
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let node = Lanekeeper::in_memory();
    let shop = Shop { node: node.clone() }.start();
    for (customer, number) in [("ada", 1), ("grace", 2), ("ada", 3)] {
        let count = shop.send(Order { customer, number }).await??;
        println!("order {number} is no. {count} of {customer}");
    }
    for message in node.queue("orders").pop(10).await? {
        println!("queued {}", message.item);
    }
    Ok(())
}
