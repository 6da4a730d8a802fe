//! What a user writes: an actor's state, its requests, and how it handles them.

use std::{
    fmt::{self, Display},
    future::Future,
};

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, CodecError, LoadError, decode_state, encode_state,
    key::{self},
    record::ActorState,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    actor::{error::ActivateError, id::ActorId},
    runtime::{commit_barrier::Store, shared_state::Runtime, turn::Turn},
    time::{clock::Clock, reminder::Reminder},
};

/// A request to an actor, with the type of its reply.
pub trait Request: Send + 'static {
    /// The reply. A handler that can fail replies with a `Result`.
    type Reply: Send + 'static;
}

/// The handling of one type of request.
pub trait Handler<R: Request>: Actor {
    /// One turn. No other turn of this actor runs until it has finished, awaits included. The
    /// future is not dropped before it has finished while the node lives, even if the caller is
    /// gone.
    fn handle(
        &mut self,
        request: R,
        turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = R::Reply> + Send;
}

/// A virtual actor whose durable state is the value itself.
///
/// The state is loaded before the first turn; [`Turn::save`] writes it with the turn's commit. An
/// actor that was never saved begins with its `Default`.
pub trait VirtualActor: Default + Serialize + DeserializeOwned + Send + 'static {
    /// The kind of the actor: part of its identity and of its keys in the store. Two types of one
    /// node cannot have the same kind.
    const KIND: &'static str;

    /// The version of the state's shape. Raise it when the shape changes, and write
    /// [`VirtualActor::upgrade`].
    const VERSION: u32 = 1;

    /// Reads a state that version `found` of this type saved ([`decode_state`] decodes the type of
    /// that version).
    ///
    /// # Errors
    /// The reason why the state cannot be read; the activation fails with it. The default
    /// implementation reads no other version.
    fn upgrade(found: u32, state: &[u8]) -> Result<Self, String> {
        let _ = state;
        Err(format!("no upgrade from version {found} is written"))
    }

    /// Runs after the state is loaded and before the first request.
    ///
    /// # Errors
    /// The reason to refuse the activation; waiting requests get it.
    fn on_activate(
        &mut self,
        _turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Runs before the actor leaves memory. Not run after a panic or a crash.
    fn on_passivate(&mut self, _turn: &mut Turn<'_, Self>) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Runs when a reminder set with [`Turn::remind`] is due: at least once for each due time.
    fn on_reminder(
        &mut self,
        _reminder: &Reminder,
        _turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Bytes of memory used, for passivation by memory. Include memory behind pointers.
    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// The open form of a virtual actor, which decides what it loads and which keys it keeps. Every
/// [`VirtualActor`] is one.
pub trait Actor: Sized + Send + 'static {
    /// As [`VirtualActor::KIND`].
    const KIND: &'static str;

    /// Brings the actor into memory.
    fn load(from: &LoadContext<'_>) -> impl Future<Output = Result<Self, ActivateError>> + Send;

    /// Adds the writes of [`Turn::save`] to `batch`.
    ///
    /// # Errors
    /// [`CodecError`] if the state cannot be serialised; the turn fails and nothing is kept.
    fn save(&self, id: &ActorId, batch: &mut Batch) -> Result<(), CodecError> {
        let _ = (id, batch);
        Ok(())
    }

    /// As [`VirtualActor::on_activate`].
    ///
    /// # Errors
    /// As there.
    fn on_activate(
        &mut self,
        _turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// As [`VirtualActor::on_passivate`].
    fn on_passivate(&mut self, _turn: &mut Turn<'_, Self>) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// As [`VirtualActor::on_reminder`].
    fn on_reminder(
        &mut self,
        _reminder: &Reminder,
        _turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Receives a message sent by another actor's turn: exactly once if this returns `Ok`,
    /// otherwise again later. Its writes join the commit that removes the message from the outbox.
    ///
    /// # Errors
    /// [`LoadError`] if the store failed; nothing may have been changed then.
    fn on_letter(
        &mut self,
        _content: Bytes,
        _turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = Result<(), LoadError>> + Send {
        async { Ok(()) }
    }

    /// Runs at the end of every turn, whatever that was: a request, a timer, a reminder, a letter.
    /// What follows from any change belongs here, so that no handler can forget it. What it writes
    /// joins the turn's commit.
    fn on_turn_end(&mut self, _turn: &mut Turn<'_, Self>) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Whether the activation may be put away now; not asked at shutdown.
    fn is_passivatable(&self) -> bool {
        true
    }

    /// As [`VirtualActor::memory_bytes`].
    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Where an actor is loaded from.
pub struct LoadContext<'a> {
    pub(crate) id: &'a ActorId,
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Clock,
    pub(crate) runtime: &'a Runtime,
}

impl<'a> LoadContext<'a> {
    /// Who is loaded.
    pub fn id(&self) -> &'a ActorId {
        self.id
    }

    /// Where its state is.
    pub fn store(&self) -> &'a Store {
        self.store
    }

    /// The node's clock.
    pub fn clock(&self) -> &'a Clock {
        self.clock
    }

    /// What is set and shared for all actors of the node.
    pub(crate) fn runtime(&self) -> &'a Runtime {
        self.runtime
    }
}

impl fmt::Debug for LoadContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.id)
    }
}

impl<T: VirtualActor> Actor for T {
    const KIND: &'static str = T::KIND;

    async fn load(from: &LoadContext<'_>) -> Result<Self, ActivateError> {
        let key = key::actor(T::KIND, &from.id.key);
        let Some(bytes) = from.store.get(&key)? else { return Ok(Self::default()) };
        read_state(&bytes)
    }

    fn save(&self, id: &ActorId, batch: &mut Batch) -> Result<(), CodecError> {
        let state = Bytes::from(encode_state(self)?);
        let record = ActorState { version: T::VERSION, state };
        batch.put(key::actor(T::KIND, &id.key), record.encode());
        Ok(())
    }

    fn on_activate(
        &mut self,
        turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = Result<(), String>> + Send {
        T::on_activate(self, turn)
    }

    fn on_passivate(&mut self, turn: &mut Turn<'_, Self>) -> impl Future<Output = ()> + Send {
        T::on_passivate(self, turn)
    }

    fn on_reminder(
        &mut self,
        reminder: &Reminder,
        turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = ()> + Send {
        T::on_reminder(self, reminder, turn)
    }

    fn memory_bytes(&self) -> usize {
        T::memory_bytes(self)
    }
}

fn read_state<T: VirtualActor>(bytes: &Bytes) -> Result<T, ActivateError> {
    let mismatch = |found: u32, reason: &dyn Display| ActivateError::Version {
        found,
        expected: T::VERSION,
        reason: reason.to_string(),
    };
    let record = ActorState::decode(bytes).map_err(LoadError::from)?;
    if record.version == T::VERSION {
        decode_state(&record.state).map_err(|error| mismatch(record.version, &error))
    } else {
        T::upgrade(record.version, &record.state).map_err(|error| mismatch(record.version, &error))
    }
}
