//! How far the node's clock has come, as the store knows it, so that time goes on from there after
//! a restart, whatever the system's clock says by then.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use lanekeeper_storage::{Batch, Durability, Engine, LoadError, key, record::ClockRecord};

use crate::time::clock::{Clock, from_unix_ms};

/// How much older than a commit the stamp may be that the store has by then.
const EVERY_MS: u64 = 1_000;
/// How far behind the stamp the system's clock may be without being told.
const TOLERANCE: Duration = Duration::from_secs(2);

/// The stamps of a node. They go with what is committed anyway, at most once a second: an idle node
/// writes none, and whatever is kept has a stamp at most a second older than itself.
#[derive(Debug)]
pub(crate) struct Stamps {
    clock: Clock,
    /// The last one (Unix milliseconds); 0 if there never was one.
    last_ms: AtomicU64,
}

/// A stamp that goes with a batch.
pub(crate) struct Stamped {
    former_ms: u64,
    own_ms: u64,
}

impl Stamps {
    /// Reads the last stamp and has the clock go on from there, should it be behind. Without one
    /// the time counts at which the store was last written to.
    pub(crate) fn resume(engine: &dyn Engine, clock: &Clock) -> Self {
        let last_ms = match read(engine) {
            Ok(last_ms) => last_ms,
            Err(error) => {
                tracing::warn!(%error, "how far the clock had come cannot be read");
                0
            }
        };
        // A store from before there were stamps: its files were written by the same clock.
        let known_ms = match last_ms {
            0 => engine.last_written_ms().unwrap_or(0),
            _ => last_ms,
        };
        let ahead = Duration::from_millis(known_ms.saturating_sub(clock.now_ms()));
        if ahead > TOLERANCE {
            clock.go_on_from(from_unix_ms(known_ms));
            tracing::warn!(
                ahead_s = ahead.as_secs(),
                "the system's clock is behind the last time in the data directory; time goes on \
                 from there, so that leases, delays, permits and reminders keep the time that is \
                 left; timestamps are ahead by so much until the system's clock has caught up"
            );
        }
        Self { clock: clock.clone(), last_ms: AtomicU64::new(last_ms) }
    }

    /// Has a stamp go with a batch that is about to be committed, if it is time for one.
    pub(crate) fn put_into(&self, batch: &mut Batch, level: Durability) -> Option<Stamped> {
        if level == Durability::Memory || batch.is_empty() {
            return None;
        }
        self.put_if_older(EVERY_MS, batch)
    }

    /// The last stamp, for a node that ends, unless it never kept anything.
    pub(crate) fn last(&self) -> Option<Batch> {
        let mut batch = Batch::new();
        let is_used = self.last_ms.load(Ordering::Relaxed) > 0;
        (is_used && self.put_if_older(1, &mut batch).is_some()).then_some(batch)
    }

    /// A batch was refused: its stamp goes with the next.
    pub(crate) fn take_back(&self, Stamped { former_ms, own_ms }: Stamped) {
        let (done, seen) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.last_ms.compare_exchange(own_ms, former_ms, done, seen);
    }

    fn put_if_older(&self, age_ms: u64, batch: &mut Batch) -> Option<Stamped> {
        let own_ms = self.clock.now_ms();
        let former_ms = self.last_ms.load(Ordering::Relaxed);
        if own_ms < former_ms.saturating_add(age_ms) {
            return None;
        }
        let (done, seen) = (Ordering::Relaxed, Ordering::Relaxed);
        // Of those who find it is time, one writes it.
        self.last_ms.compare_exchange(former_ms, own_ms, done, seen).ok()?;
        batch.put(key::clock(), ClockRecord { now_ms: own_ms }.encode());
        Some(Stamped { former_ms, own_ms })
    }
}

fn read(engine: &dyn Engine) -> Result<u64, LoadError> {
    let Some(record) = engine.get(&key::clock())? else { return Ok(0) };
    Ok(ClockRecord::decode(&record)?.now_ms)
}
