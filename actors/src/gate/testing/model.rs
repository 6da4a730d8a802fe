//! Random verbs against the rules and against the simplest gate there is.

use lanekeeper_storage::record::OnFullLine as OnFull;
use std::{collections::BTreeMap, time::Duration};

use lanekeeper_storage::record::StoredEntryState;

use crate::gate::{
    api::{
        error::GateError,
        group::Group,
        policy::{GatePolicy, GroupLimit},
    },
    testing::test_harness::{TestHarness, wanted},
    verb::acquire::{AcquireRequest, Admission},
};

/// One owner of the simplest gate.
#[derive(Clone, Debug)]
struct Person {
    owner: String,
    arrival: u64,
    priority: u32,
    group: Group,
    is_held: bool,
    since_ms: u64,
    due_ms: Option<u64>,
    ttl_ms: u64,
}

/// The simplest gate: a list of everyone, looked through from the beginning each time.
struct Model {
    people: Vec<Person>,
    policy: GatePolicy,
    is_paused: bool,
    arrival_next: u64,
}

impl Model {
    fn held(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(|person| person.is_held)
    }

    fn group_queue(&self) -> Vec<&Person> {
        let mut group_queue: Vec<_> = self.people.iter().filter(|person| !person.is_held).collect();
        group_queue.sort_by_key(|person| (person.priority, person.arrival));
        group_queue
    }

    fn has_room(&self, group: &Group) -> bool {
        let has_permit =
            self.policy.max_concurrent.is_none_or(|max| self.held().count() < max as usize);
        let is_within = |limit: &GroupLimit| {
            let value = group.value(&limit.name);
            let same = |person: &&Person| person.group.value(&limit.name) == value;
            value.is_none() || self.held().filter(same).count() < limit.max_concurrent as usize
        };
        has_permit && self.policy.group.iter().all(is_within)
    }

    /// Lets in who can go, in order; answers who that is.
    fn grant(&mut self, now_ms: u64) -> Vec<String> {
        let mut granted = Vec::new();
        while !self.is_paused {
            let next = self.group_queue().into_iter().find(|person| self.has_room(&person.group));
            let Some(owner) = next.map(|person| person.owner.clone()) else { break };
            let person = self.people.iter_mut().find(|person| person.owner == owner).unwrap();
            person.is_held = true;
            person.since_ms = now_ms;
            person.due_ms = (person.ttl_ms > 0).then(|| now_ms + person.ttl_ms);
            granted.push(owner);
        }
        granted
    }

    /// Ends what is over, in the order in which it was due.
    fn begin(&mut self, now_ms: u64) -> Vec<String> {
        self.people.retain(|person| person.due_ms.is_none_or(|due_ms| due_ms > now_ms));
        self.grant(now_ms)
    }

    fn remove(&mut self, owner: &str, is_held: bool) -> bool {
        let before = self.people.len();
        self.people.retain(|person| person.owner != owner || person.is_held != is_held);
        self.people.len() < before
    }
}

struct Run {
    random: fastrand::Rng,
    harness: TestHarness,
    model: Model,
}

