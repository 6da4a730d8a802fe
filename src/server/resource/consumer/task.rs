//! The task of one consumer: leases as far as there is credit, and settles as it is told.

use std::{
    collections::HashMap,
    pin::Pin,
    rc::Rc,
    time::{Duration, SystemTime},
};

use lanekeeper_actors::{
    Clock, MemoryBudget,
    queue::{self, Lease, LeaseError, LeaseSource, LeaseToken, NackOptions, Queue, QueueError},
};
use serde::Serialize;
use tokio::sync::{Notify, mpsc};

use crate::{
    server::{
        http::{code::Code, problem::Problem, response},
        resource::{
            consumer::upgrade::{CREDIT_MAX, ClientFrame, Command},
            lease::nobodys,
        },
        socket::close_reason::CloseReason,
    },
    wire::convert::unix_millis,
};

/// Messages leased at once.
const DEPTH_MAX: usize = 100;

/// What is consumed, and how.
pub(crate) struct Terms {
    pub(crate) queue: Queue,
    pub(crate) clock: Clock,
    pub(crate) memory: MemoryBudget,
    pub(crate) ttl: Option<Duration>,
    pub(crate) worker: Option<String>,
    pub(crate) life: Option<u64>,
}

type Leased = Result<Vec<Lease>, QueueError>;
type Leasing = Pin<Box<dyn Future<Output = (LeaseSource, Leased)> + Send>>;

/// A consumer, and what it holds.
pub(crate) struct ConsumerTask {
    terms: Terms,
    frames: mpsc::Sender<ClientFrame>,
    credit: usize,
    /// Leases that were sent and not yet settled: given back when dropped, as delivered.
    held: HashMap<LeaseToken, HeldLeases>,
    /// What a lease was last refused with, which is told once.
    refused: Option<Code>,
}

/// A message that its consumer works on, until its lease ends.
struct HeldLeases {
    lease: Lease,
    until: SystemTime,
}

/// The connection is over.
struct Disconnected;

impl ConsumerTask {
    pub(crate) fn new(terms: Terms, frames: mpsc::Sender<ClientFrame>) -> Self {
        Self { terms, frames, credit: 0, held: HashMap::new(), refused: None }
    }

