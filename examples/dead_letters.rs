//! Dead letters: what failed too often is set aside with its story, and comes back when asked.
//!
//! `cargo run --example dead_letters`

use std::time::Duration;

use lanekeeper::{
    Lanekeeper, json,
    queue::{NackOptions, QueueConfig, Redrive},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::in_memory();
    let mails = node.queue("mails");
    mails.configure(QueueConfig { max_deliveries: Some(2), ..QueueConfig::default() }).await?;
    mails.push(json!({"to": "ada@example.org"})).priority(3).await?;

    for reason in ["no route", "mailbox full"] {
        for lease in mails.lease(1).await? {
            println!("delivery {}: {reason}", lease.deliveries);
            let reason = Some(reason.to_owned());
            lease.nack_with(NackOptions { reason, ..NackOptions::default() }).await?;
        }
    }

    // They are in an ordinary queue: look at them, pop them, or bring them back.
    let dead = node.queue("mails-deadletter");
    while dead.stats().await?.ready == 0 {
        // It is on its way: never in both queues or in none.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for letter in dead.peek(10).await?.messages {
        let death = letter.dead_letter.as_ref().ok_or("a letter that did not die")?;
        println!("dead: {} of {}, priority {}", letter.item, death.origin, letter.priority);
        println!("      {} deliveries, {}", death.deliveries, death.reason);
    }
    println!("redriven: {}", mails.redrive(Redrive::All).await?);
    for lease in mails.lease(1).await? {
        println!("delivery {}: accepted", lease.deliveries);
        lease.ack().await?;
    }
    let stats = mails.stats().await?;
    println!("ready {}, dead {}, acked {}", stats.ready, stats.dead, stats.totals.acked);
    Ok(())
}
