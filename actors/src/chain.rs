//! Who is asking on whose behalf: the chain of turns that wait for one another.

use std::{cell::Cell, sync::Arc};

use crate::ActorId;

/// A turn that runs or waits, and the turn that waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) id: ActorId,
    pub(crate) caller: Option<Arc<Link>>,
}

impl Link {
    /// How many turns wait for this one, one for another.
    pub(crate) fn depth(&self) -> usize {
        std::iter::successors(self.caller.as_deref(), |link| link.caller.as_deref()).count()
    }

    /// The chain with `id` at its end if `id` is in it already: a cycle.
    pub(crate) fn cycle_with(&self, id: &ActorId) -> Option<Vec<ActorId>> {
        let mut chain = vec![id.clone()];
        let mut link = self;
        loop {
            chain.push(link.id.clone());
            if link.id == *id {
                chain.reverse();
                return Some(chain);
            }
            link = link.caller.as_deref()?;
        }
    }
}

thread_local! {
    static CURRENT: Cell<Option<Link>> = const { Cell::new(None) };
}

/// The turn being polled on this thread, if any.
pub(crate) fn current() -> Option<Arc<Link>> {
    CURRENT.with(|current| {
        let link = current.take()?;
        let shared = Arc::new(link.clone());
        current.set(Some(link));
        Some(shared)
    })
}

/// Makes `link` the current turn until the guard is dropped.
pub(crate) fn enter(link: Link) -> Entered {
    Entered(CURRENT.with(|current| current.replace(Some(link))))
}

/// Restores the turn that was current before.
pub(crate) struct Entered(Option<Link>);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| drop(current.replace(before)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: &str) -> ActorId {
        ActorId { kind: "test", key: key.into() }
    }

    #[test]
    fn a_cycle_is_told_from_the_first_to_the_last() {
        let a = Link { id: id("a"), caller: None };
        let b = Link { id: id("b"), caller: Some(Arc::new(a)) };
        let chain = Link { id: id("c"), caller: Some(Arc::new(b)) };
        assert_eq!(chain.cycle_with(&id("b")), Some(vec![id("b"), id("c"), id("b")]));
        assert_eq!(chain.cycle_with(&id("d")), None);
        assert_eq!(chain.depth(), 2);
    }

    #[test]
    fn the_current_turn_is_restored_also_after_a_panic() {
        let _outer = enter(Link { id: id("outer"), caller: None });
        let panicked = std::panic::catch_unwind(|| {
            let _inner = enter(Link { id: id("inner"), caller: None });
            panic!("on purpose");
        });
        assert!(panicked.is_err());
        assert_eq!(current().expect("there is one").id, id("outer"));
    }
}
