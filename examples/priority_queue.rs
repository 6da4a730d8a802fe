//! A queue: the most urgent first, and first in, first out among equals.
//!
//! `cargo run --example priority_queue`

use std::time::Duration;

use lanekeeper::{Lanekeeper, json, queue::NewMessage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::in_memory();
    // A queue is made by its first use, and costs nothing while it is idle: one for each tenant.
    let orders = node.queue("tenant-7.orders");
    orders.push(json!({"order": 41})).await?;
    orders.push(json!({"order": 42})).await?;
    orders.push(json!({"order": 43, "express": true})).priority(0).await?;
    let batch = vec![
        NewMessage::new(json!({"order": 44}))?.priority(2),
        NewMessage::new(json!({"order": 45}))?,
    ];
    orders.push_all(batch).await?;
    println!("waiting: {}", orders.stats().await?.ready);

    for message in orders.pop(10).await? {
        println!("{} {}", message.priority, message.item);
    }

    // A pop can wait for what is yet to come.
    let consumer = tokio::spawn({
        let orders = orders.clone();
        async move { orders.pop(1).wait(Duration::from_secs(10)).await }
    });
    orders.push(json!({"order": 46})).await?;
    println!("waited for {}", consumer.await??[0].item);
    Ok(())
}
