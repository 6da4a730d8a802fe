//! The client of a connection, as those see it that wait for its sake.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::Poll,
};

use lanekeeper_actors::{Caller, poll_request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{io::Interest, net::tcp::OwnedWriteHalf};

use crate::server::http::connection::progress::Progress;

/// The client of a connection. Cheap to clone; keeps no connection open.
#[derive(Clone, Debug)]
pub(crate) struct Client(Weak<OwnedWriteHalf>);

/// Resolves once a client has closed its side.
pub(crate) type Closed = Pin<Box<dyn Future<Output = ()>>>;

impl Client {
    pub(crate) fn new(socket: &Arc<OwnedWriteHalf>) -> Self {
        Self(Arc::downgrade(socket))
    }

    /// Resolves once the client has closed its side, if only for sending, however much of what it
    /// sent before is still to be read.
    pub(crate) fn closed(&self) -> Closed {
        let socket = self.0.upgrade();
        Box::pin(async move {
            // What is awaited is the end of what is received: of urgent data there is none.
            while let Some(socket) = &socket
                && (*socket).as_ref().ready(Interest::PRIORITY).await.is_ok_and(is_open)
            {
            }
        })
    }
}

/// Why a call that waited was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// Its client has closed its side.
    Closed,
    /// More was sent behind it than is kept, so that its client could not be seen to go.
    Flooded,
}

/// How often in a row a call that waits is polled without the parser having read: more often only
/// when the parser has no room for what was sent behind it, and then without end.
const IDLE_POLLS_MAX: u32 = 64;

impl Progress {
    /// What a call comes to, unless its client closes its side while the call waits: then it is
    /// dropped. A call that does not wait is carried out for a client that has closed its side,
    /// too: it may only have said that it has nothing more to ask.
    pub(crate) async fn carry_out<T>(&self, call: impl Future<Output = T>) -> Result<T, GivenUp> {
        let mut call = pin!(call);
        let mut closed: Option<Closed> = None;
        let (mut read_count, mut idle_polls) = (0, 0);
        poll_fn(|cx| {
            // First, so that nothing is given to a client that is gone already.
            if closed.as_mut().is_some_and(|closed| closed.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Err(GivenUp::Closed));
            }
            match poll_request(call.as_mut(), cx) {
                (Poll::Ready(done), _) => return Poll::Ready(Ok(done)),
                (Poll::Pending, false) => closed = None,
                (Poll::Pending, true) => {
                    let closed = closed.get_or_insert_with(|| self.client().closed());
                    if closed.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Err(GivenUp::Closed));
                    }
                    let is_idle = read_count == self.read_count();
                    (read_count, idle_polls) =
                        (self.read_count(), if is_idle { idle_polls + 1 } else { 0 });
                    if idle_polls > IDLE_POLLS_MAX {
                        return Poll::Ready(Err(GivenUp::Flooded));
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn is_open(ready: tokio::io::Ready) -> bool {
    !ready.is_read_closed()
}

impl Caller for Client {
    /// Asks the system: the thread that serves the connection may not have heard of it yet.
    fn is_gone(&self) -> bool {
        let Some(socket) = self.0.upgrade() else { return true };
        let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut watched = [PollFd::new((*socket).as_ref(), ends)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_any = poll(&mut watched, Some(&at_once)).is_ok_and(|count| count > 0);
        is_any && watched[0].revents().intersects(ends)
    }
}