    /// Serves until the connection closes or the server stops, and gives back what is left:
    /// uncounted only if it is the server that stops.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Result<Command, Problem>>,
        stopping: Rc<Notify>,
    ) {
        let frames = self.frames.clone();
        let closing = tokio::select! {
            closing = self.serve(&mut commands) => closing,
            () = stopping.notified() => Some(CloseReason::ShuttingDown),
            () = frames.closed() => None,
        };
        if matches!(closing, Some(CloseReason::ShuttingDown)) {
            // It is this end that gives up: nothing was wrong with the messages.
            self.held.drain().for_each(|(_, held)| held.lease.release());
        }
        // Otherwise nobody knows what became of what was sent: dropped, each counts as delivered.
        self.held.clear();
        if let Some(closing) = closing {
            // Fails if the connection is gone already.
            drop(frames.send(ClientFrame::End(closing)).await);
        }
    }

    async fn serve(
        &mut self,
        commands: &mut mpsc::Receiver<Result<Command, Problem>>,
    ) -> Option<CloseReason> {
        let Terms { queue, ttl, worker, life, .. } = &self.terms;
        let source = LeaseSource::new(queue.clone()).ttl(*ttl).worker(worker.clone()).life(*life);
        let mut idle = Some(source);
        let mut leasing: Option<Leasing> = None;
        loop {
            let wanted = self.wanted();
            if wanted > 0
                && let Some(source) = idle.take()
            {
                leasing = Some(lease(source, wanted));
            }
            let room = self.room_again();
            let clock = self.terms.clock.clone();
            let done = tokio::select! {
                command = commands.recv() => self.handle_command(command?).await,
                () = clock.sleep(room.unwrap_or_default()), if room.is_some() => Ok(()),
                (source, leased) = granted(&mut leasing) => {
                    leasing = None;
                    idle = Some(source);
                    match leased {
                        Ok(leases) => self.send(leases).await,
                        Err(error) => match Problem::from(error) {
                            problem if problem.code() == Code::ShuttingDown => {
                                return Some(CloseReason::ShuttingDown);
                            }
                            problem => self.tell_refused(&problem).await,
                        },
                    }
                }
            };
            done.ok()?;
        }
    }

    /// Messages that may be leased now.
    fn wanted(&mut self) -> usize {
        if self.held.len() >= CREDIT_MAX {
            let now = self.terms.clock.now();
            self.held.retain(|_, held| held.until > now);
        }
        self.credit.min(CREDIT_MAX.saturating_sub(self.held.len())).min(DEPTH_MAX)
    }

    /// How long it takes until there is room for another message by itself, if there is none and
    /// credit: a lease ends that nobody settled.
    fn room_again(&self) -> Option<Duration> {
        if self.credit == 0 || self.held.len() < CREDIT_MAX {
            return None;
        }
        let first = self.held.values().map(|held| held.until).min()?;
        let now = self.terms.clock.now();
        Some(first.duration_since(now).unwrap_or_default().max(Duration::from_millis(1)))
    }

    /// Sends leased messages, one a frame. Those not sent go back, and were not delivered.
    async fn send(&mut self, leases: Vec<Lease>) -> Result<(), Disconnected> {
        self.refused = None;
        let mut leases = leases.into_iter();
        while let Some(lease) = leases.next() {
            let mut text = Vec::with_capacity(lease.item.size_bytes() + 256);
            response::put_leased(&mut text, &lease);
            self.credit = self.credit.saturating_sub(1);
            let until = lease.expires_at();
            let token = lease.token();
            self.held.insert(token, HeldLeases { lease, until });
            if let Err(over) = self.tell(text).await {
                let unsent = self.held.remove(&token).map(|held| held.lease);
                unsent.into_iter().chain(leases).for_each(Lease::release);
                return Err(over);
            }
        }
        Ok(())
    }

    async fn handle_command(
        &mut self,
        command: Result<Command, Problem>,
    ) -> Result<(), Disconnected> {
        let answer = match command {
            Ok(command) => self.settle(command).await,
            Err(problem) => Err(problem),
        };
        match answer {
            Ok(Some(text)) => self.tell(text).await,
            Ok(None) => Ok(()),
            Err(problem) => self.tell_problem(&problem).await,
        }
    }

    async fn settle(&mut self, command: Command) -> Result<Option<Vec<u8>>, Problem> {
        let queue = self.terms.queue.clone();
        if let Some(credit) = command.credit {
            self.credit = (self.credit + credit).min(CREDIT_MAX);
            return Ok(None);
        }
        if let Some(texts) = &command.ack {
            let (tokens, mut failed) = tokens(texts);
            let settled = queue.ack(&tokens).await?;
            let settled = self.settled(&tokens, settled);
            failed.extend(settled.failed);
            return Ok(Some(written(&Acked { acked: settled.count, failed })));
        }
        if let Some(texts) = &command.nack {
            let delay = Duration::from_millis(command.delay_ms.unwrap_or(0));
            let is_counted = command.count.unwrap_or(true);
            let options = NackOptions { delay, reason: command.reason, is_counted };
            let (tokens, mut failed) = tokens(texts);
            let settled = queue.nack(&tokens, options).await?;
            let settled = self.settled(&tokens, settled);
            failed.extend(settled.failed);
            return Ok(Some(written(&Nacked { nacked: settled.count, failed })));
        }
        let ttl = command.ttl_ms.map(Duration::from_millis).or(self.terms.ttl);
        self.extend(&command.extend.unwrap_or_default(), ttl).await.map(Some)
    }

    /// Forgets leases that were settled, or that are not held any more.
    fn settled(&mut self, tokens: &[LeaseToken], settled: queue::SettledLeases) -> Settled {
        for token in tokens {
            if let Some(held) = self.held.remove(token) {
                drop(held.lease.detach());
            }
        }
        // What stood in for tokens that are none was told of as those.
        let sent = settled.failed.into_iter().filter(|(token, _)| *token != nobodys());
        let failed = sent.map(|(token, error)| failed(&token, error));
        Settled { count: settled.count, failed: failed.collect() }
    }

    async fn extend(
        &mut self,
        texts: &[String],
        ttl: Option<Duration>,
    ) -> Result<Vec<u8>, Problem> {
        let (tokens, mut unknown) = tokens(texts);
        let done = self.terms.queue.extend(&tokens, ttl).await?;
        let lease_expires_at = unix_millis(done.expires_at);
        for token in &done.extended {
            if let Some(held) = self.held.get_mut(token) {
                held.until = done.expires_at;
            }
        }
        let row = |token: &LeaseToken| Prolonged { lease: token.to_string(), lease_expires_at };
        let extended = done.extended.iter().map(row).collect();
        let gone: Vec<LeaseToken> = done.failed.iter().map(|(token, _)| *token).collect();
        let settled = queue::SettledLeases { count: 0, failed: done.failed };
        unknown.extend(self.settled(&gone, settled).failed);
        Ok(written(&Extended { extended, failed: unknown }))
    }

    async fn tell_refused(&mut self, problem: &Problem) -> Result<(), Disconnected> {
        if self.refused.replace(problem.code()) == Some(problem.code()) {
            return Ok(());
        }
        self.tell_problem(problem).await
    }

    async fn tell_problem(&self, problem: &Problem) -> Result<(), Disconnected> {
        self.tell(format!("{{\"problem\":{}}}", problem.to_text()).into_bytes()).await
    }

    async fn tell(&self, text: Vec<u8>) -> Result<(), Disconnected> {
        let text = self.terms.memory.counted(text.into());
        self.frames.send(ClientFrame::Text(text)).await.map_err(|_| Disconnected)
    }
}

