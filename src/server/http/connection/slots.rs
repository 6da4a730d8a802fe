//! How many connections there are, and which of them gives way when there is no room.
//!
//! Up to a limit a connection is *regular*. Beyond it some *extra* ones are accepted, so that the
//! health of a full server can be asked: an extra connection becomes regular with the first request
//! that is let in, if room can be made, and else is closed with its answer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotLimits {
    /// Regular ones.
    pub(crate) regular_max: usize,
    /// Extra ones.
    pub(crate) extra_max: usize,
    /// Those that have had their last answer and are read to their end.
    pub(crate) ending_max: usize,
    /// Of one peer, those that have not shown a token yet; without a token nobody is counted.
    pub(crate) strangers_max: Option<usize>,
}

/// The connections of a server.
#[derive(Debug)]
pub(crate) struct Slots {
    limits: SlotLimits,
    began: Instant,
    table: Mutex<Table>,
    closing: AtomicUsize,
    evicted_total: AtomicU64,
    refused_total: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<u64, Arc<SlotPosition>>,
    number_next: u64,
    regular: usize,
    extra: usize,
    /// Connections of a peer that have not shown a token yet.
    strangers: HashMap<IpAddr, usize>,
}

/// What is known of a connection.
#[derive(Debug)]
struct SlotPosition {
    stage: AtomicU8,
    /// Whether a request of it was let in.
    is_known: AtomicBool,
    is_extra: AtomicBool,
    /// Milliseconds from the begin to when it was last of use.
    since_ms: AtomicU64,
    peer: Option<IpAddr>,
    waker: AtomicWaker,
}

/// It waits for its next request, or for its first one to be let in: it may give way.
const WAITING: u8 = 0;
/// A request is on its way, or its answer is.
const BUSY: u8 = 1;
/// It has given way.
const EVICTED: u8 = 2;

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    place: Arc<SlotPosition>,
    number: u64,
}

/// How long a connection has asked for nothing before it gives way to one that asks: whoever asks
/// again and again keeps it.
const GRACE_MS: u64 = 250;

/// Of how many connections one gives way when the oldest of them are looked for: looking goes
/// through all of them.
const SHARE_EVICTED: usize = 256;

/// What is counted of connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotFigures {
    pub(crate) regular: usize,
    pub(crate) extra: usize,
    pub(crate) evicted_total: u64,
    pub(crate) refused_total: u64,
}

impl Slots {
    pub(crate) fn new(limits: SlotLimits) -> Self {
        Self {
            limits,
            began: Instant::now(),
            table: Mutex::default(),
            closing: AtomicUsize::new(0),
            evicted_total: AtomicU64::new(0),
            refused_total: AtomicU64::new(0),
        }
    }

    /// Gives a new connection its place; `None` if there is not even an extra one.
    pub(crate) fn enter(self: &Arc<Self>, peer: Option<IpAddr>) -> Option<Slot> {
        let mut table = self.table();
        let peer = peer.map(network).filter(|_| self.limits.strangers_max.is_some());
        self.bound_strangers(&mut table, peer);
        let is_extra = !self.make_room(&mut table, SlotPosition::is_stranger);
        if is_extra && table.extra >= self.limits.extra_max {
            let is_idle_extra = |place: &SlotPosition| place.is_extra() && place.is_stranger();
            if !self.evict(&mut table, 1, is_idle_extra) {
                self.refused_total.fetch_add(1, Relaxed);
                return None;
            }
        }
        let place = Arc::new(SlotPosition {
            stage: AtomicU8::new(WAITING),
            is_known: AtomicBool::new(false),
            is_extra: AtomicBool::new(is_extra),
            since_ms: AtomicU64::new(self.now_ms()),
            peer,
            waker: AtomicWaker::new(),
        });
        *table.count(is_extra) += 1;
        table.add_stranger(&place);
        let number = table.number_next;
        table.number_next += 1;
        table.slots.insert(number, Arc::clone(&place));
        Some(Slot { slots: Arc::clone(self), place, number })
    }

    /// What is counted.
    pub(crate) fn figures(&self) -> SlotFigures {
        let table = self.table();
        SlotFigures {
            regular: table.regular,
            extra: table.extra,
            evicted_total: self.evicted_total.load(Relaxed),
            refused_total: self.refused_total.load(Relaxed),
        }
    }

    /// The oldest stranger of a peer that has too many gives way to its next.
    fn bound_strangers(&self, table: &mut Table, peer: Option<IpAddr>) {
        let (Some(most), Some(peer)) = (self.limits.strangers_max, peer) else { return };
        if table.strangers.get(&peer).is_some_and(|&count| count >= most) {
            let is_own = |place: &SlotPosition| place.peer == Some(peer) && place.is_stranger();
            self.evict(table, 1, is_own);
        }
    }

