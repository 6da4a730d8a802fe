//! `GET /stream/{topic}`: a subscription, over a WebSocket or as server-sent events.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    HttpRequest,
    http::header::{HeaderName, HeaderValue},
};
use futures_util::Stream;
use lanekeeper_actors::stream::{End, StreamEvent, Subscriber};

use super::{
    answer::Answer,
    call::Call,
    openapi::{Problems, TopicPath},
    problem::{Code, Problem},
    socket::{Admission, Closing, Connections, Next, Nothing, Source},
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
    let source = Subscription { subscriber, is_stopping: false };
    let mut response = admission.open(call.payload(), source, Nothing).await?;
    response.headers_mut().insert(SUBSCRIBER, HeaderValue::from(id.0));
    Ok(Answer::Begun(response))
}

/// A subscriber, as frames.
struct Subscription {
    subscriber: Subscriber,
    is_stopping: bool,
}

impl Source for Subscription {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        match Pin::new(&mut self.subscriber).poll_next(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(Next::Frame(event.json(), number(&event))),
            Poll::Ready(None) => Poll::Ready(Next::End(self.closing())),
            Poll::Pending => Poll::Pending,
        }
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