/// Leases from a source, and hands it back.
fn lease(mut source: LeaseSource, depth: usize) -> Leasing {
    Box::pin(async move {
        let leased = source.next(depth).await;
        (source, leased)
    })
}

/// What a lease under way comes to; never, if there is none.
async fn granted(leasing: &mut Option<Leasing>) -> (LeaseSource, Leased) {
    match leasing {
        Some(leasing) => leasing.await,
        None => std::future::pending().await,
    }
}

/// The tokens of texts, and those that are none. There is one token at least, if nobody's: so that
/// the queue is asked, and refuses what else is wrong.
fn tokens(texts: &[String]) -> (Vec<LeaseToken>, Vec<Failed>) {
    let (mut tokens, mut strangers) = (Vec::new(), Vec::new());
    for text in texts {
        match text.parse() {
            Ok(token) => tokens.push(token),
            Err(_) => {
                let code = Code::LeaseNotFound.as_str();
                strangers.push(Failed { lease: text.clone(), code });
            }
        }
    }
    if tokens.is_empty() {
        tokens.push(nobodys());
    }
    (tokens, strangers)
}

fn failed(token: &LeaseToken, error: LeaseError) -> Failed {
    let code = match error {
        LeaseError::NotFound => Code::LeaseNotFound,
        LeaseError::Expired => Code::LeaseExpired,
    };
    Failed { lease: token.to_string(), code: code.as_str() }
}

/// What became of leases that were settled together.
struct Settled {
    count: usize,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Failed {
    lease: String,
    code: &'static str,
}

#[derive(Serialize)]
struct Acked {
    acked: usize,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Nacked {
    nacked: usize,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Extended {
    extended: Vec<Prolonged>,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Prolonged {
    lease: String,
    lease_expires_at: u64,
}

fn written(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("text and numbers serialise")
}
