//! A connection below the parser: what a client is told that speaks no HTTP, and how long one that
//! stalls is borne with.
//!
//! The parser can watch the first head of a connection alone, and an idle one until a part of the
//! next head is there, both to half a second; nobody watches whether answers are read. A client
//! that stalls after its first request would keep its connection for ever. So all of that is
//! watched here.

pub(crate) mod client;
pub(crate) mod descriptors;
pub(crate) mod progress;
pub(crate) mod slots;
mod told;

use std::{
    future::Future,
    io,
    net::{Shutdown, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, Sleep, sleep_until, timeout},
};

use crate::server::{
    http::{
        code::Code,
        connection::{
            client::Client,
            progress::{Progress, ProgressState},
            slots::Slot,
        },
    },
    options::ServerOptions,
};

/// How long a client may stall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionTimeouts {
    /// From the first byte of a head to its last.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// Without taking a byte of an answer.
    pub(crate) write: Duration,
    /// Until there is room again in an answer that does not end.
    pub(crate) send: Duration,
}

/// Bytes of an answer that does not end which the system keeps for its client; Linux takes twice
/// as much for its own needs.
const SEND_BUFFER_BYTES: usize = 128 << 10;

/// A connection. What is written with can be looked at from elsewhere.
type Halves = (OwnedReadHalf, Arc<OwnedWriteHalf>);

/// The stream of a connection.
pub(crate) struct Stream {
    /// There until the end.
    inner: Option<Halves>,
    progress: Rc<Progress>,
    patience: ConnectionTimeouts,
    /// Looks after the client now and then, rather than being set anew for every request.
    patrol: Pin<Box<Sleep>>,
    write_since: Option<Instant>,
    /// Whether the last answer is on its way.
    is_closing: bool,
    /// Whether the system keeps only so much of what was written.
    is_bounded: bool,
    /// What is still to be written in place of an answer without a body.
    told: Bytes,
    has_told: bool,
}

impl Stream {
    /// Takes a connection over.
    pub(crate) fn new(inner: TcpStream, patience: ConnectionTimeouts, slot: Slot) -> Self {
        let patrol = Box::pin(sleep_until(Instant::now() + patience.interval()));
        let (reading, writing) = inner.into_split();
        let writing = Arc::new(writing);
        Self {
            progress: Rc::new(Progress::new(Client::new(&writing), slot)),
            inner: Some((reading, writing)),
            patience,
            patrol,
            write_since: None,
            is_closing: false,
            is_bounded: false,
            told: Bytes::new(),
            has_told: false,
        }
    }

    /// What the requests of this connection share with it.
    pub(crate) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }

    /// The address at which it was accepted.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.as_ref()?.0.local_addr().ok()
    }

    fn inner(&mut self) -> &mut Halves {
        self.inner.as_mut().expect("a stream loses its connection when dropped")
    }

    /// Writes what the system takes at once.
    fn poll_write_some(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.inner().1.as_ref().as_ref();
        loop {
            ready!(socket.poll_write_ready(cx))?;
            match socket.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// The last answer is on its way: whoever still sends has a moment to take it.
    fn begin_closing(&mut self) {
        if !self.is_closing {
            self.is_closing = true;
            self.patrol.as_mut().reset(self.progress.since() + ServerOptions::CLOSE_TIMEOUT);
        }
    }

    /// What the system keeps of an answer that does not end would grow to megabytes for each client
    /// that stalls, and be too late once it is read.
    fn bound(&mut self) {
        self.is_bounded = true;
        let socket: &TcpStream = self.inner().1.as_ref().as_ref();
        let bounded = SockRef::from(socket).set_send_buffer_size(SEND_BUFFER_BYTES);
        if let Err(error) = bounded {
            tracing::debug!(%error, "the send buffer of a connection was not bounded");
        }
    }

    /// An error once the client has stalled for too long; else wakes the task to look again.
    fn look_after(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.patrol.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let state = self.progress.state();
            let since = self.progress.since();
            let end = match (self.write_since, state) {
                (write_since, ProgressState::Streaming) => {
                    let sending_since = self.progress.sending_since();
                    let since = write_since.into_iter().chain(sending_since).min();
                    since.map(|since| since + self.patience.send)
                }
                (Some(since), _) => Some(since + self.patience.write),
                (None, ProgressState::Head) => Some(since + self.patience.head),
                (None, ProgressState::Idle) if self.progress.slot().lacks_token() => {
                    Some(since + self.patience.idle.min(self.patience.head))
                }
                (None, ProgressState::Idle) => Some(since + self.patience.idle),
                (None, ProgressState::Closing) => Some(since + ServerOptions::CLOSE_TIMEOUT),
                (None, ProgressState::Answer) => None,
            };
            if end.is_some_and(|end| end <= now) {
                if self.write_since.is_none() && state == ProgressState::Head {
                    self.notify_timeout();
                }
                self.progress.cut();
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stalled"));
            }
            let latest = now + self.patience.interval();
            self.patrol.as_mut().reset(end.map_or(latest, |end| end.min(latest)));
        }
        Ok(())
    }

    /// Tells the client that it was too slow, if it takes that at once.
    fn notify_timeout(&mut self) {
        let detail = "the head of the request did not arrive in time";
        let text = told::answer("HTTP/1.1 408 Request Timeout", Code::RequestTimeout, detail);
        self.has_told = self.inner().1.as_ref().as_ref().try_write(&text).is_ok();
    }
}

