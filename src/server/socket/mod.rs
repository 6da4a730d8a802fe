//! Connections that stay: WebSockets and server-sent events, whatever is sent over them.
//!
//! `admit` lets them in. From then on a connection is a [`FrameSource`] of frames, pulled whenever
//! the connection has room for more, so that what waits does so in the source and nowhere else. Of
//! a WebSocket, `guard` bounds what the client may send before a byte of it is kept, and `reader`
//! answers it. How long a send may take is watched where bytes are written, in `connection`.

pub(crate) mod admit;
mod body;
pub(crate) mod close_reason;
mod event_source;
mod frame_limiter;
mod reader;

use std::task::{Context, Poll};

use lanekeeper_actors::stream::EventId;

use crate::server::socket::close_reason::CloseReason;

/// What a connection sends, pulled as it has room for more.
pub(crate) trait FrameSource: 'static {
    /// Puts what is there into a chunk, as far as it fits; ready once there is no more. A chunk
    /// that is left empty is asked for again when the source wakes the task.
    fn poll_fill(&mut self, chunk: &mut dyn Chunk, cx: &mut Context<'_>) -> Poll<CloseReason>;

    /// The server is about to stop: what waits is still sent, nothing new.
    fn finish(&mut self);

    /// The connection was cut, because a send took too long.
    fn cut(&mut self);
}

/// Frames that are sent together.
pub(crate) trait Chunk {
    /// Adds the text of a frame, in pieces, and its number, if it has one.
    fn put(&mut self, text: [&[u8]; 3], id: Option<EventId>);

    /// Makes room for so many frames whose texts have so many bytes together.
    fn reserve(&mut self, count: usize, bytes: usize);

    /// Bytes so far.
    fn bytes(&self) -> usize;
}

/// Bytes after which no further frame joins a chunk.
pub(crate) const CHUNK_BYTES: usize = 16 << 10;

/// What becomes of the texts that a client sends.
pub(crate) trait ClientFrames: 'static {
    /// Takes one text.
    ///
    /// # Errors
    /// Why the connection is closed for it.
    fn text(&mut self, text: &str) -> impl Future<Output = Result<(), CloseReason>>;
}

/// For connections that only listen.
pub(crate) struct Nothing;

impl ClientFrames for Nothing {
    async fn text(&mut self, _: &str) -> Result<(), CloseReason> {
        Err(CloseReason::Unexpected)
    }
}
