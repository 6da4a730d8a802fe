//! How far a connection is, between its stream and its requests.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::server::http::connection::{client::Client, slots::Slot};

/// How often, and after how long, a request asks again for room.
const ROOM_TRIES: u32 = 10;
const ROOM_INTERVAL: Duration = Duration::from_millis(50);

/// What the requests of a connection and its stream tell each other.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Cell<ProgressState>,
    since: Cell<Instant>,
    /// When a chunk of an answer that does not end was handed over, until there is room again.
    sending_since: Cell<Option<Instant>>,
    is_cut: Cell<bool>,
    read_count: Cell<u64>,
    client: Client,
    slot: Slot,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressState {
    /// The rest of a head: from the opening of the connection, or from its first byte.
    Head,
    /// An answer that is being made.
    Answer,
    /// The next request.
    Idle,
    /// Nothing: it carries an answer that does not end.
    Streaming,
    /// Its client to take the last answer.
    Closing,
}

impl Progress {
    /// Of a connection that was just opened.
    pub(crate) fn new(client: Client, slot: Slot) -> Self {
        Self {
            state: Cell::new(ProgressState::Head),
            since: Cell::new(Instant::now()),
            sending_since: Cell::new(None),
            is_cut: Cell::new(false),
            read_count: Cell::new(0),
            client,
            slot,
        }
    }

    /// Its place among the connections.
    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Whether it is beyond the limit: then its next answer is the last, unless it is let in.
    pub(crate) fn is_extra(&self) -> bool {
        self.slot.is_extra()
    }

    /// A request is let in; false if the connection is beyond the limit and no room can be made,
    /// for which it waits a moment.
    pub(crate) async fn let_in(&self) -> bool {
        for _ in 0..ROOM_TRIES {
            if !self.slot.is_evicted() && self.slot.let_in() {
                return true;
            }
            if !self.slot.may_wait_for_room() {
                break;
            }
            sleep(ROOM_INTERVAL).await;
        }
        self.slot.refuse();
        false
    }

    /// Who is at the other end.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The answer that comes now is the last of the connection, and nothing is said after it.
    pub(crate) fn close(&self) {
        if self.state.get() != ProgressState::Closing {
            self.begin(ProgressState::Closing);
        }
    }

    /// Whether the last answer was given.
    pub(crate) fn is_closing(&self) -> bool {
        self.state.get() == ProgressState::Closing
    }

    /// A request has arrived: until the guard is dropped, its answer is made.
    pub(crate) fn answering(self: Rc<Self>) -> Answering {
        if !self.is_closing() {
            self.state.set(ProgressState::Answer);
            if !self.slot.work() {
                self.slot.come_back();
            }
        }
        Answering(self)
    }

    /// An answer begins that does not end: until the guard is dropped, its sends are watched.
    pub(crate) fn streaming(self: Rc<Self>) -> Streaming {
        self.begin(ProgressState::Streaming);
        Streaming(self)
    }

    /// A chunk was handed over.
    pub(crate) fn sending(&self) {
        self.sending_since.set(Some(Instant::now()));
    }

    /// There is room for another.
    pub(crate) fn sent(&self) {
        self.sending_since.set(None);
    }

    /// The parser has tried to read.
    pub(crate) fn count_read(&self) {
        self.read_count.set(self.read_count.get() + 1);
    }

    /// How often the parser has tried to read.
    pub(crate) fn read_count(&self) -> u64 {
        self.read_count.get()
    }

    /// What the connection waits for.
    pub(crate) fn state(&self) -> ProgressState {
        self.state.get()
    }

    /// Since when it does.
    pub(crate) fn since(&self) -> Instant {
        self.since.get()
    }

    /// Since when a chunk of an answer that does not end waits for room.
    pub(crate) fn sending_since(&self) -> Option<Instant> {
        self.sending_since.get()
    }

    /// The client has stalled for too long.
    pub(crate) fn cut(&self) {
        self.is_cut.set(true);
    }

    /// Whether the connection was given up because its client stalled.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Bytes of a request have arrived; false if the connection has given way meanwhile.
    pub(crate) fn read_some(&self) -> bool {
        if self.state.get() == ProgressState::Idle {
            self.begin(ProgressState::Head);
            // Whoever was never let in may give way in the middle of a head.
            return self.slot.is_stranger() || self.slot.work() || self.slot.come_back();
        }
        true
    }

    /// A client that takes its time over an answer is not waited for meanwhile.
    pub(crate) fn wrote_some(&self) {
        let now = Instant::now();
        self.since.set(now);
        if self.state.get() == ProgressState::Idle {
            self.slot.rest(now);
        }
    }

    /// The client takes its time over an answer: the connection does not give way meanwhile.
    pub(crate) fn begin_taking(&self) {
        if !self.slot.work() {
            self.slot.come_back();
        }
    }

    fn begin(&self, state: ProgressState) {
        let now = Instant::now();
        self.state.set(state);
        self.since.set(now);
        if state == ProgressState::Idle {
            self.slot.rest(now);
        }
    }
}

/// Kept while a request is answered.
pub(crate) struct Answering(Rc<Progress>);

impl Drop for Answering {
    fn drop(&mut self) {
        if self.0.state.get() == ProgressState::Answer {
            self.0.begin(ProgressState::Idle);
        }
    }
}

/// Kept while an answer goes on that does not end.
pub(crate) struct Streaming(Rc<Progress>);

impl Streaming {
    /// What it shares with its connection.
    pub(crate) fn progress(&self) -> &Rc<Progress> {
        &self.0
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.sent();
        self.0.begin(ProgressState::Idle);
    }
}
