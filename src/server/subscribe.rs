//! `GET /stream/{topic}`: a subscription, over a WebSocket or as server-sent events.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpRequest,
    http::header::{HeaderName, HeaderValue},
};
use lanekeeper_actors::stream::{End, StreamEvent, Subscriber};

use super::{
    answer::Answer,
    call::Call,
    openapi::{Problems, TopicPath},
    problem::{Code, Problem},
    socket::{Admission, CHUNK_BYTES, Chunk, Closing, Connections, Nothing, Source},
};

/// Tells a subscriber its number.
const SUBSCRIBER: HeaderName = HeaderName::from_static("lanekeeper-subscriber");

/// Subscribes: a WebSocket upgrade, or server-sent events with `Accept: text/event-stream`.
///
/// Each frame, or event, is one object: `{"class","seq","data"}` for a message,
/// `{"gap":{"class","count"}}` where messages are missing, `{"notice":{"code",…}}` for what
/// concerns the subscriber itself.
#[utoipa::path(
    get, path = "/stream/{topic}", tag = "stream",
    params(
        TopicPath,
        (
            "queue_max" = Option<u32>, Query, minimum = 1, maximum = 100_000,
            description = "Messages that may wait for this subscriber; 1,000 when not given",
        ),
    ),
    responses(
        (status = 101, description = "A WebSocket of text frames"),
        (
            status = 200, description = "Server-sent events", body = String,
            content_type = "text/event-stream",
        ),
        Problems,
    ),
)]
pub(crate) async fn subscribe(
    mut call: Call<'_>,
    request: &HttpRequest,
    connections: &Arc<Connections>,
) -> Result<Answer, Problem> {
    let most = call.node.stream_limits().queue_max as u64;
    let query = call.query(&["queue_max"])?;
    let queue_max = query.number("queue_max", 1..=most, Code::InvalidRequest)?;
    let admission = Admission::check(request, connections)?;
    let mut subscribe = call.stream().subscribe();
    if let Some(count) = queue_max {
        subscribe = subscribe.queue_max(count as usize);
    }
    let subscriber = subscribe.await?;
    let id = subscriber.id();
    let source = Subscription { subscriber, events: Vec::new(), is_stopping: false };
    let mut response = admission.open(call.payload(), source, Nothing).await?;
    response.headers_mut().insert(SUBSCRIBER, HeaderValue::from(id.0));
    Ok(Answer::Begun(response))
}

/// A subscriber, as frames.
struct Subscription {
    subscriber: Subscriber,
    /// On their way into a chunk; empty between them.
    events: Vec<StreamEvent>,
    is_stopping: bool,
}

impl Source for Subscription {
    fn poll_fill(&mut self, chunk: &mut dyn Chunk, cx: &mut Context<'_>) -> Poll<Closing> {
        let count = ready!(self.subscriber.poll_batch(CHUNK_BYTES, &mut self.events, cx));
        if count == 0 {
            return Poll::Ready(self.closing());
        }
        let bytes = self.events.iter().map(|event| event.json_pieces().size_bytes()).sum();
        chunk.reserve(count, bytes);
        for event in self.events.drain(..) {
            chunk.put(event.json_pieces().as_slices(), number(&event));
        }
        Poll::Pending
    }

    fn finish(&mut self) {
        self.is_stopping = true;
        self.subscriber.finish();
    }

    fn cut(&mut self) {
        self.subscriber.disconnect(End::SendTimeout);
    }
}

impl Subscription {
    fn closing(&self) -> Closing {
        match self.subscriber.end() {
            Some(End::Finished) | None if !self.is_stopping => Closing::Normal,
            Some(End::Finished | End::ShuttingDown) | None => Closing::ShuttingDown,
            Some(End::SlowConsumer) => Closing::SlowConsumer,
            Some(End::SendTimeout) => Closing::SendTimeout,
            Some(End::ControlOverflow) => Closing::ControlOverflow,
            Some(End::Lost) => Closing::Lost,
        }
    }
}

fn number(event: &StreamEvent) -> Option<u64> {
    match event {
        StreamEvent::Message(message) => Some(message.seq),
        StreamEvent::Gap(_) | StreamEvent::Notice(_) => None,
    }
}
