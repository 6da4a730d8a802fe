//! The placement registry: which actors are active, and who waits for them.
//!
//! ```text
//!            first request                 loaded                    turn begins
//! (vacant) ────────────────▶ Activating ──────────▶ Idle ◀────────────────────────▶ Busy
//!    ▲                                                │         turn ends
//!    └────────────── Draining ◀───────────────────────┘ passivation, panic, refused commit
//! ```
//!
//! Activating, Busy and Draining are one state of the slot: occupied, by whoever holds its
//! [`SlotGuard`]; arrivals meanwhile wait in the slot's mailbox, in order, also across
//! incarnations. A shard's lock is never held during a turn.

mod table;

use std::{any::type_name, collections::VecDeque, hash::BuildHasher, sync::Arc};

use hashbrown::DefaultHashBuilder;
use parking_lot::{Mutex, MutexGuard};

use crate::{
    actor::{
        error::{ActivateError, NotExecuted},
        virtual_actor::Actor,
    },
    runtime::{
        activation::{Activation, SlotGuard},
        directory::table::Table,
        mailbox::WaitingRequest,
        shared_state::{CoarseInstant, Runtime},
    },
};

const SHARD_COUNT: usize = 64;

/// Every actor of one kind: the part of the registry that knows its type.
pub(crate) struct ActorType<A: Actor> {
    pub(crate) runtime: Arc<Runtime>,
    shards: Box<[Shard<A>]>,
    hasher: DefaultHashBuilder,
}

/// One lock's worth of actors, on a cache line of its own.
#[repr(align(128))]
struct Shard<A: Actor>(Mutex<Table<A>>);

struct Slot<A: Actor> {
    key: Arc<str>,
    state: SlotState<A>,
}

impl<A: Actor> Slot<A> {
    fn is_of(&self, key: &Arc<str>) -> bool {
        // Mostly the very same allocation, which then need not be looked at.
        Arc::ptr_eq(&self.key, key) || self.key == *key
    }
}

enum SlotState<A: Actor> {
    Idle { since: CoarseInstant, activation: Box<Activation<A>> },
    Occupied(Mailbox<A>),
}

/// Requests in the order of their arrival. Takes no room while nobody waits.
#[expect(clippy::box_collection, reason = "an empty mailbox is one word in every slot")]
pub(crate) struct Mailbox<A>(Option<Box<VecDeque<Box<dyn WaitingRequest<A>>>>>);

impl<A: Actor> Mailbox<A> {
    fn new() -> Self {
        Self(None)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.len())
    }

    pub(crate) fn push_back(&mut self, request: Box<dyn WaitingRequest<A>>) {
        self.0.get_or_insert_default().push_back(request);
    }

    fn pop_front(&mut self) -> Option<Box<dyn WaitingRequest<A>>> {
        self.0.as_mut()?.pop_front()
    }

    fn refuse_all(self, error: &NotExecuted) {
        let waiting = self.0.into_iter().flat_map(|waiting| *waiting);
        waiting.for_each(|request| request.refuse(error.clone()));
    }
}

/// What an arrival finds.
pub(crate) enum SlotLookup<A: Actor, T> {
    /// An idle activation: it is the caller's now.
    Idle(Box<Activation<A>>),
    /// Nothing: the caller holds the seat and activates.
    Vacant(SlotGuard<A>),
    /// Somebody else's seat; what was done with the mailbox.
    Occupied(T),
}

/// What follows a turn.
pub(crate) enum AfterTurn<A: Actor> {
    /// Nobody waits: the activation is idle.
    Idle,
    /// The next request.
    Next(Box<dyn WaitingRequest<A>>, Box<Activation<A>>),
    /// The node drains and nobody waits: put it away.
    Retire(Box<Activation<A>>),
}

impl<A: Actor> ActorType<A> {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Arc<Self> {
        let shard = || Shard(Mutex::new(Table::new()));
        let shards = (0..SHARD_COUNT).map(|_| shard()).collect();
        Arc::new(Self { runtime, shards, hasher: DefaultHashBuilder::default() })
    }

    pub(crate) fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Table<A>> {
        // The index uses the top bits and the bottom ones: take some from between.
        let shard = (hash >> 32) as usize % SHARD_COUNT;
        self.shards[shard].0.lock()
    }

