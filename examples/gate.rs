//! A gate: at most two run at once, strictly first come, first served.
//!
//! `cargo run --example gate`

use std::time::Duration;

use lanekeeper::{
    Lanekeeper,
    gate::{GateError, GatePolicy, GroupLimit, TicketState},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Lanekeeper::in_memory();
    // The policy of `deploys` applies to `deploys.web` too, as long as that has none of its own.
    node.gate("deploys").set_policy(GatePolicy::concurrent(2)).await?;
    let gate = node.gate("deploys.web");

    let first = gate.acquire("exec-1").await?;
    // This one ends by itself after 30 s unless it is extended: a crash blocks nobody.
    gate.acquire("exec-2").ttl(Duration::from_secs(30)).await?;

    // A third has to wait: here without blocking, with a place in the line.
    let ticket = gate.acquire("exec-3").ticket().await?;
    if let TicketState::Queued { position, .. } = ticket.state {
        println!("exec-3 is no. {position} in line");
    }
    let waits = tokio::spawn({
        let gate = gate.clone();
        async move { gate.acquire("exec-4").priority(0).await }
    });
    while gate.stats().await?.queue_length < 2 {
        tokio::task::yield_now().await;
    }

    // The more urgent goes first; a release says who is next.
    println!("exec-1 made room for {:?}", first.release().await?.granted);
    println!("{} runs", waits.await??.owner());
    println!("exec-2 made room for {:?}", gate.release("exec-2").await?.granted);

    // At most one for each tenant, whoever else waits.
    let group = vec![GroupLimit { name: "tenant".into(), max_concurrent: 1 }];
    let reports = node.gate("reports");
    reports.set_policy(GatePolicy { group, ..GatePolicy::concurrent(10) }).await?;
    reports.acquire("report-1").group("tenant", "acme").await?;
    let no_wait = reports.acquire("report-2").group("tenant", "acme").timeout(Duration::ZERO);
    if let Err(error @ GateError::TimedOut { .. }) = no_wait.await {
        println!("report-2 is kept out: {:?}", error.blocked_by().map(|by| by.as_str()));
    }
    reports.acquire("report-3").group("tenant", "beta").await?;
    println!("{} reports run", reports.stats().await?.active_count);
    Ok(())
}
