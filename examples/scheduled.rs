//! Time: messages that wait for theirs, that do not outlive it, and that are said only once.
//!
//! `cargo run --example scheduled`

use std::time::Duration;

use lanekeeper::{Lanekeeper, json, queue::NewMessage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::in_memory();
    let reminders = node.queue("reminders");
    let wait = Duration::from_secs(10);

    // It is not ready before its time, however long that is.
    reminders.push(json!({"say": "later"})).delay(Duration::from_millis(50)).await?;
    reminders.push(json!({"say": "now"})).await?;
    println!("scheduled: {}", reminders.stats().await?.scheduled);
    for _ in 0..2 {
        for message in reminders.pop(1).wait(wait).await? {
            println!("{}", message.item);
        }
    }

    // The same key again, within five minutes: a repetition, which changes nothing.
    let invoice = || {
        Ok::<_, lanekeeper::queue::QueueError>(
            NewMessage::new(json!({"say": "pay"}))?.key("invoice-7"),
        )
    };
    let first = reminders.push_all(vec![invoice()?]).await?[0];
    let second = reminders.push_all(vec![invoice()?]).await?[0];
    println!("the same: {}, ready: {}", first.id == second.id, reminders.stats().await?.ready);
    reminders.pop(1).await?;

    // What nobody took in time is gone.
    reminders.push(json!({"say": "hurry"})).ttl(Duration::from_millis(1)).await?;
    while reminders.stats().await?.totals.expired == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("left: {}", reminders.pop(1).await?.len());
    Ok(())
}
