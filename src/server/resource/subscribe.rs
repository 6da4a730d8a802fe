//! `GET /stream/{topic}`: a subscription, over a WebSocket or as server-sent events.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpRequest,
    http::header::{HeaderName, HeaderValue},
};
use lanekeeper_actors::stream::{End, EventId, StreamEvent, Subscriber};

use crate::server::{
    http::{code::Code, problem::Problem, request::ApiRequest, response::ApiResponse},
    openapi::{Problems, TopicPath},
    socket::{
        CHUNK_BYTES, Chunk, FrameSource, Nothing,
        admit::{Admission, Connections},
        close_reason::CloseReason,
    },
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

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
            description = "The largest number of messages queued for it [default: 1000]",
        ),
        (
            "Last-Event-ID" = Option<String>, Header,
            description = "Goes on after the event of this `id` with what is retained; \
                           `{\"gap\":{\"count\"}}` says what is not there any more; \
                           it is null if the stream counts anew since",
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
    mut call: ApiRequest<'_>,
    request: &HttpRequest,
    connections: &Arc<Connections>,
) -> Result<ApiResponse, Problem> {
    let most = call.node.stream_limits().queue_max as u64;
    let query = call.query(&["queue_max"])?;
    let queue_max = query.number("queue_max", 1..=most, Code::InvalidRequest)?;
    let after = last_event(request)?;
    let admission = Admission::check(request, connections)?;
    let mut subscribe = call.stream().subscribe();
    if let Some(count) = queue_max {
        subscribe = subscribe.queue_max(count as usize);
    }
    if let Some(last) = after {
        subscribe = subscribe.after(last);
    }
    let subscriber = subscribe.await?;
    let id = subscriber.id();
    let has_ids = admission.is_events();
    let source = Subscription { subscriber, events: Vec::new(), has_ids, is_stopping: false };
    let mut response = admission.open(call.payload(), source, Nothing).await?;
    response.headers_mut().insert(SUBSCRIBER, HeaderValue::from(id.0));
    Ok(ApiResponse::Begun(response))
}

/// The last event that a client has, from a connection before this one.
fn last_event(request: &HttpRequest) -> Result<Option<EventId>, Problem> {
    let Some(value) = request.headers().get(LAST_EVENT_ID) else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok("") => Ok(None),
        text => text.ok().and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
            let detail = "Last-Event-ID must be the id of an event of this stream: EPOCH-SEQ";
            Problem::new(Code::InvalidRequest, detail)
        }),
    }
}

/// A subscriber, as frames.
struct Subscription {
    subscriber: Subscriber,
    /// On their way into a chunk; empty between them.
    events: Vec<StreamEvent>,
    /// Whether events carry ids.
    has_ids: bool,
    is_stopping: bool,
}

impl FrameSource for Subscription {
    fn poll_fill(&mut self, chunk: &mut dyn Chunk, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let count = ready!(self.subscriber.poll_batch(CHUNK_BYTES, &mut self.events, cx));
        if count == 0 {
            return Poll::Ready(self.closing());
        }
        let bytes = self.events.iter().map(|event| event.json_pieces().size_bytes()).sum();
        chunk.reserve(count, bytes);
        let mut ids = self.ids().into_iter();
        for event in self.events.drain(..) {
            chunk.put(event.json_pieces().as_slices(), ids.next().flatten());
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
    fn ids(&self) -> Vec<Option<EventId>> {
        if !self.has_ids {
            return Vec::new();
        }
        let seq = |event: &StreamEvent| match event {
            StreamEvent::Message(message) => Some(message.seq),
            StreamEvent::Gap(_) | StreamEvent::Notice(_) => None,
        };
        let seqs: Vec<_> = self.events.iter().map(seq).collect();
        let ids = ids(&seqs, self.subscriber.position().map(|place| place.seq));
        ids.into_iter().map(|seq| seq.map(|seq| self.subscriber.event_id(seq))).collect()
    }

    fn closing(&self) -> CloseReason {
        match self.subscriber.end() {
            Some(End::Finished) | None if !self.is_stopping => CloseReason::Normal,
            Some(End::Finished | End::ShuttingDown) | None => CloseReason::ShuttingDown,
            Some(End::SlowConsumer) => CloseReason::SlowConsumer,
            Some(End::SendTimeout) => CloseReason::SendTimeout,
            Some(End::ControlOverflow) => CloseReason::ControlOverflow,
            Some(End::Deleted) => CloseReason::Deleted,
            Some(End::Lost) => CloseReason::Lost,
        }
    }
}

/// The ids of events with these numbers: each the highest number so far, where nothing up to it is
/// still to come. Classes overtake each other, and a client that goes on after an id must not miss
/// what was overtaken; so some have none. `through` is the number up to which nothing comes later.
fn ids(seqs: &[Option<u64>], through: Option<u64>) -> Vec<Option<u64>> {
    let mut ids = vec![None; seqs.len()];
    let mut least_to_come = through.map_or(0, |through| through.saturating_add(1));
    let mut highest = seqs.iter().copied().flatten().max().unwrap_or(0);
    for (place, seq) in seqs.iter().enumerate().rev() {
        let Some(seq) = *seq else { continue };
        highest = seqs[..=place].iter().copied().flatten().max().unwrap_or(highest);
        ids[place] = (highest < least_to_come).then_some(highest);
        least_to_come = least_to_come.min(seq);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seqs: &[u64], through: Option<u64>) -> Vec<Option<u64>> {
        let seqs: Vec<_> = seqs.iter().map(|&seq| (seq > 0).then_some(seq)).collect();
        ids(&seqs, through)
    }

    #[test]
    fn an_id_promises_that_nothing_before_it_is_still_to_come() {
        assert_eq!(of(&[7, 8, 9], Some(9)), [Some(7), Some(8), Some(9)]);
        assert_eq!(of(&[9, 7, 8], Some(9)), [None, None, Some(9)]);
        assert_eq!(of(&[7, 9], Some(7)), [Some(7), None], "8 still waits");
        assert_eq!(of(&[0, 7], Some(7)), [None, Some(7)], "a gap has none");
        assert_eq!(of(&[7], None), [None], "a gap is still to be told");
    }
}
