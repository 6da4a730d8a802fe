//! Workers say that they are alive; the one that falls silent is found dead, and what it held is
//! given to the next.
//!
//! `cargo run --example heartbeat`

use std::{error::Error, time::Duration};

use lanekeeper::{
    Lanekeeper,
    gate::GatePolicy,
    json,
    worker::{LivenessOptions, WorkerStatus},
};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Far faster than the defaults, to see it happen.
    let options = LivenessOptions {
        heartbeat_flush: Duration::from_millis(600),
        heartbeat_interval: Duration::from_millis(150),
        sweep_interval: Duration::from_millis(300),
        stale_after: Duration::from_secs(3),
        ..LivenessOptions::default()
    };
    let (gone, mut departures) = mpsc::channel(16);
    let builder = Lanekeeper::builder().liveness(options)?.on_worker_offline(move |departure| {
        let gone = gone.clone();
        async move { gone.send(departure).await.map_err(|error| error.to_string()) }
    });
    let node = builder.open().await?;

    // Both are alive; one of them holds the only permit, and the other waits for it.
    let gate = node.gate("deploy");
    gate.set_policy(GatePolicy::concurrent(1)).await?;
    node.worker("ada").heartbeat().meta(json!({"host": "eu-1"})).await?;
    node.worker("grace").heartbeat().await?;
    gate.acquire("release-41").worker("ada").await?;
    let next = tokio::spawn(gate.acquire("release-42").worker("grace").into_future());
    println!("online: {}", online(&node).await?);

    // Grace goes on beating, Ada does not.
    let grace = node.worker("grace");
    let beating = tokio::spawn(async move {
        while grace.heartbeat().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    });
    let departure = departures.recv().await.ok_or("nobody follows")?;
    println!("{} is offline: {:?}", departure.worker, departure.cause);
    println!("{} runs", next.await??.owner());
    println!("online: {}", online(&node).await?);

    // A goodbye takes effect at once.
    beating.abort();
    node.worker("grace").deregister().await?;
    let departure = departures.recv().await.ok_or("nobody follows")?;
    println!("{} is offline: {:?}", departure.worker, departure.cause);
    node.shutdown(Duration::from_secs(10)).await?;
    Ok(())
}

async fn online(node: &Lanekeeper) -> Result<String, Box<dyn Error>> {
    let list = node.workers().status(WorkerStatus::Online).await?;
    let ids: Vec<_> = list.workers.iter().map(|worker| &*worker.id).collect();
    Ok(ids.join(", "))
}