    /// Whether there is room for one regular connection more, made by those that may give way.
    fn make_room(&self, table: &mut Table, may_go: impl Fn(&SlotPosition) -> bool) -> bool {
        let most = self.limits.regular_max;
        if table.regular < most {
            return true;
        }
        self.evict(table, most.div_ceil(SHARE_EVICTED), |place| !place.is_extra() && may_go(place))
    }

    /// Has the oldest so many give way; false if there is none.
    fn evict(
        &self,
        table: &mut Table,
        count: usize,
        may_go: impl Fn(&SlotPosition) -> bool,
    ) -> bool {
        let waiting = |place: &&Arc<SlotPosition>| place.is_waiting() && may_go(place);
        let mut found: Vec<_> = table.slots.values().filter(waiting).cloned().collect();
        if found.len() > count {
            found.select_nth_unstable_by_key(count - 1, |place| place.since_ms.load(Relaxed));
            found.truncate(count);
        }
        let mut is_any = false;
        for place in found {
            if place.pass(WAITING, EVICTED) {
                is_any = true;
                table.leave(&place);
                self.evicted_total.fetch_add(1, Relaxed);
                place.waker.wake();
            }
        }
        is_any
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn count(&mut self, is_extra: bool) -> &mut usize {
        if is_extra { &mut self.extra } else { &mut self.regular }
    }

    /// A connection counts no more.
    fn leave(&mut self, place: &SlotPosition) {
        *self.count(place.is_extra()) -= 1;
        if place.is_stranger() {
            self.forget_stranger(place);
        }
    }

    /// A connection counts that was never let in.
    fn add_stranger(&mut self, place: &SlotPosition) {
        if let Some(peer) = place.peer {
            *self.strangers.entry(peer).or_default() += 1;
        }
    }

    /// One of a peer is a stranger no more, or gone.
    fn forget_stranger(&mut self, place: &SlotPosition) {
        let Some(peer) = place.peer else { return };
        if let Some(count) = self.strangers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&peer);
            }
        }
    }
}

impl SlotPosition {
    fn is_waiting(&self) -> bool {
        self.stage.load(Relaxed) == WAITING
    }

    fn is_extra(&self) -> bool {
        self.is_extra.load(Relaxed)
    }

    fn is_stranger(&self) -> bool {
        !self.is_known.load(Relaxed)
    }

    fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.since_ms.load(Relaxed))
    }

    fn pass(&self, from: u8, to: u8) -> bool {
        self.stage.compare_exchange(from, to, AcqRel, Acquire).is_ok()
    }
}

impl Slot {
    /// A request is on its way; false if the connection has given way already.
    pub(crate) fn work(&self) -> bool {
        self.place.pass(WAITING, BUSY) || !self.is_evicted()
    }

    /// It waits again.
    pub(crate) fn rest(&self, now: Instant) {
        let now_ms = now.saturating_duration_since(self.slots.began).as_millis() as u64;
        self.place.since_ms.store(now_ms, Relaxed);
        self.place.pass(BUSY, WAITING);
    }

    /// A request had arrived when it gave way: it is an extra one from now on. False if there is no
    /// room for that.
    pub(crate) fn come_back(&self) -> bool {
        let mut table = self.slots.table();
        let is_back = table.extra < self.slots.limits.extra_max && self.place.pass(EVICTED, BUSY);
        if is_back {
            table.extra += 1;
            self.place.is_extra.store(true, Relaxed);
            if self.is_stranger() {
                table.add_stranger(&self.place);
            }
        }
        is_back
    }

    /// Whether it has given way; else the task of `waker` is woken when it does.
    pub(crate) fn poll_evicted(&self, waker: &Waker) -> bool {
        self.place.waker.register(waker);
        self.is_evicted()
    }

    /// Whether it has given way.
    pub(crate) fn is_evicted(&self) -> bool {
        self.place.stage.load(Acquire) == EVICTED
    }

    /// Whether it is beyond the limit.
    pub(crate) fn is_extra(&self) -> bool {
        self.place.is_extra()
    }

    /// Whether no request of it was let in yet.
    pub(crate) fn is_stranger(&self) -> bool {
        self.place.is_stranger()
    }

    /// Whether it has not shown a token that it must show.
    pub(crate) fn lacks_token(&self) -> bool {
        self.is_stranger() && self.slots.limits.strangers_max.is_some()
    }

    /// A request was let in: the connection is regular from now on. False if there is no room.
    pub(crate) fn let_in(&self) -> bool {
        if !self.is_stranger() && !self.is_extra() {
            return true;
        }
        let now_ms = self.slots.now_ms();
        let mut table = self.slots.table();
        if self.is_extra() {
            if !self.slots.make_room(&mut table, SlotPosition::is_stranger)
                && !self.slots.make_room(&mut table, |place| place.idle_ms(now_ms) >= GRACE_MS)
            {
                return false;
            }
            table.extra -= 1;
            table.regular += 1;
            self.place.is_extra.store(false, Relaxed);
        }
        if self.is_stranger() {
            self.place.is_known.store(true, Relaxed);
            table.forget_stranger(&self.place);
        }
        true
    }

