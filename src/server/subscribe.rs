//! `GET /stream/{topic}`: a subscription, over a WebSocket or as server-sent events.

use std::{
    io::Write,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    HttpRequest,
    http::header::{HeaderName, HeaderValue},
};
use futures_util::Stream;
use lanekeeper_actors::stream::{End, Gap, Notice, StreamEvent, Subscriber};

use super::{
    SocketOptions,
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
    options: &SocketOptions,
    connections: &Arc<Connections>,
) -> Result<Answer, Problem> {
    let most = call.node.stream_limits().queue_max as u64;
    let query = call.query(&["queue_max"])?;
    let queue_max = query.number("queue_max", 1..=most, Code::InvalidRequest)?;
    let admission = Admission::check(request, options, connections)?;
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
    fn poll_frame(&mut self, out: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Next> {
        match Pin::new(&mut self.subscriber).poll_next(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(Next::Frame(put(out, &event))),
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

/// Writes an event as JSON; answers its number, if it has one.
fn put(out: &mut Vec<u8>, event: &StreamEvent) -> Option<u64> {
    let written = match event {
        StreamEvent::Message(message) => {
            let (class, seq) = (message.class, message.seq);
            out.reserve(message.data.size_bytes() + 64);
            let head = write!(out, "{{\"class\":\"{class}\",\"seq\":{seq},\"data\":");
            out.extend_from_slice(message.data.as_bytes());
            out.push(b'}');
            head
        }
        StreamEvent::Gap(Gap { class, count }) => {
            write!(out, "{{\"gap\":{{\"class\":\"{class}\",\"count\":{count}}}}}")
        }
        StreamEvent::Notice(Notice::SlowConsumer { slow_events }) => {
            let code = "slow_consumer";
            write!(out, "{{\"notice\":{{\"code\":\"{code}\",\"slow_events\":{slow_events}}}}}")
        }
        StreamEvent::Notice(Notice::Recovered) => {
            write!(out, "{{\"notice\":{{\"code\":\"recovered\"}}}}")
        }
    };
    written.expect("a vector takes every byte");
    match event {
        StreamEvent::Message(message) => Some(message.seq),
        StreamEvent::Gap(_) | StreamEvent::Notice(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use lanekeeper_actors::{
        queue::Item,
        stream::{Class, Message},
    };

    use super::*;

    fn text(event: &StreamEvent) -> (String, Option<u64>) {
        let mut out = Vec::new();
        let number = put(&mut out, event);
        (String::from_utf8(out).expect("text"), number)
    }

    #[test]
    fn frames_are_written_as_the_contract_says() {
        let data = Item::from_json("{ \"a\" : 1.0 }").expect("an object");
        let message = Arc::new(Message { class: Class::Critical, seq: 7, data });
        let expected = r#"{"class":"critical","seq":7,"data":{ "a" : 1.0 }}"#;
        assert_eq!(text(&StreamEvent::Message(message)), (expected.to_owned(), Some(7)));
        let gap = StreamEvent::Gap(Gap { class: Class::Bulk, count: 3 });
        assert_eq!(text(&gap).0, r#"{"gap":{"class":"bulk","count":3}}"#);
        let notice = StreamEvent::Notice(Notice::SlowConsumer { slow_events: 6 });
        assert_eq!(text(&notice).0, r#"{"notice":{"code":"slow_consumer","slow_events":6}}"#);
        let notice = StreamEvent::Notice(Notice::Recovered);
        assert_eq!(text(&notice).0, r#"{"notice":{"code":"recovered"}}"#);
    }
}
