//! A worker: messages handled two at a time, tried again when that fails, and an orderly end.
//!
//! `cargo run --example worker`

use std::time::Duration;

use lanekeeper::{
    Lanekeeper, json,
    queue::{ConsumeOptions, HandlerFailure, Message, Retry},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Order {
    order: u64,
    amount: i64,
}

/// Any error is tried again after a while; what can never succeed says so.
async fn charge(message: Message) -> Result<(), HandlerFailure> {
    let order: Order = message.item.parse()?;
    if order.amount < 0 {
        return Err(HandlerFailure::dead_letter("a negative amount"));
    }
    if order.order == 42 && message.deliveries == 1 {
        return Err(HandlerFailure::retry("the bank does not answer"));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::in_memory();
    let orders = node.queue("tenant-7.orders");
    for (order, amount) in [(41, 10), (42, 20), (43, -1)] {
        orders.push(json!({"order": order, "amount": amount})).await?;
    }

    // The lease of each message is prolonged for as long as its handler runs.
    let retry = Retry { base: Duration::from_millis(20), ..Retry::default() };
    let options = ConsumeOptions { concurrency: 2, retry, ..ConsumeOptions::default() };
    let mut consumer = orders.consume(options, charge)?;
    while consumer.stats().handled < 2 || consumer.stats().failed < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    // Handlers that run may finish; what they have not by then goes back, uncounted.
    let stats = consumer.stop(Duration::from_secs(10)).await;
    println!("handled {}, failed {}, cut off {}", stats.handled, stats.failed, stats.released);
    for letter in node.queue("tenant-7.orders-deadletter").peek(10).await?.messages {
        let death = letter.dead_letter.ok_or("a letter that did not die")?;
        println!("dead: {} for {}", letter.item, death.reason);
    }
    Ok(())
}
