//! Moving the clock of a node, in a test: what falls due is done in order, and waited for.

use std::{sync::Arc, time::Duration};

use lanekeeper_storage::LoadError;

use crate::{
    node::lifecycle::Node,
    outbox::delivery,
    runtime::{call_chain, passivation, shared_state::Runtime},
    time::{
        clock::{ROUNDS_MAX, after, from_unix_ms},
        reminder,
    },
};

/// How long turns that may all be asleep by the clock are waited for, in real time.
const ASLEEP_GRACE: Duration = Duration::from_millis(20);

impl Node {
    /// Moves the node's [manual clock](crate::time::clock::Clock::manual) on, and does all that
    /// falls due meanwhile, each thing at its moment and in the order of these moments: turns of
    /// timers and of reminders, ends of leases, delays and time limits, passivation, the sweep of
    /// silent workers. A periodic timer of 10 s ticks three times in 30 s.
    ///
    /// It returns when the turns that this began have ended, and those that they led to by letters.
    /// A turn that itself sleeps by this clock is not waited for beyond the time that is left.
    ///
    /// ```
    /// use std::time::Duration;
    /// use lanekeeper_actors::{Clock, Node};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder().clock(Clock::manual()).open().await?;
    /// let orders = node.queue("orders");
    /// orders.push(r#"{"order":41}"#).delay(Duration::from_secs(60)).await?;
    /// node.advance(Duration::from_secs(59)).await?;
    /// assert!(orders.pop(1).await?.is_empty());
    /// node.advance(Duration::from_secs(1)).await?;
    /// assert_eq!(orders.pop(1).await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Dropping the future leaves the clock where it is by then.
    ///
    /// # Errors
    /// [`LoadError`] if the store fails.
    ///
    /// # Panics
    /// On the system's clock, which nobody can move, and within a turn, which would wait for
    /// itself.
    pub async fn advance(&self, by: Duration) -> Result<(), LoadError> {
        let runtime = self.runtime();
        let clock = &runtime.clock;
        assert!(clock.is_manual(), "the system's clock cannot be moved: see Clock::manual");
        assert!(
            call_chain::current().is_none(),
            "a turn that moves the clock would wait for itself"
        );
        let end = clock.elapsed().saturating_add(by);
        loop {
            let next = do_due(runtime).await?;
            let now = clock.elapsed();
            if now >= end {
                return Ok(());
            }
            let timer = runtime.timers.first_due_from(after(now));
            let moments = [next, timer, clock.first_sleeper()].into_iter().flatten();
            let next = moments.filter(|next| *next > now).min().unwrap_or(end);
            clock.advance(next.min(end) - now);
            // Whoever slept until then goes on.
            tokio::task::yield_now().await;
        }
    }
}

/// Fires the timers that are due, and those that are due because of them.
#[cfg(feature = "test-util")]
pub(crate) fn fire_timers(runtime: &Runtime) {
    // A periodic timer may have missed many ticks.
    const ROUNDS_MAX: usize = 1_000_000;
    let now = runtime.clock.elapsed();
    for _ in 0..ROUNDS_MAX {
        runtime.timers.run_once(now);
        if runtime.timers.first_due().is_none_or(|due| due > now) {
            return;
        }
    }
}

/// Does what is due now, and what that makes due now. Answers when something is due again.
async fn do_due(runtime: &Arc<Runtime>) -> Result<Option<Duration>, LoadError> {
    let mut next = None;
    for _ in 0..ROUNDS_MAX {
        let now = runtime.clock.elapsed();
        passivation::run_once(runtime);
        await_idle(runtime).await?;
        runtime.timers.run_once(now);
        await_idle(runtime).await?;
        let reminder_ms = reminder::run_once(runtime).await?;
        await_idle(runtime).await?;
        let until = |due_ms| {
            let wait = from_unix_ms(due_ms).duration_since(runtime.clock.now());
            now.saturating_add(wait.unwrap_or_default())
        };
        let mut moments = vec![runtime.timers.first_due(), reminder_ms.map(until)];
        for service in &runtime.services {
            moments.push(Arc::clone(service).run_once(Arc::clone(runtime), now).await);
        }
        await_idle(runtime).await?;
        next = moments.into_iter().flatten().min();
        if next.is_none_or(|next| next > now) {
            break;
        }
    }
    Ok(next)
}

/// Waits until what was begun has ended, the letters included that it sent.
async fn await_idle(runtime: &Arc<Runtime>) -> Result<(), LoadError> {
    loop {
        tokio::select! {
            biased;
            () = runtime.in_flight.wait_ended() => {}
            () = tokio::time::sleep(ASLEEP_GRACE) => {
                if runtime.clock.is_slept_by_in_a_turn() {
                    return Ok(());
                }
                continue;
            }
        }
        delivery::run_once(runtime).await?;
        if runtime.in_flight.have_ended() {
            return Ok(());
        }
    }
}