    /// Takes the actor if nobody has it; else lets `otherwise` do something with its mailbox.
    pub(crate) fn occupy<T>(
        self: &Arc<Self>,
        key: &Arc<str>,
        hash: u64,
        otherwise: impl FnOnce(&mut Mailbox<A>) -> T,
    ) -> SlotLookup<A, T> {
        let mut table = self.shard(hash);
        let fresh = || SlotState::Occupied(Mailbox::new());
        let (at, is_known) = table.find_or_insert(hash, key, |key| self.hash(key), fresh);
        if !is_known {
            drop(table);
            self.runtime.note_activation();
            return SlotLookup::Vacant(SlotGuard::new(Arc::clone(self), Arc::clone(key), hash, at));
        }
        match &mut table.slot_mut(at).state {
            SlotState::Occupied(mailbox) => SlotLookup::Occupied(otherwise(mailbox)),
            state => SlotLookup::Idle(take_idle(state)),
        }
    }

    /// Takes an actor for passivation if it is idle, of this generation if one is given, and does
    /// not object.
    pub(crate) fn take_for_passivation(
        &self,
        hash: u64,
        key: &Arc<str>,
        is_wanted: impl Fn(&Activation<A>) -> bool,
    ) -> Option<Box<Activation<A>>> {
        let mut table = self.shard(hash);
        let slot = table.find_mut(hash, key)?;
        match &slot.state {
            SlotState::Idle { activation, .. } if is_wanted(activation) => {
                Some(take_idle(&mut slot.state))
            }
            _ => None,
        }
    }

    /// Takes the activation that armed a timer, or leaves the timer's request in its mailbox.
    pub(crate) fn take_for_timer(
        &self,
        hash: u64,
        key: &Arc<str>,
        generation: u32,
        request: &mut Option<Box<dyn WaitingRequest<A>>>,
    ) -> Option<Box<Activation<A>>> {
        let mut table = self.shard(hash);
        let slot = table.find_mut(hash, key)?;
        match &mut slot.state {
            SlotState::Occupied(mailbox) => {
                request.take().into_iter().for_each(|request| mailbox.push_back(request));
                None
            }
            SlotState::Idle { activation, .. }
                if activation.meta.guard.generation() != generation =>
            {
                None
            }
            state => Some(take_idle(state)),
        }
    }

    /// Takes every idle activation of a shard out of the registry without passivating it.
    pub(crate) fn forget_idle(&self, shard: usize) -> Vec<Box<Activation<A>>> {
        let mut table = self.shards[shard].0.lock();
        let is_idle = |(_, slot): &(u32, &Slot<A>)| matches!(slot.state, SlotState::Idle { .. });
        let idle = table.slots().filter(is_idle).map(|(at, slot)| (self.hash(&slot.key), at));
        let idle: Vec<(u64, u32)> = idle.collect();
        let activation = |(hash, at)| match table.remove(hash, at).state {
            SlotState::Idle { activation, .. } => Some(activation),
            SlotState::Occupied(_) => None,
        };
        idle.into_iter().filter_map(activation).collect()
    }

    /// Takes idle activations that nobody used since `before`, at most `count_max`.
    pub(crate) fn take_idle_since(
        &self,
        shard: usize,
        before: CoarseInstant,
        count_max: usize,
    ) -> Vec<Box<Activation<A>>> {
        let mut taken = Vec::new();
        let mut table = self.shards[shard].0.lock();
        for slot in table.slots_mut() {
            if taken.len() == count_max {
                break;
            }
            match &slot.state {
                SlotState::Idle { activation, since }
                    if since.is_at_or_before(before) && activation.actor.is_passivatable() =>
                {
                    taken.push(take_idle(&mut slot.state));
                }
                _ => {}
            }
        }
        taken
    }

    /// When each idle activation was last used, and the bytes it holds.
    pub(crate) fn idle_activations(&self) -> Vec<(CoarseInstant, usize)> {
        let mut idle = Vec::new();
        for shard in &self.shards {
            for (_, slot) in shard.0.lock().slots() {
                if let SlotState::Idle { activation, since } = &slot.state {
                    idle.push((*since, activation.memory_bytes()));
                }
            }
        }
        idle
    }

    /// Takes every idle activation of a shard, whether it objects or not.
    pub(crate) fn take_all(&self, shard: usize) -> Vec<Box<Activation<A>>> {
        let mut table = self.shards[shard].0.lock();
        let idle = table.slots_mut().filter(|slot| matches!(slot.state, SlotState::Idle { .. }));
        idle.map(|slot| take_idle(&mut slot.state)).collect()
    }

