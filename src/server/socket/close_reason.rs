//! Why the server closes a connection, and how it says so.

use actix_ws::CloseCode;

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// Both sides are done.
    Normal,
    /// The server is stopping.
    ShuttingDown,
    /// The client broke the protocol.
    Protocol,
    /// The client sent what this connection does not take.
    Unexpected,
    /// The client sent a text that is no UTF-8.
    NotText,
    /// The client sent a frame or a message that is too large, or of too many parts.
    TooLarge,
    /// The client answered no ping.
    NoPong,
    /// The client was slow, where slow ones are cut.
    SlowConsumer,
    /// A send took too long.
    SendTimeout,
    /// More control messages waited than may.
    ControlOverflow,
    /// What the connection was about was deleted.
    Deleted,
    /// The server lost what the connection was about.
    Lost,
}

impl CloseReason {
    /// The code (RFC 6455, section 7.4.1) and the word that goes with it.
    pub(crate) fn parts(self) -> (CloseCode, &'static str) {
        match self {
            Self::Normal => (CloseCode::Normal, "finished"),
            Self::ShuttingDown => (CloseCode::Away, "shutting_down"),
            Self::Deleted => (CloseCode::Normal, "deleted"),
            Self::Protocol => (CloseCode::Protocol, "protocol_error"),
            Self::Unexpected => (CloseCode::Unsupported, "unexpected_message"),
            Self::NotText => (CloseCode::Invalid, "not_utf8"),
            Self::TooLarge => (CloseCode::Size, "too_large"),
            Self::NoPong => (CloseCode::Policy, "no_pong"),
            Self::SlowConsumer => (CloseCode::Policy, "slow_consumer"),
            Self::SendTimeout => (CloseCode::Policy, "send_timeout"),
            Self::ControlOverflow => (CloseCode::Policy, "control_overflow"),
            Self::Lost => (CloseCode::Error, "lost"),
        }
    }

    /// As a close frame says it.
    pub(crate) fn reason(self) -> actix_ws::CloseReason {
        actix_ws::CloseReason::from(self.parts())
    }
}
