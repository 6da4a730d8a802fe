//! What all actors of a node share.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use lanekeeper_storage::{CommitError, Durability, Engine, Epoch, Fence, ShardNo};
use parking_lot::RwLock;
use tokio::{runtime::Handle, sync::Notify};

use crate::{
    actor::{
        actor_ref::ActorRef,
        error::NotExecuted,
        id::{ActorId, check_id},
        virtual_actor::Actor,
    },
    maintenance::{in_flight::InFlight, service::MaintenanceService},
    node::event::{Event, Events},
    outbox::delivery::Outbox,
    runtime::{
        actor_type::ErasedActorType, call_chain::ActorHash, commit_barrier::Store,
        directory::ActorType, extensions::Extensions, kind_settings::KindSettings,
        memory_budget::MemoryBudget,
    },
    time::{clock::Clock, reminder::Reminders, timer::Timers},
};

/// The parts into which actors are divided for ownership, whatever engine keeps them.
const OWNERSHIP_SHARDS: u16 = 1024;

/// How a node runs its actors.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeOptions {
    pub(crate) memory: MemoryBudget,
    pub(crate) durability: Durability,
    pub(crate) idle_timeout: Duration,
    pub(crate) activations_max: usize,
    pub(crate) memory_max_bytes: usize,
    pub(crate) mailbox_max: usize,
}

/// What a node has besides the runtime: the settings of single kinds of actors, and what the
/// built-ins do by themselves.
pub(crate) struct BuiltIn {
    pub(crate) settings: KindSettings,
    pub(crate) services: Vec<Arc<dyn MaintenanceService>>,
}

pub(crate) struct Runtime {
    pub(crate) options: RuntimeOptions,
    pub(crate) settings: KindSettings,
    pub(crate) shared: Extensions,
    /// What the built-ins do by themselves.
    pub(crate) services: Vec<Arc<dyn MaintenanceService>>,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) executor: Handle,
    pub(crate) events: Events,
    pub(crate) timers: Timers,
    pub(crate) reminders: Reminders,
    pub(crate) outbox: Outbox,
    pub(crate) in_flight: Arc<InFlight>,
    /// There may be more activations than there should.
    pub(crate) pressure: Notify,
    /// A slot was freed while the node drains.
    pub(crate) freed: Notify,
    kinds: RwLock<ActorTypes>,
    epochs: Box<[Epoch]>,
    counters: Counters,
    coarse_now: AtomicU32,
    is_draining: AtomicBool,
}

/// Kinds by their names.
type ActorTypeNames = HashMap<&'static str, Arc<dyn ErasedActorType>>;

#[derive(Default)]
struct ActorTypes {
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    by_name: ActorTypeNames,
}

#[derive(Default)]
struct Counters {
    generation: AtomicU32,
    activated: AtomicU64,
    passivated: AtomicU64,
    panics: AtomicU64,
}

impl Runtime {
    /// Takes ownership of every actor of the engine.
    pub(crate) fn start(
        engine: Arc<dyn Engine>,
        clock: Clock,
        executor: Handle,
        options: RuntimeOptions,
        built_in: BuiltIn,
    ) -> Result<Arc<Self>, CommitError> {
        let BuiltIn { settings, services } = built_in;
        let epochs = (0..OWNERSHIP_SHARDS).map(|shard| engine.claim(ShardNo(shard)));
        let epochs = epochs.collect::<Result<_, _>>()?;
        let store = Store::new(engine, executor.clone(), options.memory.clone(), &clock);
        Ok(Arc::new(Self {
            options,
            settings,
            shared: Extensions::default(),
            services,
            store,
            clock,
            executor,
            events: Events::new(),
            timers: Timers::default(),
            reminders: Reminders::default(),
            outbox: Outbox::default(),
            in_flight: Arc::default(),
            pressure: Notify::new(),
            freed: Notify::new(),
            kinds: RwLock::default(),
            epochs,
            counters: Counters::default(),
            coarse_now: AtomicU32::new(0),
            is_draining: AtomicBool::new(false),
        }))
    }

    /// Gives the ownership up.
    pub(crate) fn release_ownership(&self) {
        for shard in 0..OWNERSHIP_SHARDS {
            let epoch = self.epochs[usize::from(shard)];
            self.store.engine().release(Fence { shard: ShardNo(shard), epoch });
        }
    }

    /// What the commits of an actor are checked against.
    pub(crate) fn fence(&self, kind: &str, key: &str) -> Fence {
        let shard = ownership_shard(kind, key);
        Fence { shard, epoch: self.epochs[usize::from(shard.0)] }
    }

