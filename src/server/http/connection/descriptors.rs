//! How many connections the limit on open files leaves room for.

use crate::server::{http::connection::slots::SlotLimits, options::ServerOptions};

/// Files that a server has open besides connections and what its threads wait with: the standard
/// streams, the listener, the store with its journal, its base, and a second base during a rewrite.
const FIXED: usize = 36;
/// Files of each thread that answers.
const OF_WORKER: usize = 4;
/// Connections that are served at least, or the server does not start.
const CONNECTIONS_MIN: usize = 8;
/// Connections beyond the limit.
const EXTRA_MAX: usize = 16;
/// Connections that may be accepted and not looked at yet, for each thread.
const SPARE_OF_WORKER: usize = 1;

/// Connections of one peer that have not shown a token, unless a setting says otherwise.
const STRANGERS_MAX: usize = 1_024;

/// How the open files that the system grants are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// Open files that the system grants.
    pub(crate) limit: usize,
    /// Those that are kept for everything but connections of clients.
    pub(crate) reserved: usize,
    /// Threads that answer.
    pub(crate) workers: usize,
    /// Connections of clients.
    pub(crate) connections_max: usize,
    /// Connections beyond that, which may ask for the server's health.
    pub(crate) extra_max: usize,
    /// Connections that have had their last answer and are read to their end.
    pub(crate) ending_max: usize,
    /// Deliveries to sinks under way.
    pub(crate) posts_max: usize,
}

/// The limit on open files is too low to serve with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFew {
    pub(crate) limit: usize,
    pub(crate) needed: usize,
}

impl Descriptors {
    /// Shares the open files out.
    ///
    /// # Errors
    /// [`TooFew`].
    pub(crate) fn share_out(options: &ServerOptions, limit: usize) -> Result<Self, TooFew> {
        let workers = match options.worker_count {
            // On many cores the threads alone would need more than a low limit has.
            0 => options.workers().min(limit / 32).max(1),
            count => count,
        };
        let own = FIXED + OF_WORKER * workers;
        let spare = SPARE_OF_WORKER * workers;
        let free = limit.saturating_sub(own + spare);
        let extra_max = (free / 6).clamp(2, EXTRA_MAX);
        let ending_max = (extra_max / 3).max(1);
        // Each is one connection under way, and one that is kept for the next.
        let posts_max = options.sink.posts_max.min((free / 16).max(1));
        let reserved = own + spare + extra_max + ending_max + 2 * posts_max;
        let room = limit.saturating_sub(reserved);
        if room < CONNECTIONS_MIN {
            let least = own + spare + 5 + CONNECTIONS_MIN;
            return Err(TooFew { limit, needed: least.max(limit + 1) });
        }
        let connections_max = options.connections_max.min(room);
        Ok(Self { limit, reserved, workers, connections_max, extra_max, ending_max, posts_max })
    }

    /// Connections that one thread may have, so that all threads have no more than there may be.
    pub(crate) fn of_worker(&self) -> usize {
        let all = self.connections_max + self.extra_max + SPARE_OF_WORKER * self.workers;
        (all / self.workers).max(1)
    }

    /// How many connections may do what.
    pub(crate) fn slot_limits(&self, options: &ServerOptions) -> SlotLimits {
        let strangers_max = options
            .unauthenticated_max_per_peer
            .unwrap_or_else(|| self.connections_max.min(STRANGERS_MAX));
        SlotLimits {
            regular_max: self.connections_max,
            extra_max: self.extra_max,
            ending_max: self.ending_max,
            strangers_max: options.token.as_ref().map(|_| strangers_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(worker_count: usize, connections_max: usize) -> ServerOptions {
        ServerOptions { worker_count, connections_max, ..ServerOptions::default() }
    }

    #[test]
    fn all_that_may_be_open_at_a_time_is_within_the_limit() {
        for limit in 64..5_000 {
            for workers in 1..=4 {
                let Ok(shared) = Descriptors::share_out(&with(workers, 1 << 20), limit) else {
                    assert!(limit < 80, "{limit}");
                    continue;
                };
                let open = shared.reserved + shared.connections_max;
                assert!(open <= limit, "{shared:?}");
                assert!(shared.connections_max >= CONNECTIONS_MIN);
                let accepted = shared.of_worker() * workers;
                assert!(accepted > shared.connections_max, "{shared:?}");
                let rest = FIXED + OF_WORKER * workers + shared.ending_max + 2 * shared.posts_max;
                assert!(accepted + rest <= limit, "{shared:?}");
            }
        }
    }

    #[test]
    fn a_setting_within_the_limit_stands_and_a_limit_that_is_too_low_is_refused() {
        let shared = Descriptors::share_out(&with(2, 4_096), 1 << 20).expect("enough");
        assert_eq!((shared.connections_max, shared.extra_max), (4_096, EXTRA_MAX));
        assert_eq!(shared.posts_max, 128);
        let refused = Descriptors::share_out(&with(2, 4_096), 32).expect_err("too few");
        assert_eq!(refused.limit, 32);
        assert!(Descriptors::share_out(&with(2, 4_096), refused.needed).is_ok());
        let many_cores = Descriptors::share_out(&with(0, 100), 64).expect("enough");
        assert!(many_cores.workers <= 2);
    }
}
