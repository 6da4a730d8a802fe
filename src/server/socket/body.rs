//! The body of an answer that does not end: what a source has, pulled when there is room.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::ws::{Codec, Message};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::{Bytes, BytesMut};
use tokio_util::codec::Encoder;

use super::{Closing, Next, Source, admit::Permit};
use crate::server::connection::{Progress, Streaming};

/// Bytes after which no further frame joins a chunk.
const CHUNK_BYTES: usize = 8 << 10;

/// Resolves when the server is about to stop.
pub(super) type Stopping = Pin<Box<dyn Future<Output = ()>>>;

/// What every connection that stays has.
pub(super) struct Flow {
    pub(super) source: Box<dyn Source>,
    pub(super) streaming: Streaming,
    pub(super) stopping: Option<Stopping>,
    /// Given back with the body.
    pub(super) _permit: Permit,
}

impl Flow {
    /// The next frame.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            self.stopping = None;
            self.source.finish();
        }
        self.source.poll_frame(cx)
    }

    pub(super) fn progress(&self) -> &Rc<Progress> {
        self.streaming.progress()
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if self.progress().is_cut() {
            self.source.cut();
        }
    }
}

/// A WebSocket: frames of a source, and between them what its reader has to say.
pub(super) struct SocketBody {
    /// Pongs, pings and closes.
    control: BoxBody,
    flow: Flow,
    codec: Codec,
    is_closed: bool,
}

impl SocketBody {
    pub(super) fn new(control: BoxBody, flow: Flow) -> Self {
        Self { control, flow, codec: Codec::new(), is_closed: false }
    }

    /// Puts as many frames into a chunk as are there and fit.
    fn fill(&mut self, chunk: &mut BytesMut, cx: &mut Context<'_>) {
        while !self.is_closed && chunk.len() < CHUNK_BYTES {
            match self.flow.poll_frame(cx) {
                Poll::Ready(Next::Frame(text, _)) => put_text(chunk, &text),
                Poll::Ready(Next::End(closing)) => {
                    self.put_close(chunk, closing);
                    self.is_closed = true;
                }
                Poll::Pending => return,
            }
        }
    }

    fn put_close(&mut self, chunk: &mut BytesMut, closing: Closing) {
        let close = Message::Close(Some(closing.reason()));
        self.codec.encode(close, chunk).expect("a close frame is always written");
    }
}

/// A text frame of the server: whole, and not masked.
fn put_text(chunk: &mut BytesMut, text: &[u8]) {
    const LAST_TEXT: u8 = 0x81;
    chunk.reserve(text.len() + 10);
    match text.len() {
        length @ 0..126 => chunk.extend_from_slice(&[LAST_TEXT, length as u8]),
        length @ 126..65_536 => {
            chunk.extend_from_slice(&[LAST_TEXT, 126]);
            chunk.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            chunk.extend_from_slice(&[LAST_TEXT, 127]);
            chunk.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    chunk.extend_from_slice(text);
}

impl MessageBody for SocketBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        this.flow.progress().sent();
        if this.is_closed {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.control).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                this.flow.progress().sending();
                return Poll::Ready(Some(Ok(chunk)));
            }
            Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        let mut chunk = BytesMut::new();
        this.fill(&mut chunk, cx);
        if chunk.is_empty() {
            return Poll::Pending;
        }
        this.flow.progress().sending();
        Poll::Ready(Some(Ok(chunk.freeze())))
    }
}
