//! `GET /queue/{id}/consume`: leased messages over a WebSocket, as many as the client has credit
//! for, and settled on the same connection.

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{HttpRequest, rt};
use bytes::Bytes;
use lanekeeper_actors::check_id;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc};

use crate::server::{
    http::{
        code::Code,
        json::{self, present},
        problem::Problem,
        request::ApiRequest,
        response::ApiResponse,
    },
    openapi::{Problems, QueuePath},
    resource::consumer::task::{ConsumerTask, Terms},
    socket::{
        CHUNK_BYTES, Chunk, ClientFrames, FrameSource,
        admit::{Admission, Connections},
        close_reason::CloseReason,
    },
};

/// Credit that one frame may add, and that a client may have.
pub(crate) const CREDIT_MAX: usize = 1_000;

/// Frames on their way to the connection, and commands on their way from it.
const ON_THE_WAY: usize = 16;

/// What a consumer sends: one of these.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    /// So many messages more may be sent.
    #[serde(default, deserialize_with = "present")]
    pub(crate) credit: Option<usize>,
    /// The work on these is done.
    #[serde(default, deserialize_with = "present")]
    pub(crate) ack: Option<Vec<String>>,
    /// These go back.
    #[serde(default, deserialize_with = "present")]
    pub(crate) nack: Option<Vec<String>>,
    /// These take longer.
    #[serde(default, deserialize_with = "present")]
    pub(crate) extend: Option<Vec<String>>,
    /// How long what goes back waits.
    #[serde(default, deserialize_with = "present")]
    pub(crate) delay_ms: Option<u64>,
    /// Why it goes back.
    #[serde(default, deserialize_with = "present")]
    pub(crate) reason: Option<String>,
    /// Whether the delivery of what goes back counts; it does if it is not given.
    #[serde(default, deserialize_with = "present")]
    pub(crate) count: Option<bool>,
    /// How long the leases last from now on.
    #[serde(default, deserialize_with = "present")]
    pub(crate) ttl_ms: Option<u64>,
}

/// Consumes a queue over a WebSocket: the client gives credit, the server sends leased messages.
///
/// The client sends `{"credit":n}`, `{"ack":[lease,…]}`, `{"nack":[…],"delay_ms":0}` and
/// `{"extend":[…],"ttl_ms":…}`; the server sends messages as `lease` answers them, one a frame, and
/// answers each settlement. What was sent and not settled when the connection closes goes back and
/// counts as delivered, unless it is the server that ends.
#[utoipa::path(
    get, path = "/queue/{id}/consume", tag = "queue",
    params(
        QueuePath,
        (
            "ttl_ms" = Option<u64>, Query, minimum = 1_000, maximum = 43_200_000,
            description = "The duration of each lease [default: the queue's]",
        ),
        ("worker" = Option<String>, Query, description = "The worker that holds the leases"),
        ("life" = Option<u64>, Query, description = "The life of the worker"),
    ),
    responses((status = 101, description = "A WebSocket of text frames"), Problems),
)]
pub(crate) async fn consume(
    mut call: ApiRequest<'_>,
    request: &HttpRequest,
    connections: &Arc<Connections>,
) -> Result<ApiResponse, Problem> {
    let query = call.query(&["ttl_ms", "worker", "life"])?;
    let ttl_ms = query.number("ttl_ms", 1_000..=43_200_000, Code::InvalidTtl)?;
    let life = query.number("life", 0..=u64::MAX, Code::InvalidRequest)?;
    let worker = query.text("worker").map(str::to_owned);
    if let Some(worker) = &worker {
        let named = |error| Problem::new(Code::InvalidId, format!("worker: {error}"));
        check_id(worker).map_err(named)?;
    }
    let admission = Admission::check(request, connections)?.web_socket()?;
    let (commands, ordered) = mpsc::channel(ON_THE_WAY);
    let (sending, frames) = mpsc::channel(ON_THE_WAY);
    let stopping = Rc::new(Notify::new());
    let source = Feed { frames, stopping: Rc::clone(&stopping) };
    let response = admission.open(call.payload(), source, Commands(commands)).await?;
    let (queue, clock) = (call.queue(), call.node.clock().clone());
    let memory = call.node.memory().clone();
    let ttl = ttl_ms.map(Duration::from_millis);
    let terms = Terms { queue, clock, memory, ttl, worker, life };
    rt::spawn(ConsumerTask::new(terms, sending).run(ordered, stopping));
    Ok(ApiResponse::Begun(response))
}

