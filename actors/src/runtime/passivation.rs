//! Passivation: which idle activations are put away, and when.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use crate::runtime::{actor_type::ErasedActorType, shared_state::Runtime};

/// How often to look: idle activations go between once and one and a half times the idle timeout.
pub(crate) fn interval(idle_timeout: Duration) -> Duration {
    (idle_timeout / 4).clamp(Duration::from_micros(250), Duration::from_secs(1))
}

/// Puts away what has been idle for the timeout, then the longest idle if there are still too many
/// activations or too many bytes in them.
pub(crate) fn run_once(runtime: &Runtime) {
    let now = runtime.update_coarse_now();
    let kinds = runtime.kinds();
    // An activation may have been used up to one interval after the time it carries.
    let timeout = runtime.options.idle_timeout;
    let before = now.before(timeout.saturating_add(interval(timeout)));
    kinds.iter().for_each(|kind| _ = kind.passivate_idle(before, usize::MAX));
    relieve(runtime, &kinds);
}

/// Puts away the longest idle until the bounds on number and memory hold again.
fn relieve(runtime: &Runtime, kinds: &[Arc<dyn ErasedActorType>]) {
    let options = &runtime.options;
    let count: usize = kinds.iter().map(|kind| kind.len()).sum();
    let is_memory_bounded = options.memory_max_bytes != usize::MAX;
    if count <= options.activations_max && !is_memory_bounded {
        return;
    }
    let mut idle: Vec<_> = kinds.iter().flat_map(|kind| kind.idle_activations()).collect();
    let now = runtime.coarse_now();
    idle.sort_unstable_by_key(|(since, _)| Reverse(since.age(now)));
    let by_count = count.saturating_sub(options.activations_max);
    let bytes: usize = idle.iter().map(|(_, bytes)| bytes).sum();
    let mut excess = bytes.saturating_sub(options.memory_max_bytes);
    let by_memory = idle.iter().take_while(|(_, bytes)| {
        let is_needed = excess > 0;
        excess = excess.saturating_sub(*bytes);
        is_needed
    });
    let victims = by_count.max(by_memory.count()).min(idle.len());
    let Some(before) = victims.checked_sub(1).map(|last| idle[last].0) else { return };
    let mut left = victims;
    for kind in kinds {
        left -= kind.passivate_idle(before, left);
    }
}
