//! Publish once, deliver to everyone who is subscribed, the most urgent first.
//!
//! `cargo run --example fan_out`

use lanekeeper::{
    Lanekeeper, json,
    stream::{Class, StreamConfig, StreamEvent, Subscriber},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::in_memory();
    let prices = node.stream("prices");
    let mut ada = prices.subscribe().await?;
    let mut grace = prices.subscribe().await?;

    // Nobody has read yet: what is urgent overtakes.
    prices.publish(Class::Bulk, json!({"eur": 1.07})).await?;
    let done = prices.publish(Class::Critical, json!({"eur": 1.08})).await?;
    println!("waits for {} of {}", done.queued, done.subscribers);

    // One can be spoken to alone.
    prices.publish(Class::Control, json!({"hello": "ada"})).to(ada.id()).await?;
    read("ada", &mut ada);
    read("grace", &mut grace);

    // Who comes late gets the last messages first, where the stream keeps some.
    prices.configure(StreamConfig { retain: 1, ..StreamConfig::default() }).await?;
    prices.publish(Class::Important, json!({"eur": 1.09})).await?;
    read("late", &mut prices.subscribe().await?);
    Ok(())
}

/// Prints what waits; `next().await` would wait for more.
fn read(name: &str, subscriber: &mut Subscriber) {
    while let Some(event) = subscriber.try_next() {
        if let StreamEvent::Message(message) = event {
            println!("{name}: {} {} {}", message.class, message.seq, message.data);
        }
    }
}
