//! Who is asking on whose behalf: the chain of turns that wait for one another.

use std::{cell::Cell, sync::Arc};

/// An actor as the chain knows it: its kind, and the hash of its key in that kind's registry. Made
/// of plain numbers, so that a turn nobody asks from costs no reference count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActorHash {
    pub(crate) kind: &'static str,
    pub(crate) hash: u64,
}

/// A turn that runs or waits, and the turn that waits for it.
#[derive(Clone, Debug)]
pub(crate) struct CallChain {
    pub(crate) actor: ActorHash,
    pub(crate) caller: Option<Arc<CallChain>>,
}

impl CallChain {
    /// How many turns wait for this one, one for another.
    pub(crate) fn depth(&self) -> usize {
        std::iter::successors(self.caller.as_deref(), |call_chain| call_chain.caller.as_deref())
            .count()
    }

    /// The chain with `actor` at its end if `actor` is in it already: a cycle.
    pub(crate) fn cycle_with(&self, actor: ActorHash) -> Option<Vec<ActorHash>> {
        let mut chain = vec![actor];
        let mut call_chain = self;
        loop {
            chain.push(call_chain.actor);
            if call_chain.actor == actor {
                chain.reverse();
                return Some(chain);
            }
            call_chain = call_chain.caller.as_deref()?;
        }
    }
}

thread_local! {
    static CURRENT: Cell<Option<CallChain>> = const { Cell::new(None) };
}

/// The turn being polled on this thread, if any.
pub(crate) fn current() -> Option<Arc<CallChain>> {
    CURRENT.with(|current| {
        let call_chain = current.take()?;
        let shared = Arc::new(call_chain.clone());
        current.set(Some(call_chain));
        Some(shared)
    })
}

/// Makes `link` the current turn until the guard is dropped.
pub(crate) fn enter(call_chain: CallChain) -> CallChainGuard {
    CallChainGuard(CURRENT.with(|current| current.replace(Some(call_chain))))
}

/// Restores the turn that was current before.
pub(crate) struct CallChainGuard(Option<CallChain>);

impl Drop for CallChainGuard {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| drop(current.replace(before)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call_chain(hash: u64, caller: Option<CallChain>) -> CallChain {
        CallChain { actor: ActorHash { kind: "test", hash }, caller: caller.map(Arc::new) }
    }

    #[test]
    fn a_cycle_is_told_from_the_first_to_the_last() {
        let chain = call_chain(3, Some(call_chain(2, Some(call_chain(1, None)))));
        let actor = |hash| ActorHash { kind: "test", hash };
        assert_eq!(chain.cycle_with(actor(2)), Some(vec![actor(2), actor(3), actor(2)]));
        assert_eq!(chain.cycle_with(actor(4)), None);
        assert_eq!(chain.depth(), 2);
    }

    #[test]
    fn the_current_turn_is_restored_also_after_a_panic() {
        let _outer = enter(call_chain(1, None));
        let panicked = std::panic::catch_unwind(|| {
            let _inner = enter(call_chain(2, None));
            panic!("on purpose");
        });
        assert!(panicked.is_err());
        assert_eq!(current().expect("there is one").actor.hash, 1);
    }
}
