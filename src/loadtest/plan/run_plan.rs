//! One run, with everything decided.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::loadtest::plan::scenario::Scenario;

/// What is run, against whom, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// What is asked.
    pub(crate) scenario: Scenario,
    /// Names this run in its items and queues.
    pub(crate) run: String,
    /// Where every random choice comes from.
    pub(crate) seed: u64,
    /// The server.
    pub(crate) addr: SocketAddr,
    /// How the server is called in `Host`.
    pub(crate) host: String,
    /// The token of the server.
    pub(crate) token: Option<String>,
    /// How long is measured.
    pub(crate) duration: Duration,
    /// How long the same is done before without being measured.
    pub(crate) warmup: Duration,
    /// When requests are sent.
    pub(crate) model: Model,
    /// Generators of each process, each a thread.
    pub(crate) threads: usize,
    /// Generators of all processes.
    pub(crate) generators: usize,
    /// Connections at most, all generators together.
    pub(crate) connections: usize,
    /// After which an answer is not waited for any longer.
    pub(crate) timeout: Duration,
    /// Whether items are followed from push to pop.
    pub(crate) is_verified: bool,
    /// The first lane of this process, and the place of its first generator among all; each takes
    /// one.
    pub(crate) first_lane: u16,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Model {
    /// At the moments of the scenario's schedule, whatever the answers do.
    Open {
        /// What its rates are multiplied by.
        scale: f64,
    },
    /// By so many users, each sending its next request after the last was answered.
    Closed {
        /// How many.
        users: u32,
        /// How many begin each second; 0 begins all at once.
        spawn_rate: f64,
        /// How long each waits between, at least and at most, in milliseconds.
        wait_ms: (u64, u64),
    },
}

/// What can be changed while a run is under way.
#[derive(Debug, Default)]
pub(crate) struct Control {
    is_stopped: AtomicBool,
    scale: AtomicU64,
    users: AtomicU32,
    /// When a full disk had space again; 0 until then.
    space_at: AtomicU64,
}

impl Control {
    /// As a plan begins.
    pub(crate) fn new(model: &Model) -> Self {
        let control = Self::default();
        match *model {
            Model::Open { scale } => control.scale(scale),
            Model::Closed { users, .. } => control.users(users),
        }
        control
    }

    /// Ends the run: nothing new is sent, what is under way is waited for.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the run was ended before its time.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Notes that the disk has space again.
    pub(crate) fn return_space(&self, moment: u64) {
        self.space_at.store(moment, Ordering::Relaxed);
    }

    /// When the disk had space again, if it was taken away and came back.
    pub(crate) fn space_at(&self) -> Option<u64> {
        Some(self.space_at.load(Ordering::Relaxed)).filter(|moment| *moment > 0)
    }

    /// Multiplies the rates from now on.
    pub(crate) fn scale(&self, scale: f64) {
        self.scale.store(scale.to_bits(), Ordering::Relaxed);
    }

    /// What the rates are multiplied by.
    pub(crate) fn scale_now(&self) -> f64 {
        f64::from_bits(self.scale.load(Ordering::Relaxed))
    }

    /// Has so many users from now on.
    pub(crate) fn users(&self, users: u32) {
        self.users.store(users, Ordering::Relaxed);
    }

    /// How many users there are to be.
    pub(crate) fn users_now(&self) -> u32 {
        self.users.load(Ordering::Relaxed)
    }
}
