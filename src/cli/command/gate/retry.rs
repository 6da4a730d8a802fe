//! Permits asked for again while the server is away: an owner that asks again keeps what it has.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use lanekeeper::wire;

use crate::cli::{
    backend::queues::Backend,
    command::gate::backend::Wanted,
    exit::{CommandFailure, Outlook},
    output,
};

/// The first pause before the next try; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a server may be away where no timeout is given: as long as a policy lets owners wait
/// unless it says otherwise.
const AWAY_MAX: Duration = Duration::from_secs(3_600);

/// Asks for a permit, and again while the server is away, for as long as the timeout allows. A
/// server that was never there is waited for only if a timeout says how long.
pub(crate) fn acquire(
    backend: &dyn Backend,
    id: &str,
    wanted: &Wanted,
) -> Result<wire::Ticket, CommandFailure> {
    let began = Instant::now();
    let most = wanted.timeout.unwrap_or(AWAY_MAX);
    let mut away = Away::default();
    let mut asked = wanted.clone();
    loop {
        let failure = match backend.acquire(id, &asked) {
            Ok(ticket) => return Ok(ticket),
            Err(failure) => failure,
        };
        let is_waited_for = away.is_known || wanted.timeout.is_some();
        let left = most.saturating_sub(began.elapsed());
        if !wanted.is_waiting || !away.admits(&failure, is_waited_for) || left <= away.pause {
            return Err(failure);
        }
        away.pause(&failure);
        asked.timeout = wanted.timeout.map(|most| most.saturating_sub(began.elapsed()));
    }
}

/// A server that is away.
pub(crate) struct Away {
    /// Whether it was there before.
    is_known: bool,
    is_told: bool,
    pause: Duration,
}

impl Default for Away {
    fn default() -> Self {
        Self { is_known: false, is_told: false, pause: PAUSE }
    }
}

impl Away {
    /// Of one that was there.
    pub(crate) fn known() -> Self {
        Self { is_known: true, ..Self::default() }
    }

    /// Whether it may come back and do what it did not do.
    pub(crate) fn admits(&mut self, failure: &CommandFailure, is_waited_for: bool) -> bool {
        self.is_known |= failure.outlook == Outlook::Away;
        match failure.outlook {
            Outlook::Away => true,
            Outlook::Unreached => self.is_known || is_waited_for,
            Outlook::Later | Outlook::Final => false,
        }
    }

    /// Waits for it, and says so the first time.
    pub(crate) fn pause(&mut self, failure: &CommandFailure) {
        if !std::mem::replace(&mut self.is_told, true) {
            output::note(&format!("{}; trying again", failure.message));
        }
        sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}
