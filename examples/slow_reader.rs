//! A reader that falls behind harms nobody, and is told what it missed.
//!
//! `cargo run --example slow_reader`

use lanekeeper::{
    Lanekeeper, json,
    stream::{Class, Gap, StreamEvent},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::in_memory();
    let sensor = node.stream("sensor");
    let mut quick = sensor.subscribe().await?;
    let mut slow = sensor.subscribe().queue_max(5).await?;

    let mut read = 0;
    for n in 0..100 {
        let class = if n % 10 == 9 { Class::Critical } else { Class::Bulk };
        // Never waits for a reader, however slow.
        sensor.publish(class, json!({"n": n})).await?;
        while let Some(StreamEvent::Message(_)) = quick.try_next() {
            read += 1;
        }
    }
    println!("the quick one read {read}");

    while let Some(event) = slow.try_next() {
        match event {
            StreamEvent::Message(message) => println!("the slow one reads {}", message.data),
            StreamEvent::Gap(Gap { class, count }) => println!("and misses {count} {class}"),
            StreamEvent::Notice(notice) => println!("and is told {notice:?}"),
        }
    }
    let counts = sensor.stats().await?.counts;
    let (sent, lost) = (counts.sent.total(), counts.evicted.total() + counts.refused.total());
    println!("{sent} delivered + {lost} told as gaps = 2 x 100 published");
    Ok(())
}