    /// Whether a request may wait for room: extra connections are left for others then.
    pub(crate) fn may_wait_for_room(&self) -> bool {
        !self.is_evicted() && 2 * self.slots.table().extra <= self.slots.limits.extra_max
    }

    /// A request is refused for want of room.
    pub(crate) fn refuse(&self) {
        self.slots.refused_total.fetch_add(1, Relaxed);
    }

    /// Lets a connection come to its end beside those that are counted; `None` if too many do.
    pub(crate) fn end(&self) -> Option<Ending> {
        let most = self.slots.limits.ending_max;
        let one_more = |count: usize| (count < most).then_some(count + 1);
        let is_within = self.slots.closing.fetch_update(Relaxed, Relaxed, one_more).is_ok();
        is_within.then(|| Ending(Arc::clone(&self.slots)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.slots.table();
        table.slots.remove(&self.number);
        if !self.is_evicted() {
            table.leave(&self.place);
        }
    }
}

/// A connection that is read to its end.
pub(crate) struct Ending(Arc<Slots>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.closing.fetch_sub(1, Relaxed);
    }
}

/// What counts as one peer: an address, or the network of 64 bits that is given to one subscriber.
fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => {
            let bits = u128::from(addr) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        addr => addr,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PEER: Option<IpAddr> = Some(IpAddr::V6(Ipv6Addr::LOCALHOST));

    /// Connections of a server that began long ago.
    fn slots(regular_max: usize, strangers_max: Option<usize>) -> Arc<Slots> {
        let began = Instant::now() - Duration::from_millis(4 * GRACE_MS);
        let limits = SlotLimits { regular_max, extra_max: 2, ending_max: 1, strangers_max };
        Arc::new(Slots { began, ..Slots::new(limits) })
    }

    /// One that was let in just now.
    fn known(slots: &Arc<Slots>) -> Slot {
        let slot = slots.enter(PEER).expect("a place");
        assert!(slot.work() && slot.let_in());
        slot
    }

    #[test]
    fn whoever_asked_a_moment_ago_does_not_give_way() {
        let slots = slots(1, None);
        let only = known(&slots);
        only.rest(Instant::now());
        let extra = slots.enter(PEER).expect("an extra place");
        assert!(extra.work() && !extra.let_in() && !only.is_evicted());
        assert!(only.work());
        only.rest(slots.began);
        assert!(extra.let_in() && only.is_evicted());
    }

    fn counts(slots: &Slots) -> (usize, usize) {
        let figures = slots.figures();
        (figures.regular, figures.extra)
    }

    #[test]
    fn whoever_never_asked_gives_way_first_and_the_longest_idle_next() {
        let slots = slots(3, None);
        let (busy, idle) = (known(&slots), known(&slots));
        idle.rest(slots.began);
        let stranger = slots.enter(PEER).expect("a place");
        let next = slots.enter(PEER).expect("a place");
        assert!(stranger.is_evicted() && !idle.is_evicted() && !next.is_extra());
        assert!(!stranger.work() && next.work());
        assert_eq!(counts(&slots), (3, 0));
        let extra = slots.enter(PEER).expect("an extra place");
        assert!(extra.is_extra() && !idle.is_evicted(), "who has not asked displaces nobody");
        assert!(extra.work() && extra.let_in());
        assert!(idle.is_evicted() && !extra.is_extra() && !busy.is_evicted());
        assert_eq!(counts(&slots), (3, 0));
        drop((busy, idle, stranger, next, extra));
        assert_eq!(counts(&slots), (0, 0));
    }

    #[test]
    fn beyond_the_limit_the_oldest_extra_gives_way_and_a_busy_one_never() {
        let slots = slots(1, None);
        let only = known(&slots);
        let first = slots.enter(PEER).expect("an extra place");
        let second = slots.enter(PEER).expect("an extra place");
        assert!(second.work() && !second.let_in(), "nobody gives way");
        let third = slots.enter(PEER).expect("an extra place");
        assert!(first.is_evicted() && !second.is_evicted());
        assert!(third.work());
        assert!(slots.enter(PEER).is_none(), "all are busy");
        drop(only);
        assert!(third.let_in() && !third.is_extra());
        assert_eq!(counts(&slots), (1, 1));
    }

    #[test]
    fn a_peer_has_a_bounded_number_of_strangers() {
        let slots = slots(100, Some(2));
        let friends: Vec<_> = (0..5).map(|_| known(&slots)).collect();
        let strangers: Vec<_> = (0..5).map(|_| slots.enter(PEER).expect("a place")).collect();
        let left = strangers.iter().filter(|slot| !slot.is_evicted()).count();
        assert_eq!((left, friends.iter().any(Slot::is_evicted)), (2, false));
        drop(strangers);
        assert_eq!(counts(&slots), (5, 0));
        assert!(slots.table().strangers.is_empty());
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_peer() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
