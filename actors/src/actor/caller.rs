//! Who a request is made for: somebody who may go away while it waits.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Somebody a request is made for, such as the client of a connection. Asked by the turn that
/// would take something for them, on whatever thread it runs.
pub trait Caller: Send + Sync + 'static {
    /// Whether they are gone for certain. Must not block.
    fn is_gone(&self) -> bool;
}

/// The caller of a request, if it has one that can be asked.
#[derive(Clone, Default)]
pub(crate) struct CallerRef(Option<Arc<dyn Caller>>);

impl CallerRef {
    pub(crate) fn new(caller: Arc<dyn Caller>) -> Self {
        Self(Some(caller))
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.0.as_ref().is_some_and(|caller| caller.is_gone())
    }
}

impl fmt::Debug for CallerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "CallerRef(…)" } else { "CallerRef(none)" })
    }
}

thread_local! {
    /// Whether what is polled on this thread waits, since [`poll_request`] last asked.
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Polls a request and tells, if it is pending, whether it waits: for a message, for a permit, for
/// whatever another turn has to bring about. One that is being carried out does not wait, however
/// long that takes. A request that waits has taken nothing yet: dropping it takes nothing.
///
/// A verb waits when it awaits a [`DeferredReply`](crate::actor::deferred_reply::DeferredReply); so
/// every verb that is answered by a later turn is known here, without being listed.
pub fn poll_request<F: Future>(
    request: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> (Poll<F::Output>, bool) {
    let outer = IS_WAITING.replace(false);
    let catch_panic = request.poll(cx);
    let is_waiting = IS_WAITING.replace(outer);
    let is_pending = catch_panic.is_pending();
    (catch_panic, is_pending && is_waiting)
}

/// Says that what is polled waits, each time it is polled in vain.
pub(crate) fn mark_waiting() {
    IS_WAITING.set(true);
}
