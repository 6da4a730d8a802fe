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
use lanekeeper_actors::stream::EventId;
use tokio_util::codec::Encoder;

use crate::server::{
    http::connection::progress::{Progress, Streaming},
    socket::{Chunk, FrameSource, admit::Permit, close_reason::CloseReason},
};

/// Resolves when the server is about to stop.
pub(crate) type Stopping = Pin<Box<dyn Future<Output = ()>>>;

/// What every connection that stays has.
pub(crate) struct Flow {
    pub(crate) source: Box<dyn FrameSource>,
    pub(crate) streaming: Streaming,
    pub(crate) stopping: Option<Stopping>,
    /// Given back with the body.
    pub(crate) _permit: Permit,
}

impl Flow {
    /// Puts what is there into a chunk, as far as it fits; ready once there is no more.
    pub(crate) fn poll_fill(
        &mut self,
        chunk: &mut dyn Chunk,
        cx: &mut Context<'_>,
    ) -> Poll<CloseReason> {
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            self.stopping = None;
            self.source.finish();
        }
        self.source.poll_fill(chunk, cx)
    }

    pub(crate) fn progress(&self) -> &Rc<Progress> {
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
pub(crate) struct SocketBody {
    /// Pongs, pings and closes.
    control: BoxBody,
    flow: Flow,
    codec: Codec,
    is_closed: bool,
}

impl SocketBody {
    pub(crate) fn new(control: BoxBody, flow: Flow) -> Self {
        Self { control, flow, codec: Codec::new(), is_closed: false }
    }

    /// The next chunk, empty if there is nothing.
    fn fill(&mut self, cx: &mut Context<'_>) -> BytesMut {
        let mut chunk = Frames(BytesMut::new());
        if let Poll::Ready(closing) = self.flow.poll_fill(&mut chunk, cx) {
            let close = Message::Close(Some(closing.reason()));
            self.codec.encode(close, &mut chunk.0).expect("a close frame is always written");
            self.is_closed = true;
        }
        chunk.0
    }
}

/// The longest head of a frame of the server: two bytes, and a length of eight.
const HEAD_BYTES_MAX: usize = 10;

/// Text frames of the server: whole, and not masked.
struct Frames(BytesMut);

impl Chunk for Frames {
    fn put(&mut self, text: [&[u8]; 3], _: Option<EventId>) {
        const LAST_TEXT: u8 = 0x81;
        let Self(chunk) = self;
        let length: usize = text.iter().map(|piece| piece.len()).sum();
        chunk.reserve(length + HEAD_BYTES_MAX);
        match length {
            0..126 => chunk.extend_from_slice(&[LAST_TEXT, length as u8]),
            126..65_536 => {
                chunk.extend_from_slice(&[LAST_TEXT, 126]);
                chunk.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                chunk.extend_from_slice(&[LAST_TEXT, 127]);
                chunk.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        text.iter().for_each(|piece| chunk.extend_from_slice(piece));
    }

    fn reserve(&mut self, count: usize, bytes: usize) {
        self.0.reserve(bytes + count * HEAD_BYTES_MAX);
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }
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
        let chunk = this.fill(cx);
        if chunk.is_empty() {
            return Poll::Pending;
        }
        this.flow.progress().sending();
        Poll::Ready(Some(Ok(chunk.freeze())))
    }
}