    /// One of the epochs under which this owns its actors; they differ in their lower halves alone.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epochs[0]
    }

    /// The address of an actor.
    pub(crate) fn actor<A: Actor>(self: &Arc<Self>, key: &str) -> ActorRef<A> {
        let kind = match self.kind::<A>() {
            Ok(kind) => kind,
            Err(error) => return ActorRef::new(ActorType::new(Arc::clone(self)), Err(error)),
        };
        let key = check_id(key).map(|()| key.into());
        ActorRef::new(kind, key.map_err(NotExecuted::InvalidId))
    }

    /// The registry of one kind, made on its first use.
    pub(crate) fn kind<A: Actor>(self: &Arc<Self>) -> Result<Arc<ActorType<A>>, NotExecuted> {
        let known = self.kinds.read().by_type.get(&TypeId::of::<A>()).cloned();
        let kind = match known {
            Some(kind) => kind,
            None => self.register::<A>()?,
        };
        Ok(kind.downcast().expect("a kind is stored under its own type"))
    }

    fn register<A: Actor>(self: &Arc<Self>) -> Result<Arc<dyn Any + Send + Sync>, NotExecuted> {
        let mut kinds = self.kinds.write();
        if let Some(kind) = kinds.by_type.get(&TypeId::of::<A>()) {
            return Ok(Arc::clone(kind));
        }
        if check_id(A::KIND).is_err() || kinds.by_name.contains_key(A::KIND) {
            return Err(NotExecuted::KindTaken { kind: A::KIND, by: type_name::<A>() });
        }
        let kind: Arc<ActorType<A>> = ActorType::new(Arc::clone(self));
        kinds.by_type.insert(TypeId::of::<A>(), Arc::clone(&kind) as _);
        kinds.by_name.insert(A::KIND, Arc::clone(&kind) as _);
        // Its reminders and letters may have waited for somebody who knows it.
        self.outbox.look_from(0);
        drop(kinds);
        self.reminders.changed.notify_one();
        Ok(kind)
    }

    /// Looks at the kinds that are registered, while no other can be.
    pub(crate) fn with_kinds<T>(&self, look: impl FnOnce(&ActorTypeNames) -> T) -> T {
        look(&self.kinds.read().by_name)
    }

    pub(crate) fn kind_named(&self, name: &str) -> Option<Arc<dyn ErasedActorType>> {
        self.kinds.read().by_name.get(name).cloned()
    }

    /// Who a actor of a call chain is; its turn still runs.
    pub(crate) fn id_of(&self, actor: ActorHash) -> ActorId {
        let key = self.kind_named(actor.kind).and_then(|kind| kind.key_of(actor.hash));
        ActorId { kind: actor.kind, key: key.unwrap_or_else(|| "?".into()) }
    }

    pub(crate) fn kinds(&self) -> Vec<Arc<dyn ErasedActorType>> {
        self.kinds.read().by_name.values().cloned().collect()
    }

    /// Forgets every kind and its idle activations, so that nothing refers to this any more.
    pub(crate) fn clear(&self) {
        let kinds = std::mem::take(&mut *self.kinds.write());
        kinds.by_name.values().for_each(|kind| kind.clear());
    }

    pub(crate) fn next_generation(&self) -> u32 {
        self.counters.generation.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Monotonic time as of the last look at the clock: for idle times.
    pub(crate) fn coarse_now(&self) -> CoarseInstant {
        CoarseInstant(self.coarse_now.load(Ordering::Relaxed))
    }

    /// Looks at the clock.
    pub(crate) fn update_coarse_now(&self) -> CoarseInstant {
        let now = CoarseInstant(self.clock.elapsed().as_millis() as u32);
        self.coarse_now.store(now.0, Ordering::Relaxed);
        now
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Stops admission; false if it was stopped already.
    pub(crate) fn drain(&self) -> bool {
        let is_first = !self.is_draining.swap(true, Ordering::AcqRel);
        if is_first {
            self.events.emit(|| Event::Draining);
        }
        is_first
    }

    pub(crate) fn note_activation(&self) {
        self.counters.activated.fetch_add(1, Ordering::Relaxed);
        if self.activation_count() > self.options.activations_max as u64 {
            self.pressure.notify_one();
        }
    }

    pub(crate) fn note_passivation(&self) {
        self.counters.passivated.fetch_add(1, Ordering::Relaxed);
        if self.is_draining() {
            self.freed.notify_one();
        }
    }

    pub(crate) fn note_panic(&self, id: &ActorId) {
        self.counters.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(actor = %id, "a handler panicked; its activation is dropped");
        self.events.emit(|| Event::Panicked { id: id.clone() });
    }

    /// Actors in memory, on their way in or out included.
    pub(crate) fn activation_count(&self) -> u64 {
        let passivated = self.counters.passivated.load(Ordering::Relaxed);
        self.counters.activated.load(Ordering::Relaxed).saturating_sub(passivated)
    }

    /// Activated, passivated and panicked since the node was opened.
    pub(crate) fn totals(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { activated, passivated, panics, .. } = &self.counters;
        (read(activated), read(passivated), read(panics))
    }
}

/// A moment of monotonic time in milliseconds that begins anew every 49 days: small enough to be
/// kept for every idle activation, ordered within half of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoarseInstant(u32);

impl CoarseInstant {
    /// The longest time that can be told.
    const SPAN_MAX: u32 = u32::MAX / 2;

    /// The moment so long before this one, at most 24 days.
    pub(crate) fn before(self, duration: Duration) -> Self {
        let ms = duration.as_nanos().div_ceil(1_000_000).min(u128::from(Self::SPAN_MAX));
        Self(self.0.wrapping_sub(ms as u32))
    }

    /// How long before `now` this was.
    pub(crate) fn age(self, now: Self) -> u32 {
        now.0.wrapping_sub(self.0)
    }

    pub(crate) fn is_at_or_before(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0) <= Self::SPAN_MAX
    }
}

/// FNV-1a over kind and key: stable across processes and machines.
fn ownership_shard(kind: &str, key: &str) -> ShardNo {
    let bytes = kind.bytes().chain([0]).chain(key.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ShardNo((hash % u64::from(OWNERSHIP_SHARDS)) as u16)
}
