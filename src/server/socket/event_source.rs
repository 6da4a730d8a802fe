//! Server-sent events: the plain alternative to a WebSocket.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Next, body::Flow};

/// Bytes after which no further event joins a chunk.
const CHUNK_BYTES: usize = 8 << 10;

/// The events of a source, and a comment now and then, so that a client that is gone is noticed.
pub(super) struct EventBody {
    flow: Flow,
    comments: Interval,
    is_over: bool,
}

impl EventBody {
    pub(super) fn new(flow: Flow, comment_interval: Duration) -> Self {
        let mut comments = interval(comment_interval);
        comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { flow, comments, is_over: false }
    }

    fn fill(&mut self, chunk: &mut Vec<u8>, cx: &mut Context<'_>) {
        while !self.is_over && chunk.len() < CHUNK_BYTES {
            match self.flow.poll_frame(cx) {
                Poll::Ready(Next::Frame(text, number)) => put_event(chunk, number, &text),
                Poll::Ready(Next::End(closing)) => {
                    let (_, word) = closing.parts();
                    let end = format!("event: end\ndata: {{\"code\":\"{word}\"}}\n\n");
                    chunk.extend_from_slice(end.as_bytes());
                    self.is_over = true;
                }
                Poll::Pending => return,
            }
        }
    }
}

/// One event. Line ends in JSON stand between its tokens only, where the client's will do too.
fn put_event(chunk: &mut Vec<u8>, number: Option<u64>, text: &[u8]) {
    if let Some(number) = number {
        chunk.extend_from_slice(format!("id: {number}\n").as_bytes());
    }
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        chunk.extend_from_slice(b"data: ");
        chunk.extend_from_slice(line);
        chunk.push(b'\n');
    }
    chunk.push(b'\n');
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
        if this.is_over {
            return Poll::Ready(None);
        }
        let mut chunk = Vec::new();
        // The first comes at once: the client sees that it is connected.
        while this.comments.poll_tick(cx).is_ready() {
            chunk.extend_from_slice(b":\n\n");
        }
        this.fill(&mut chunk, cx);
        if chunk.is_empty() {
            return Poll::Pending;
        }
        this.flow.progress().sending();
        Poll::Ready(Some(Ok(chunk.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_several_lines_stays_one_event() {
        let mut chunk = Vec::new();
        put_event(&mut chunk, Some(7), b"{\n\"a\":1}");
        put_event(&mut chunk, None, b"{}");
        assert_eq!(chunk, b"id: 7\ndata: {\ndata: \"a\":1}\n\ndata: {}\n\n");
    }
}