impl ConnectionTimeouts {
    /// How often to look after a client.
    fn interval(&self) -> Duration {
        self.head.min(self.idle).min(self.write).min(self.send)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        self.progress.count_read();
        match Pin::new(&mut self.inner().0).poll_read(cx, buf) {
            Poll::Pending => {
                if self.progress.slot().poll_evicted(cx.waker()) {
                    return Poll::Ready(Err(gave_way()));
                }
                self.look_after(cx)?;
                Poll::Pending
            }
            Poll::Ready(done) => {
                if buf.filled().len() > before && !self.progress.read_some() {
                    return Poll::Ready(Err(gave_way()));
                }
                Poll::Ready(done)
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.progress.state() == ProgressState::Streaming {
            if !self.is_bounded {
                self.bound();
            }
        } else if self.told.is_empty() {
            self.told = told::problem_for(buf).unwrap_or_default();
        }
        if self.progress.state() == ProgressState::Closing {
            self.begin_closing();
        }
        let is_instead = !self.told.is_empty();
        self.has_told |= is_instead;
        loop {
            let told = self.told.clone();
            let written = self.poll_write_some(cx, if is_instead { &told } else { buf });
            let Poll::Ready(written) = written else {
                if self.write_since.is_none() {
                    self.write_since = Some(Instant::now());
                    self.progress.begin_taking();
                }
                self.look_after(cx)?;
                return Poll::Pending;
            };
            if self.write_since.take().is_some() {
                self.progress.wrote_some();
            }
            if !is_instead {
                return Poll::Ready(written);
            }
            self.told.advance(written?);
            if self.told.is_empty() {
                return Poll::Ready(Ok(buf.len()));
            }
        }
    }

    /// What was written is with the system.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(finish(&self.inner().1))
    }
}

impl Drop for Stream {
    /// Whoever is told something by the parser may still be sending: closing at once would take the
    /// answer away from them.
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|_| self.has_told)
            && let Some(ending) = self.progress.slot().end()
        {
            tokio::spawn(async {
                let _ending = ending;
                timeout(ServerOptions::CLOSE_TIMEOUT, read_away(inner)).await
            });
        }
    }
}

fn gave_way() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection gave way to another")
}

/// Says that nothing more will be answered.
fn finish(socket: &OwnedWriteHalf) -> io::Result<()> {
    let socket: &TcpStream = socket.as_ref();
    SockRef::from(socket).shutdown(Shutdown::Write)
}

/// Says that nothing more will be answered, and reads until the client has heard it.
async fn read_away((mut reading, writing): Halves) -> io::Result<()> {
    finish(&writing)?;
    let mut buf = [0; 4096];
    while reading.read(&mut buf).await? > 0 {}
    Ok(())
}