const OWNERS: u32 = 30;

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let policy = policy(&mut random);
        let model =
            Model { people: Vec::new(), policy: policy.clone(), is_paused: false, arrival_next: 0 };
        Self { random, harness: TestHarness::new(policy), model }
    }

    fn owner(&mut self) -> String {
        format!("o{}", self.random.u32(..OWNERS))
    }

    fn wanted(&mut self) -> AcquireRequest {
        let mut pairs = Vec::new();
        for (name, count) in [("tenant", 4), ("region", 3)] {
            if self.random.u8(..3) > 0 {
                pairs.push((name.to_owned(), self.random.u32(..count).to_string()));
            }
        }
        let owner = self.owner();
        let timeouts = [None, Some(0), Some(40), Some(400), Some(4_000)];
        AcquireRequest {
            priority: self.random.u32(..3),
            group: Group::new(pairs).unwrap(),
            timeout_ms: timeouts[self.random.usize(..timeouts.len())],
            ttl_ms: if self.random.bool() { 0 } else { self.random.u32(1..300) },
            ..wanted(&owner)
        }
    }

    fn acquire(&mut self) {
        let wanted = self.wanted();
        let mut granted = self.model.begin(self.harness.now_ms);
        let admitted = self.harness.ask(&wanted);
        let known = self.model.people.iter().find(|person| *person.owner == *wanted.owner);
        if let Some(known) = known {
            let is_held = matches!(admitted, Ok(Admission::Granted { .. }));
            assert!(admitted.is_ok() && is_held == known.is_held, "{admitted:?} {known:?}");
        } else {
            let Model { policy, is_paused, .. } = &self.model;
            let has_room = self.model.has_room(&wanted.group);
            let is_full = self.model.group_queue().len() >= policy.queue_length_max as usize;
            match admitted {
                Err(GateError::Paused) => assert!(is_paused),
                Err(GateError::Full { .. }) => {
                    assert!(!is_paused && !has_room && is_full);
                    assert_eq!(policy.on_full, OnFull::Reject);
                }
                Err(GateError::TimedOut { .. }) => {
                    assert!(!is_paused && !has_room && wanted.timeout_ms == Some(0));
                    assert!(!is_full || policy.on_full != OnFull::Reject);
                }
                Ok(Admission::Granted { waited_ms: 0 }) => assert!(has_room && !is_paused),
                Ok(Admission::Waiting(_)) => assert!(!has_room && !is_paused),
                other => panic!("{other:?}"),
            }
            if admitted.is_ok() {
                self.enter(&wanted, has_room, is_full);
            }
        }
        granted.extend(self.model.grant(self.harness.now_ms));
        assert_eq!(self.harness.granted, granted);
    }

    fn enter(&mut self, wanted: &AcquireRequest, has_room: bool, is_full: bool) {
        let waiting = self.model.people.iter().filter(|person| !person.is_held);
        let victim = match self.model.policy.on_full {
            OnFull::CancelOldest => waiting.min_by_key(|person| person.arrival),
            _ => waiting.max_by_key(|person| person.arrival),
        };
        if !has_room && is_full {
            let victim = victim.unwrap().owner.clone();
            self.model.remove(&victim, false);
        }
        let now_ms = self.harness.now_ms;
        let timeout = self.model.policy.timeout.as_millis() as u64;
        let ttl_ms = u64::from(wanted.ttl_ms);
        let due_ms = match has_room {
            true => (ttl_ms > 0).then(|| now_ms + ttl_ms),
            false => Some(now_ms + wanted.timeout_ms.unwrap_or(timeout)),
        };
        let arrival = self.model.arrival_next;
        self.model.arrival_next += 1;
        self.model.people.push(Person {
            owner: wanted.owner.to_string(),
            arrival,
            priority: wanted.priority,
            group: wanted.group.clone(),
            is_held: has_room,
            since_ms: now_ms,
            due_ms,
            ttl_ms,
        });
    }

    fn leave(&mut self) {
        let owner = self.owner();
        let mut granted = self.model.begin(self.harness.now_ms);
        let person = self.model.people.iter().find(|person| person.owner == owner);
        let is_held = person.map(|person| person.is_held);
        if self.random.u8(..4) > 0 {
            assert_eq!(self.harness.release(&owner), is_held == Some(true));
            self.model.remove(&owner, true);
        } else {
            match (self.harness.cancel(&owner), is_held) {
                (Ok(()), Some(false)) => assert!(self.model.remove(&owner, false)),
                (Err(GateError::Granted), Some(true)) => {}
                (Err(GateError::TicketNotFound), None) => {}
                other => panic!("{other:?}"),
            }
        }
        granted.extend(self.model.grant(self.harness.now_ms));
        assert_eq!(self.harness.granted, granted);
    }

    fn extend(&mut self) {
        let (owner, ttl_ms) = (self.owner(), self.random.u64(1..500));
        let now_ms = self.harness.now_ms;
        self.model.begin(now_ms);
        let extended = self.harness.turn(|rules, change| rules.extend(&owner, ttl_ms, change));
        let mut people = self.model.people.iter_mut();
        match people.find(|person| person.owner == owner && person.is_held) {
            Some(person) => {
                person.due_ms = Some(now_ms + ttl_ms);
                assert_eq!(extended.unwrap(), now_ms + ttl_ms);
            }
            None => assert!(matches!(extended, Err(GateError::PermitNotFound))),
        }
    }

    fn step(&mut self) {
        match self.random.u32(..100) {
            0..45 => self.acquire(),
            45..75 => self.leave(),
            75..78 => self.extend(),
            78..88 => {
                self.harness.now_ms += self.random.u64(..150);
                let granted = self.model.begin(self.harness.now_ms);
                self.harness.turn(|_, _| ());
                assert_eq!(self.harness.granted, granted);
            }
            88..93 => {
                let policy = policy(&mut self.random);
                self.model.begin(self.harness.now_ms);
                self.model.policy = policy.clone();
                self.model.grant(self.harness.now_ms);
                self.harness.set_policy(policy);
            }
            93..96 => {
                self.model.begin(self.harness.now_ms);
                self.model.is_paused = !self.model.is_paused;
                self.model.grant(self.harness.now_ms);
                let is_paused = self.model.is_paused;
                assert!(self.harness.turn(|rules, _| rules.pause(is_paused)));
            }
            _ => self.harness.reactivate(),
        }
        self.check();
    }

    fn check(&self) {
        let Self { harness, model, .. } = self;
        let now_ms = harness.now_ms;
        for (entry, person) in (1..).zip(model.group_queue()) {
            let ticket = harness.rules.ticket(&person.owner, now_ms).expect("it waits");
            match ticket.state {
                crate::gate::api::stats::TicketState::Queued { position, .. } => {
                    assert_eq!(position, entry);
                }
                other => panic!("{other:?}"),
            }
        }
        let stored: BTreeMap<_, _> = harness.stored().into_iter().collect();
        assert_eq!(stored.len(), model.people.len());
        for person in &model.people {
            let record = &stored[&person.owner];
            assert_eq!((record.arrival, record.priority), (person.arrival, person.priority));
            assert_eq!(Group::restored(record.group.clone()), person.group);
            let (is_held, since_ms, due_ms) = match record.state {
                StoredEntryState::Waiting { since_ms, due_ms, .. } => {
                    (false, since_ms, Some(due_ms))
                }
                StoredEntryState::Held { since_ms, due_ms, .. } => (true, since_ms, due_ms),
            };
            assert_eq!((is_held, since_ms), (person.is_held, person.since_ms));
            assert_eq!(due_ms, person.due_ms, "{person:?}");
        }
        let stats = harness.rules.stats(now_ms);
        assert_eq!(stats.queue_length, model.group_queue().len() as u64);
        assert_eq!(stats.active_count, model.held().count() as u64);
        assert_eq!(stats.total_enqueued, model.arrival_next);
        let written = harness.stored_meta();
        assert_eq!(
            (written.waiting_count, written.held_count),
            (stats.queue_length, stats.active_count)
        );
        let gone = stats.total_completed + stats.total_expired + stats.active_count;
        assert_eq!(stats.total_granted, gone, "every permit ends once");
    }
}

fn policy(random: &mut fastrand::Rng) -> GatePolicy {
    let mut group = Vec::new();
    for name in ["tenant", "region"] {
        if random.bool() {
            group.push(GroupLimit { name: name.into(), max_concurrent: random.u32(1..4) });
        }
    }
    let on_full = [OnFull::Reject, OnFull::CancelOldest, OnFull::CancelNewest];
    GatePolicy {
        max_concurrent: (random.u8(..8) > 0).then(|| random.u32(1..8)),
        queue_length_max: random.u32(1..16),
        timeout: Duration::from_millis(random.u64(1..2_000)),
        on_full: on_full[random.usize(..3)],
        group,
        ..GatePolicy::default()
    }
}

#[test]
fn any_sequence_of_verbs_leaves_what_the_simplest_gate_would_hold() {
    let first =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    for seed in (0..150).map(|run| first.wrapping_add(run)) {
        let run = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            (0..400).for_each(|_| run.step());
        });
        assert!(run.is_ok(), "SEED={seed}");
    }
}
