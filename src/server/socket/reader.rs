//! The receiving side of a WebSocket: answers pings, sends some, and ends it when it must.

use std::{cell::Cell, io::ErrorKind, rc::Rc, time::Duration};

use actix_ws::{AggregatedMessage, AggregatedMessageStream, ProtocolError, Session};
use tokio::time::{MissedTickBehavior, interval};

use crate::server::socket::{ClientFrames, close_reason::CloseReason};

/// What a client sends, and what to do with it.
pub(crate) struct Reader<I> {
    pub(crate) session: Session,
    pub(crate) messages: AggregatedMessageStream,
    pub(crate) incoming: I,
    /// Set once the client sent more than it may.
    pub(crate) is_breached: Rc<Cell<bool>>,
    pub(crate) ping_interval: Duration,
}

/// Why nothing more is read.
enum Disconnected {
    /// The connection is gone.
    Gone,
    Close(CloseReason),
}

impl<I: ClientFrames> Reader<I> {
    /// Reads until the connection ends or has to be ended.
    pub(crate) async fn run(mut self) {
        if let Err(Disconnected::Close(closing)) = self.read().await {
            // Fails if the connection is gone, which is what it is for.
            drop(self.session.close(Some(closing.reason())).await);
        }
    }

    async fn read(&mut self) -> Result<(), Disconnected> {
        let mut pings = interval(self.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        let mut is_heard = true;
        loop {
            tokio::select! {
                message = self.messages.recv() => {
                    is_heard = true;
                    match message {
                        Some(Ok(message)) => self.take(message).await?,
                        Some(Err(error)) => return Err(self.broken(&error)),
                        None => return Err(Disconnected::Gone),
                    }
                }
                _ = pings.tick() => {
                    if !std::mem::take(&mut is_heard) {
                        return Err(Disconnected::Close(CloseReason::NoPong));
                    }
                    self.session.ping(b"").await.map_err(|_| Disconnected::Gone)?;
                }
            }
        }
    }

    async fn take(&mut self, message: AggregatedMessage) -> Result<(), Disconnected> {
        match message {
            AggregatedMessage::Ping(bytes) => {
                self.session.pong(&bytes).await.map_err(|_| Disconnected::Gone)
            }
            AggregatedMessage::Pong(_) => Ok(()),
            AggregatedMessage::Text(text) => {
                self.incoming.text(&text).await.map_err(Disconnected::Close)
            }
            AggregatedMessage::Binary(_) => Err(Disconnected::Close(CloseReason::Unexpected)),
            AggregatedMessage::Close(_) => Err(Disconnected::Close(CloseReason::Normal)),
        }
    }

    fn broken(&self, error: &ProtocolError) -> Disconnected {
        match error {
            _ if self.is_breached.get() => Disconnected::Close(CloseReason::TooLarge),
            ProtocolError::Overflow => Disconnected::Close(CloseReason::TooLarge),
            ProtocolError::Io(error) => match error.kind() {
                ErrorKind::InvalidData if error.to_string().contains("reserved") => {
                    Disconnected::Close(CloseReason::Protocol)
                }
                ErrorKind::InvalidData => Disconnected::Close(CloseReason::NotText),
                _ => Disconnected::Gone,
            },
            _ => Disconnected::Close(CloseReason::Protocol),
        }
    }
}
