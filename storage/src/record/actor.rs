//! Values of actors and their reminders.

use bytes::Bytes;

use crate::{
    codec::{self, CodecError, Decode, Encode},
    record::{header, record},
};

/// The state of a user's actor: the version its type had, then its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorState {
    /// The version of the actor's type that wrote it.
    pub version: u32,
    /// The state, as [`encode_state`](crate::codec::encode_state) made it.
    pub state: Bytes,
}

#[derive(Encode, Decode)]
struct ActorStateHeader {
    version: u32,
}

header!(ActorStateHeader, "actor state", 1);

impl ActorState {
    /// The value as the store keeps it.
    pub fn encode(&self) -> Bytes {
        codec::encode(&ActorStateHeader { version: self.version }, &self.state)
    }

    /// The value read back; the state shares the bytes given.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are of an unknown format or damaged.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (ActorStateHeader { version }, tail) = codec::decode(bytes)?;
        Ok(Self { version, state: bytes.slice(tail..) })
    }
}

/// A reminder: whom it wakes, and what it was due for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReminderRecord {
    /// The kind of the actor.
    pub kind: String,
    /// The key of the actor.
    pub actor_key: String,
    /// The name of the reminder, unique to the actor.
    pub name: String,
    /// When it is due.
    pub due_ms: u64,
    /// How long after that it is due again, if it repeats.
    pub period_ms: Option<u64>,
}

record!(ReminderRecord, "reminder", 1);

/// Where a reminder stands in the order of due times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReminderDue {
    /// When it is due.
    pub due_ms: u64,
}

record!(ReminderDue, "reminder due time", 1);

/// A letter: what one actor's turn sent to another actor, until that one's turn has taken it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecord {
    /// The kind of the receiver.
    pub kind: String,
    /// The key of the receiver.
    pub actor_key: String,
    /// What the receiver's kind makes of it.
    pub content: Bytes,
}

#[derive(Encode, Decode)]
struct OutboxHeader {
    kind: String,
    actor_key: String,
}

header!(OutboxHeader, "letter", 1);

impl OutboxRecord {
    /// The value as the store keeps it.
    pub fn encode(&self) -> Bytes {
        let Self { kind, actor_key, content } = self;
        let header = OutboxHeader { kind: kind.clone(), actor_key: actor_key.clone() };
        codec::encode(&header, content)
    }

    /// The value read back; the content shares the bytes given.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are of an unknown format or damaged.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (OutboxHeader { kind, actor_key }, tail) = codec::decode(bytes)?;
        Ok(Self { kind, actor_key, content: bytes.slice(tail..) })
    }
}
