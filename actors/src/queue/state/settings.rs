//! Changing the settings of a queue.

use lanekeeper_storage::{Durability, record::QueueSettings};

use crate::queue::{
    api::{
        config::{Paused, QueueConfig},
        error::QueueError,
    },
    state::queue_state::QueueState,
};

impl QueueState {
    /// When a change of this queue is acknowledged, on a node of this durability.
    pub(crate) fn durability(&self, node: Durability) -> Durability {
        self.settings.durability.map_or(node, Durability::from)
    }

    /// Takes on a configuration; answers whether that changed anything.
    ///
    /// A capacity below what the queue holds drops nothing: it refuses from now on.
    pub(crate) fn configure(
        &mut self,
        config: &QueueConfig,
        node: Durability,
    ) -> Result<bool, QueueError> {
        let settings = config.checked(&self.settings)?;
        let is_in_memory = self.durability(node) == Durability::Memory;
        let will_be_in_memory = config.durability.unwrap_or(node) == Durability::Memory;
        if is_in_memory != will_be_in_memory && self.held_count() > 0 {
            return Err(QueueError::NotEmpty(self.held_count()));
        }
        Ok(self.change(settings))
    }

    /// Pauses the verbs that are `true`; answers whether that changed anything.
    pub(crate) fn pause(&mut self, verbs: Paused) -> bool {
        let Paused { push, pop } = Paused::from(&self.settings);
        self.change_paused(Paused { push: push || verbs.push, pop: pop || verbs.pop })
    }

    /// Resumes the verbs that are `true`; answers whether that changed anything.
    pub(crate) fn resume(&mut self, verbs: Paused) -> bool {
        let Paused { push, pop } = Paused::from(&self.settings);
        self.change_paused(Paused { push: push && !verbs.push, pop: pop && !verbs.pop })
    }

    fn change_paused(&mut self, Paused { push, pop }: Paused) -> bool {
        let settings = self.settings.clone();
        self.change(QueueSettings { is_push_paused: push, is_pop_paused: pop, ..settings })
    }

    fn change(&mut self, settings: QueueSettings) -> bool {
        if settings == self.settings {
            return false;
        }
        self.settings = settings;
        self.is_settings_changed = true;
        if !self.is_evicting() {
            self.tail_cache.clear();
        }
        self.aging.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use lanekeeper_storage::record::OnFull;

    use super::*;

    use crate::queue::testing::test_harness::{TIGHT, TestHarness};

    fn durability(level: Durability) -> QueueConfig {
        QueueConfig { durability: Some(level), ..QueueConfig::default() }
    }

    #[test]
    fn a_capacity_is_at_least_one() {
        let mut harness = TestHarness::new(TIGHT);
        let capacity =
            |capacity| QueueConfig { capacity: Some(capacity), ..QueueConfig::default() };
        let refused = harness.configure(&capacity(0));
        assert!(
            matches!(refused, Err(QueueError::InvalidConfig { field: "capacity", .. })),
            "{refused:?}"
        );
        harness.configure(&capacity(1)).unwrap();
    }

    #[test]
    fn a_queue_enters_and_leaves_memory_only_while_it_is_empty() {
        let mut harness = TestHarness::new(TIGHT);
        for (from, to) in
            [(Durability::Durable, Durability::Memory), (Durability::Memory, Durability::Relaxed)]
        {
            harness.configure(&durability(from)).unwrap();
            harness.push(&[(1, "a")]).unwrap();
            let refused = harness.configure(&durability(to));
            assert!(matches!(refused, Err(QueueError::NotEmpty(1))), "{refused:?}");
            harness.pop(1).unwrap();
            harness.configure(&durability(to)).unwrap();
        }
        harness.push(&[(1, "a")]).unwrap();
        harness.configure(&durability(Durability::Durable)).unwrap();
    }

    #[test]
    fn pausing_and_resuming_change_the_named_verbs_alone() {
        let mut harness = TestHarness::new(TIGHT);
        let paused = |push, pop| Paused { push, pop };
        let rules = &mut harness.rules;
        assert!(rules.pause(paused(true, false)));
        assert!(rules.pause(paused(false, true)));
        assert!(!rules.pause(paused(true, true)), "that changes nothing");
        assert!(rules.resume(paused(true, false)));
        assert_eq!(Paused::from(&rules.settings), paused(false, true));
    }

    #[test]
    fn settings_are_loaded_with_the_queue() {
        let mut harness = TestHarness::bounded(3, OnFull::EvictLowest);
        harness.pause(Paused { push: true, pop: true });
        let settings = harness.rules.settings.clone();
        harness.reactivate();
        assert_eq!(harness.rules.settings, settings);
    }
}
