//! Server-sent events: the plain alternative to a WebSocket.

use std::{
    convert::Infallible,
    io::Write,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use lanekeeper_actors::stream::EventId;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::server::{
    http::connection::client::Closed,
    socket::{Chunk, body::Flow},
};

/// The events of a source, and a comment now and then, so that a client that is gone is noticed.
pub(crate) struct EventBody {
    flow: Flow,
    comments: Interval,
    closed: Closed,
    is_over: bool,
}

impl EventBody {
    pub(crate) fn new(flow: Flow, comment_interval: Duration) -> Self {
        let mut comments = interval(comment_interval);
        comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = flow.progress().client().closed();
        Self { flow, comments, closed, is_over: false }
    }

    fn fill(&mut self, chunk: &mut Events, cx: &mut Context<'_>) {
        if let Poll::Ready(closing) = self.flow.poll_fill(chunk, cx) {
            let (_, word) = closing.parts();
            let end = format!("event: end\ndata: {{\"code\":\"{word}\"}}\n\n");
            chunk.0.extend_from_slice(end.as_bytes());
            self.is_over = true;
        }
    }
}

/// About as much as stands around the text of an event.
const AROUND_BYTES: usize = 48;

/// Events, one for each frame.
#[derive(Default)]
struct Events(Vec<u8>);

impl Chunk for Events {
    /// Line ends in JSON stand between its tokens only, where the client's will do too.
    fn put(&mut self, text: [&[u8]; 3], id: Option<EventId>) {
        let Self(chunk) = self;
        if let Some(id) = id {
            writeln!(chunk, "id: {id}").expect("a vector takes every byte");
        }
        chunk.extend_from_slice(b"data: ");
        for piece in text {
            let mut lines = piece.split(|byte| matches!(byte, b'\n' | b'\r'));
            chunk.extend_from_slice(lines.next().unwrap_or_default());
            for line in lines {
                chunk.extend_from_slice(b"\ndata: ");
                chunk.extend_from_slice(line);
            }
        }
        chunk.extend_from_slice(b"\n\n");
    }

    fn reserve(&mut self, count: usize, bytes: usize) {
        self.0.reserve(bytes + count * AROUND_BYTES);
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl MessageBody for EventBody {
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
        if this.is_over || this.closed.as_mut().poll(cx).is_ready() {
            this.is_over = true;
            return Poll::Ready(None);
        }
        let mut chunk = Events::default();
        // The first comes at once: the client sees that it is connected.
        while this.comments.poll_tick(cx).is_ready() {
            chunk.0.extend_from_slice(b":\n\n");
        }
        this.fill(&mut chunk, cx);
        if chunk.0.is_empty() {
            return Poll::Pending;
        }
        this.flow.progress().sending();
        Poll::Ready(Some(Ok(chunk.0.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_several_lines_stays_one_event() {
        let mut chunk = Events::default();
        chunk.put([b"{\"data\":", b"{\n\"a\":1}", b"}"], Some(EventId { epoch: 31, seq: 7 }));
        chunk.put([b"{}", b"", b""], None);
        let expected = "id: 1f-7\ndata: {\"data\":{\ndata: \"a\":1}}\n\ndata: {}\n\n";
        assert_eq!(String::from_utf8(chunk.0).expect("text"), expected);
    }
}