/// What a consumer is sent.
pub(crate) enum ClientFrame {
    Text(Bytes),
    End(CloseReason),
}

/// Frames as they come from the consumer's task.
struct Feed {
    frames: mpsc::Receiver<ClientFrame>,
    stopping: Rc<Notify>,
}

impl FrameSource for Feed {
    fn poll_fill(&mut self, chunk: &mut dyn Chunk, cx: &mut Context<'_>) -> Poll<CloseReason> {
        while chunk.bytes() < CHUNK_BYTES {
            match ready!(self.frames.poll_recv(cx)) {
                Some(ClientFrame::Text(text)) => chunk.put([&text, b"", b""], None),
                Some(ClientFrame::End(closing)) => return Poll::Ready(closing),
                None => return Poll::Ready(CloseReason::Normal),
            }
        }
        Poll::Pending
    }

    fn finish(&mut self) {
        self.stopping.notify_one();
    }

    fn cut(&mut self) {}
}

/// Texts of the client on their way to the consumer's task, which reads them or says what is wrong.
struct Commands(mpsc::Sender<Result<Command, Problem>>);

impl ClientFrames for Commands {
    async fn text(&mut self, text: &str) -> Result<(), CloseReason> {
        let command = read(text);
        self.0.send(command).await.map_err(|_| CloseReason::Normal)
    }
}

fn read(text: &str) -> Result<Command, Problem> {
    let command: Command = json::object(text.as_bytes())?;
    let Command { credit, ack, nack, extend, delay_ms, reason, count, ttl_ms } = &command;
    let given = [credit.is_some(), ack.is_some(), nack.is_some(), extend.is_some()];
    let wrong = |detail: &'static str| Err(Problem::new(Code::InvalidRequest, detail));
    if given.iter().filter(|is_given| **is_given).count() != 1 {
        return wrong("a frame must have exactly one of credit, ack, nack and extend");
    }
    if (delay_ms.is_some() || reason.is_some() || count.is_some()) && nack.is_none() {
        return wrong("delay_ms, reason and count are allowed only with nack");
    }
    if ttl_ms.is_some() && extend.is_none() {
        return wrong("ttl_ms is allowed only with extend");
    }
    if credit.is_some_and(|credit| !(1..=CREDIT_MAX).contains(&credit)) {
        let problem = Problem::new(Code::InvalidRequest, "credit must be from 1 to 1000");
        return Err(problem.limit(CREDIT_MAX as u64));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_command() {
        assert_eq!(read(r#"{"credit":7}"#).expect("a command").credit, Some(7));
        let nack = read(r#"{"nack":["x"],"delay_ms":5,"reason":"why"}"#).expect("a command");
        assert_eq!((nack.delay_ms, nack.reason.as_deref()), (Some(5), Some("why")));
        let frames = [
            "{}",
            "[]",
            "x",
            r#"{"credit":0}"#,
            r#"{"credit":1001}"#,
            r#"{"credit":-1}"#,
            r#"{"credit":1,"ack":[]}"#,
            r#"{"ack":["x"],"delay_ms":1}"#,
            r#"{"nack":["x"],"ttl_ms":1000}"#,
            r#"{"ack":"x"}"#,
            r#"{"ack":null}"#,
            r#"{"pop":1}"#,
        ];
        for frame in frames {
            let problem = read(frame).expect_err("a problem");
            assert_eq!(problem.code(), Code::InvalidRequest, "{frame}");
        }
    }
}