    /// Frees the slot of a failed activation and tells everyone who waits.
    pub(crate) fn fail(&self, mut guard: SlotGuard<A>, error: ActivateError) -> ActivateError {
        guard.hold(false);
        tracing::warn!(actor = %guard.id(), %error, "activation failed");
        self.refuse_all(guard.hash, guard.slot(), &error.clone().into());
        error
    }

    /// Frees the slot of an actor whose turn was cut off.
    pub(crate) fn abandon(&self, hash: u64, at: u32) {
        self.refuse_all(hash, at, &NotExecuted::ShuttingDown);
    }

    /// Ends a turn: gives the next request, or lets the activation go idle.
    pub(crate) fn release(&self, mut activation: Box<Activation<A>>) -> AfterTurn<A> {
        let hash = activation.meta.guard.hash;
        let mut table = self.shard(hash);
        table.turns += 1;
        let slot = table.slot_mut(activation.meta.guard.slot());
        let SlotState::Occupied(mailbox) = &mut slot.state else {
            unreachable!("a slot stays occupied while its seat is held")
        };
        if let Some(request) = mailbox.pop_front() {
            return AfterTurn::Next(request, activation);
        }
        if self.runtime.is_draining() {
            return AfterTurn::Retire(activation);
        }
        activation.meta.guard.hold(false);
        slot.state = SlotState::Idle { since: self.runtime.coarse_now(), activation };
        AfterTurn::Idle
    }

    fn refuse_all(&self, hash: u64, at: u32, error: &NotExecuted) {
        let state = self.remove(&mut self.shard(hash), hash, at);
        if let SlotState::Occupied(mailbox) = state {
            mailbox.refuse_all(error);
        }
    }

    fn remove(&self, table: &mut Table<A>, hash: u64, at: u32) -> SlotState<A> {
        let Slot { state, .. } = table.remove(hash, at);
        self.runtime.note_passivation();
        state
    }

    /// The key of an active actor, from its hash.
    pub(crate) fn key_of(&self, hash: u64) -> Option<Arc<str>> {
        let table = self.shard(hash);
        table.with_hash(hash, |key| self.hash(key)).map(|slot| Arc::clone(&slot.key))
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Activations in memory or on their way in or out.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    /// Slots with a turn, an activation or a passivation under way.
    pub(crate) fn occupied_count(&self) -> usize {
        let is_occupied =
            |(_, slot): &(u32, &Slot<A>)| matches!(slot.state, SlotState::Occupied(_));
        let count = |shard: &Shard<A>| shard.0.lock().slots().filter(is_occupied).count();
        self.shards.iter().map(count).sum()
    }

    /// Turns run since the node was opened.
    pub(crate) fn turns(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().turns).sum()
    }
}

impl<A: Actor> std::fmt::Debug for ActorType<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kind({}, {})", A::KIND, type_name::<A>())
    }
}

fn take_idle<A: Actor>(state: &mut SlotState<A>) -> Box<Activation<A>> {
    match std::mem::replace(state, SlotState::Occupied(Mailbox::new())) {
        SlotState::Idle { mut activation, .. } => {
            activation.meta.guard.hold(true);
            activation
        }
        SlotState::Occupied(_) => unreachable!("only an idle slot is taken"),
    }
}

impl<A: Actor> Activation<A> {
    /// Bytes of memory held, the runtime's own share included.
    fn memory_bytes(&self) -> usize {
        const OVERHEAD: usize = 160;
        self.actor.memory_bytes() + OVERHEAD
    }
}

impl<A: Actor> SlotGuard<A> {
    /// Frees the slot, or gives the seat back with the first of those who wait.
    pub(crate) fn vacate(mut self) -> Option<(Box<dyn WaitingRequest<A>>, Self)> {
        let kind = Arc::clone(&self.kind);
        let mut table = kind.shard(self.hash);
        let slot = table.slot_mut(self.slot());
        let SlotState::Occupied(mailbox) = &mut slot.state else {
            unreachable!("a slot stays occupied while its seat is held")
        };
        if let Some(request) = mailbox.pop_front() {
            return Some((request, self));
        }
        self.hold(false);
        kind.remove(&mut table, self.hash, self.slot());
        None
    }
}
