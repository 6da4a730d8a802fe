//! A connection below the parser: what a client is told that speaks no HTTP, and how long one that
//! stalls is borne with.
//!
//! The parser can watch the first head of a connection alone, and an idle one until a part of the
//! next head is there, both to half a second; nobody watches whether answers are read. A client
//! that stalls after its first request would keep its connection for ever. So all of that is
//! watched here.

mod progress;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use progress::State;
pub(crate) use progress::{Progress, Streaming};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout},
};

use super::{
    ServerOptions,
    problem::{Code, Problem},
};

/// How long a client may stall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
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

/// The stream of a connection.
pub(crate) struct Stream {
    /// There until the end.
    inner: Option<TcpStream>,
    progress: Rc<Progress>,
    patience: Patience,
    /// Looks after the client now and then, rather than being set anew for every request.
    patrol: Pin<Box<Sleep>>,
    write_since: Option<Instant>,
    /// Whether the system keeps only so much of what was written.
    is_bounded: bool,
    /// What is still to be written in place of an answer without a body.
    told: Bytes,
    has_told: bool,
}

impl Stream {
    /// Takes a connection over.
    pub(crate) fn new(inner: TcpStream, patience: Patience) -> Self {
        let patrol = Box::pin(sleep_until(Instant::now() + patience.interval()));
        Self {
            inner: Some(inner),
            progress: Rc::new(Progress::new()),
            patience,
            patrol,
            write_since: None,
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
        self.inner.as_ref()?.local_addr().ok()
    }

    fn inner(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.inner.as_mut().expect("a stream loses its connection when dropped"))
    }

    /// What the system keeps of an answer that does not end would grow to megabytes for each client
    /// that stalls, and be too late once it is read.
    fn bound(&mut self) {
        self.is_bounded = true;
        let bounded = self
            .inner
            .as_ref()
            .map(|inner| SockRef::from(inner).set_send_buffer_size(SEND_BUFFER_BYTES));
        if let Some(Err(error)) = bounded {
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
                (write_since, State::Streaming) => {
                    let sending_since = self.progress.sending_since();
                    let since = write_since.into_iter().chain(sending_since).min();
                    since.map(|since| since + self.patience.send)
                }
                (Some(since), _) => Some(since + self.patience.write),
                (None, State::Head) => Some(since + self.patience.head),
                (None, State::Idle) => Some(since + self.patience.idle),
                (None, State::Answer) => None,
            };
            if end.is_some_and(|end| end <= now) {
                if self.write_since.is_none() && state == State::Head {
                    self.tell_timeout();
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
    fn tell_timeout(&mut self) {
        let detail = "the head of the request did not arrive in time";
        let text = answer("HTTP/1.1 408 Request Timeout", Code::RequestTimeout, detail);
        self.has_told = self.inner.as_ref().is_some_and(|inner| inner.try_write(&text).is_ok());
    }
}

impl Patience {
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
        match self.inner().poll_read(cx, buf) {
            Poll::Pending => {
                self.look_after(cx)?;
                Poll::Pending
            }
            Poll::Ready(done) => {
                if buf.filled().len() > before {
                    self.progress.read_some();
                } else {
                    self.progress.leave();
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
        if self.progress.state() == State::Streaming {
            if !self.is_bounded {
                self.bound();
            }
        } else if self.told.is_empty() {
            self.told = problem_for(buf).unwrap_or_default();
        }
        let is_instead = !self.told.is_empty();
        self.has_told |= is_instead;
        loop {
            let told = self.told.clone();
            let written = self.inner().poll_write(cx, if is_instead { &told } else { buf });
            let Poll::Ready(written) = written else {
                self.write_since.get_or_insert_with(Instant::now);
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}

impl Drop for Stream {
    /// Whoever is told something by the parser may still be sending: closing at once would take the
    /// answer away from them.
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|_| self.has_told) {
            tokio::spawn(async { timeout(ServerOptions::CLOSE_TIMEOUT, read_away(inner)).await });
        }
    }
}

/// Says that nothing more will be answered, and reads until the client has heard it.
async fn read_away(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut buf = [0; 4096];
    while stream.read(&mut buf).await? > 0 {}
    Ok(())
}

/// What the parser answers of itself has no body, while no answer of a handler has none: this is it
/// with a problem document. A part of a larger answer is never taken for one, because the line ends
/// of a head cannot stand in JSON text.
fn problem_for(bare: &[u8]) -> Option<Bytes> {
    let status = bare.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let (code, detail) = match status {
        b"400" => (Code::InvalidRequest, "the request is no HTTP that is understood"),
        b"431" => (Code::HeadersTooLarge, "the head of the request is too large"),
        _ => return None,
    };
    let head = std::str::from_utf8(bare).ok()?.strip_suffix("\r\n\r\n")?;
    let is_without_body = head.lines().any(|line| line.eq_ignore_ascii_case("content-length: 0"));
    if !is_without_body {
        return None;
    }
    Some(answer(head.lines().next()?, code, detail))
}

/// An answer that is the last of its connection.
fn answer(status_line: &str, code: Code, detail: &'static str) -> Bytes {
    let body = Problem::new(code, detail).to_text();
    let length = body.len();
    let text = format!(
        "{status_line}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str) -> Option<String> {
        let bytes = problem_for(answer.as_bytes())?;
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[test]
    fn an_answer_of_the_parser_gets_a_body() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\
                    connection: close\r\ndate: Sat, 21 Nov 2026 08:55:53 GMT\r\n\r\n";
        let told = told(bare).expect("a problem");
        assert!(told.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{told}");
        let (head, body) = told.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{told}");
        assert!(body.contains("\"code\":\"headers_too_large\""), "{told}");
    }

    #[test]
    fn an_answer_of_a_handler_is_left_alone() {
        let others = [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 408",
            "{}",
            "",
        ];
        for answer in others {
            assert_eq!(told(answer), None, "{answer}");
        }
    }
}
