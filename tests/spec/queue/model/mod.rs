//! Random histories of a queue, with clock jumps, restarts and cuts, against the simplest queue
//! there is.
//!
//! `SEED=7 STEPS=100000 cargo test --test spec queue_model` for one history of another length.

mod history;
mod naive;
mod work;

use crate::queue::model::history::History;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test]
async fn a_queue_is_the_simplest_queue_through_every_history() {
    let steps = number("STEPS").unwrap_or(10_000);
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed} STEPS={steps}");
    let mut history = History::begin(seed).await;
    for step in 0..steps {
        history.step(step).await;
    }
    history.finish().await;
}
