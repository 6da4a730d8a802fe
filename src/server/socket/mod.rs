//! Connections that stay: WebSockets and server-sent events, whatever is sent over them.
//!
//! `admit` lets them in. From then on a connection is a [`Source`] of frames, pulled whenever the
//! connection has room for more, so that what waits does so in the source and nowhere else. Of a
//! WebSocket, `guard` bounds what the client may send before a byte of it is kept, and `reader`
//! answers it. How long a send may take is watched where bytes are written, in `connection`.

mod admit;
mod body;
mod closing;
mod event_source;
mod guard;
mod reader;

use std::task::{Context, Poll};

use bytes::Bytes;

pub(crate) use admit::{Admission, Connections};
pub(crate) use closing::Closing;

/// What a connection sends, pulled one frame after the other.
pub(crate) trait Source: 'static {
    /// The next frame, or why there is none any more.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next>;

    /// The server is about to stop: what waits is still sent, nothing new.
    fn finish(&mut self);

    /// The connection was cut, because a send took too long.
    fn cut(&mut self);
}

/// What a source has.
pub(crate) enum Next {
    /// The text of a frame, and its number, if it has one.
    Frame(Bytes, Option<u64>),
    /// There is no more.
    End(Closing),
}

/// What becomes of the texts that a client sends.
pub(crate) trait Incoming: 'static {
    /// Takes one text.
    ///
    /// # Errors
    /// Why the connection is closed for it.
    fn text(&mut self, text: &str) -> impl Future<Output = Result<(), Closing>>;
}

/// For connections that only listen.
pub(crate) struct Nothing;

impl Incoming for Nothing {
    async fn text(&mut self, _: &str) -> Result<(), Closing> {
        Err(Closing::Unexpected)
    }
}
