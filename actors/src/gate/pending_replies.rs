//! Those who are told when the turn of an owner comes.

use crate::{
    actor::deferred_reply::ReplyHandle, gate::state::turn_context::Decision, slab::growth,
};

/// What a promise takes beside itself: the cell it shares with who waits.
const PROMISE_BYTES: usize = 88;

/// Those who wait for a decision, by the number of their place.
#[derive(Default)]
pub(crate) struct PendingReplies {
    first: Vec<Option<ReplyHandle<Decision>>>,
    /// Others who wait for the same owner: their place, their acquire.
    more: Vec<(u32, u32, ReplyHandle<Decision>)>,
    count: usize,
}

impl PendingReplies {
    pub(crate) fn add(&mut self, index: u32, attempt: u32, promise: ReplyHandle<Decision>) {
        let at = index as usize;
        if at >= self.first.len() {
            if at >= self.first.capacity() {
                let missing = at + 1 - self.first.len();
                self.first.reserve_exact(missing + growth(at));
            }
            self.first.resize_with(at + 1, || None);
        }
        self.more.retain(|(_, _, other)| !other.is_abandoned());
        match &mut self.first[at] {
            Some(first) if !first.is_abandoned() => self.more.push((index, attempt, promise)),
            Some(first) => *first = promise,
            vacant => {
                *vacant = Some(promise);
                self.count += 1;
            }
        }
    }

    /// Takes out everyone who waits for a place.
    pub(crate) fn take(&mut self, index: u32) -> Vec<ReplyHandle<Decision>> {
        let first = self.first.get_mut(index as usize).and_then(Option::take);
        let Some(first) = first else { return Vec::new() };
        self.count -= 1;
        let mut taken = vec![first];
        if !self.more.is_empty() {
            let more = std::mem::take(&mut self.more);
            for (at, attempt, promise) in more {
                if at == index {
                    taken.push(promise);
                } else {
                    self.more.push((at, attempt, promise));
                }
            }
        }
        taken
    }

    /// The first of those who wait goes; whoever comes next after it, if anybody, stays for it.
    pub(crate) fn inherit(&mut self, index: u32) -> Option<u32> {
        let next =
            self.more.iter().position(|(at, _, other)| *at == index && !other.is_abandoned())?;
        let (_, attempt, promise) = self.more.remove(next);
        *self.first.get_mut(index as usize)? = Some(promise);
        Some(attempt)
    }

    /// Somebody who waits for a place that stays goes; answers who comes first now, if the first is
    /// gone too.
    pub(crate) fn forget(&mut self, index: u32, attempt: u32) -> Option<u32> {
        self.more.retain(|(at, own, _)| (*at, *own) != (index, attempt));
        let is_gone = |first: &ReplyHandle<Decision>| first.is_abandoned();
        let first = self.first.get(index as usize).and_then(Option::as_ref);
        if !first.is_some_and(is_gone) {
            return None;
        }
        let successor = self.inherit(index);
        if successor.is_none() {
            self.first[index as usize] = None;
            self.count -= 1;
        }
        successor
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.first.capacity() * size_of::<Option<ReplyHandle<Decision>>>()
            + self.count * PROMISE_BYTES
            + self.more.capacity() * size_of::<(u32, u32, ReplyHandle<Decision>)>()
    }
}
