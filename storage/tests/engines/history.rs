//! A random history of commits, and what of it may be found after a crash.

use std::collections::BTreeMap;

use fastrand::Rng;
use lanekeeper_storage::{
    Batch, CommitError, CommitSeq, Durability, Engine, FaultEngine, Fence, Key, KeyRange,
    OpenError, ScanLimit, ShardNo, Write, conformance::wait_committed,
};

type State = BTreeMap<Key, Vec<u8>>;

/// What was handed over, and how much of it was acknowledged at which level.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    batches: Vec<Batch>,
    /// Batches acknowledged as durable, and as written.
    pub(crate) durable_count: usize,
    pub(crate) written_count: usize,
}

/// An engine with its shard claimed.
pub(crate) fn claim(engine: &FaultEngine) -> Result<Fence, CommitError> {
    let shard = ShardNo(1);
    Ok(Fence { shard, epoch: engine.claim(shard)? })
}

/// Opens what is on a disk.
pub(crate) fn reopen(disk: &lanekeeper_storage::FaultDisk) -> Result<FaultEngine, OpenError> {
    FaultEngine::open(disk, FaultEngine::options())
}

impl History {
    /// Hands over some batches, waits for some of them, does upkeep now and then. Ends at the first
    /// failure that is no refusal.
    pub(crate) fn run(&mut self, engine: &FaultEngine, rng: &mut Rng, steps: usize) {
        let Ok(fence) = claim(engine) else { return };
        let first = self.batches.len();
        for _ in 0..steps {
            let durability =
                if rng.u8(0..3) == 0 { Durability::Relaxed } else { Durability::Durable };
            let batch = self.next_batch(rng);
            match engine.commit(fence, batch.clone(), durability) {
                Ok(_) => self.batches.push(batch),
                Err(error) if error.is_refusal() => continue,
                Err(_) => return,
            }
            if rng.u8(0..3) > 0 {
                let seq = CommitSeq((self.batches.len() - first) as u64);
                if wait_committed(engine, seq, durability).is_err() {
                    return;
                }
                self.written_count = self.batches.len();
                if durability == Durability::Durable {
                    self.durable_count = self.batches.len();
                }
            }
            match rng.u8(0..10) {
                0 => engine.flush(),
                1 => drop(engine.maintain()),
                _ => {}
            }
        }
    }

    /// A batch that says which one it is, and changes a few of a few keys.
    fn next_batch(&self, rng: &mut Rng) -> Batch {
        let mut batch = Batch::new();
        let mut state = self.state_after(self.batches.len());
        let number = self.batches.len() as u32 + 1;
        batch.put(Key::from_bytes(b"number"), number.to_be_bytes().to_vec());
        for _ in 0..rng.usize(0..4) {
            let key = Key::from_bytes(&[rng.u8(b'a'..b'n')]);
            let bytes = if rng.u8(0..8) == 0 { rng.usize(0..9_000) } else { rng.usize(0..40) };
            let is_free = !state.contains_key(&key);
            match rng.u8(0..3) {
                0 => batch.delete(key.clone()),
                _ if is_free => batch.add(key.clone(), vec![7; bytes]),
                _ => batch.put(key.clone(), vec![7; bytes]),
            }
            apply(batch.writes().last(), &mut state);
        }
        batch
    }

    fn state_after(&self, count: usize) -> State {
        let mut state = State::new();
        apply(self.batches[..count].iter().flat_map(Batch::writes), &mut state);
        state
    }

    /// Checks that an engine holds the first `n` batches exactly, at least `count_min` of them, and
    /// forgets those it does not hold.
    pub(crate) fn check(&mut self, engine: &FaultEngine, count_min: usize, told: &str) {
        let all = KeyRange { start: Key::from_bytes(&[]), end: Key::from_bytes(&[0xff]) };
        let entries = engine.scan(&all, ScanLimit::count(usize::MAX)).unwrap();
        let found: State = entries.into_iter().map(|(key, value)| (key, value.to_vec())).collect();
        let number = found.get(&Key::from_bytes(b"number"));
        let count =
            number.map_or(0, |bytes| u32::from_be_bytes(bytes[..].try_into().unwrap())) as usize;
        assert!(count >= count_min, "{told}: {count} batches, {count_min} were promised");
        assert!(count <= self.batches.len(), "{told}: a batch out of nowhere");
        assert!(found == self.state_after(count), "{told}: not the first {count} batches");
        self.batches.truncate(count);
        (self.durable_count, self.written_count) = (count_min, count);
    }
}

fn apply<'a>(writes: impl IntoIterator<Item = &'a Write>, state: &mut State) {
    for write in writes {
        match write {
            Write::Put(key, value) | Write::Add(key, value) => {
                state.insert(key.clone(), value.to_vec());
            }
            Write::Delete(key) => drop(state.remove(key)),
        }
    }
}
