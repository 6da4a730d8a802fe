//! The embedded engine on a real disk.

use std::{
    path::Path,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use lanekeeper_storage::{
    Batch, CommitSeq, Durability, EmbeddedEngine, EmbeddedOptions, Engine, Fence, Key, KeyRange,
    Maintenance, OpenError, ScanLimit, ShardNo, conformance::wait_committed,
};

/// Settings under which little data goes a long way.
pub(crate) fn small() -> EmbeddedOptions {
    EmbeddedOptions {
        segment_bytes: 1 << 20,
        overlay_bytes: 256 << 10,
        cache_bytes: 1 << 20,
        ..EmbeddedOptions::default()
    }
}

fn open(dir: &Path) -> (EmbeddedEngine, Fence) {
    let engine = EmbeddedEngine::open(dir, small()).unwrap();
    let shard = ShardNo(0);
    let epoch = engine.claim(shard).unwrap();
    (engine, Fence { shard, epoch })
}

fn put(engine: &EmbeddedEngine, fence: Fence, number: u32, value: &[u8]) -> CommitSeq {
    let mut batch = Batch::new();
    batch.put(Key::from_bytes(&number.to_be_bytes()), value.to_vec());
    engine.commit(fence, batch, Durability::Durable).unwrap()
}

fn numbers(engine: &EmbeddedEngine) -> Vec<u32> {
    let range = KeyRange { start: Key::from_bytes(&[]), end: Key::from_bytes(&[0xff; 5]) };
    let entries = engine.scan(&range, ScanLimit::count(usize::MAX)).unwrap();
    let number = |key: &Key| u32::from_be_bytes(key.as_bytes().try_into().unwrap());
    entries.iter().map(|(key, _)| number(key)).collect()
}

#[test]
fn what_was_committed_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let (engine, fence) = open(dir.path());
        assert_eq!(numbers(&engine), (0..round * 10).collect::<Vec<_>>());
        let mut seq = CommitSeq::ZERO;
        for number in round * 10..round * 10 + 10 {
            seq = put(&engine, fence, number, b"value");
            if number % 7 == round {
                engine.maintain().unwrap();
            }
        }
        wait_committed(&engine, seq, Durability::Durable).unwrap();
        if round == 2 {
            engine.close().unwrap();
        }
    }
}

/// Waits until the engine asks for upkeep, and does it.
pub(crate) fn await_upkeep(engine: &EmbeddedEngine) -> Maintenance {
    let waker = Waker::from(Arc::new(ThisThread(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    while engine.poll_maintenance(&mut cx).is_pending() {
        std::thread::park();
    }
    engine.maintain().unwrap()
}

struct ThisThread(std::thread::Thread);

impl Wake for ThisThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let bytes = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => bytes_in(&entry.path()),
        false => entry.metadata().unwrap().len(),
    });
    bytes.sum()
}

#[test]
fn an_idle_engine_asks_for_a_checkpoint_and_leaves_nothing_to_replay() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { idle_after: Duration::from_millis(1), ..small() };
    let engine = EmbeddedEngine::open(dir.path(), options).unwrap();
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    for number in 0..10 {
        put(&engine, fence, number, b"value");
    }
    wait_committed(&engine, engine.handed_over(), Durability::Durable).unwrap();
    while engine.status().overlay_bytes > 0 || engine.status().journal_bytes > 0 {
        await_upkeep(&engine);
    }
    assert_eq!(numbers(&engine), (0..10).collect::<Vec<_>>());
    put(&engine, fence, 10, b"value");
    wait_committed(&engine, engine.handed_over(), Durability::Durable).unwrap();
    drop(engine);
    let (engine, _) = open(dir.path());
    assert_eq!(numbers(&engine), (0..11).collect::<Vec<_>>());
}

#[test]
fn a_drained_backlog_leaves_a_small_directory() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        EmbeddedOptions { idle_after: Duration::from_millis(1), bloat_bytes: 2 << 20, ..small() };
    let engine = EmbeddedEngine::open(dir.path(), options).unwrap();
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    for number in 0..20_000 {
        put(&engine, fence, number, &[number as u8; 256]);
        if number % 1_000 == 0 {
            engine.maintain().unwrap();
        }
    }
    engine.maintain().unwrap();
    let full = bytes_in(dir.path());
    let mut batch = Batch::new();
    for number in (0..20_000_u32).filter(|number| number % 1_000 != 7) {
        batch.delete(Key::from_bytes(&number.to_be_bytes()));
    }
    engine.commit(fence, batch, Durability::Durable).unwrap();
    let mut rewritten = None;
    while engine.status().overlay_bytes > 0 || engine.status().journal_bytes > 0 {
        rewritten = rewritten.or(await_upkeep(&engine).rewritten);
    }
    let (before, after) = rewritten.unwrap();
    assert!(before > 4 * after, "{before} {after}");
    let left: Vec<u32> = (0..20_000).filter(|number| number % 1_000 == 7).collect();
    assert_eq!(numbers(&engine), left);
    let drained = bytes_in(dir.path());
    assert!(drained < full / 2, "{full} {drained}");
    drop(engine);
    let (engine, _) = open(dir.path());
    assert_eq!(numbers(&engine), left);
}

#[test]
fn a_copy_taken_between_checkpoints_opens_with_everything_committed_before() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, fence) = open(dir.path());
    for number in 0..3_000 {
        let seq = put(&engine, fence, number, &[7; 300]);
        if number % 500 == 499 {
            wait_committed(&engine, seq, Durability::Durable).unwrap();
            let copy = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), copy.path());
            let (copy, _) = open(copy.path());
            assert_eq!(numbers(&copy), (0..=number).collect::<Vec<_>>());
        }
        if number % 700 == 0 {
            engine.maintain().unwrap();
        }
    }
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn relaxed_commits_are_fsynced_although_none_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, fence) = open(dir.path());
    let mut batch = Batch::new();
    batch.put(Key::from_bytes(b"a"), "1");
    let seq = engine.commit(fence, batch, Durability::Relaxed).unwrap();
    wait_committed(&engine, seq, Durability::Relaxed).unwrap();
    wait_committed(&engine, seq, Durability::Durable).unwrap();
    assert!(engine.status().fsyncs > 0);
}

#[test]
fn each_opening_has_a_later_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, first) = open(dir.path());
    drop(engine);
    let (engine, second) = open(dir.path());
    assert!(second.epoch > first.epoch);
    assert!(engine.renew(first).is_err());
}

#[test]
fn a_directory_in_use_is_not_opened_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    let second = EmbeddedEngine::open(dir.path(), small());
    assert!(matches!(second.err(), Some(OpenError::Locked(_))));
    drop(engine);
    assert!(EmbeddedEngine::open(dir.path(), small()).is_ok());
}

#[test]
fn what_was_added_and_deleted_since_the_last_checkpoint_takes_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, fence) = open(dir.path());
    let key = || Key::from_bytes(b"short-lived");
    let bytes = |engine: &EmbeddedEngine| {
        let status = engine.status();
        status.overlay_bytes + status.volatile_bytes
    };
    for level in [Durability::Memory, Durability::Relaxed] {
        let mut batch = Batch::new();
        batch.add(key(), vec![7; 1_000]);
        engine.commit(fence, batch, level).unwrap();
        assert!(bytes(&engine) > 1_000, "{level}");
        let mut batch = Batch::new();
        batch.delete(key());
        engine.commit(fence, batch, level).unwrap();
        assert_eq!(bytes(&engine), 0, "{level}");
        assert_eq!(engine.get(&key()).unwrap(), None);
    }
}

#[test]
fn a_deletion_in_memory_takes_memory_only_while_it_hides_something() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, fence) = open(dir.path());
    let volatile = |change: fn(&mut Batch, Key), key: &[u8]| {
        let mut batch = Batch::new();
        change(&mut batch, Key::from_bytes(key));
        engine.commit(fence, batch, Durability::Memory).unwrap();
        assert_eq!(
            engine.status().volatile_bytes > 0,
            engine.get(&Key::from_bytes(key)).unwrap().is_some()
        );
    };
    let (write, delete) = (|batch: &mut Batch, key| batch.put(key, vec![7; 100]), Batch::delete);
    volatile(delete, b"never there");
    for round in 0..3 {
        // In the journal alone at first, then in the store.
        if round > 0 {
            (0..1_000).for_each(|number| _ = put(&engine, fence, number, &[7; 900]));
            engine.maintain().unwrap();
        }
        volatile(write, b"own");
        volatile(write, b"own");
        volatile(delete, b"own");
    }
    assert_eq!(engine.status().volatile_bytes, 0);
    for below in [5_u32, 7] {
        let mut batch = Batch::new();
        batch.delete(Key::from_bytes(&below.to_be_bytes()));
        engine.commit(fence, batch, Durability::Memory).unwrap();
        assert_eq!(engine.get(&Key::from_bytes(&below.to_be_bytes())).unwrap(), None);
    }
    assert!(engine.status().volatile_bytes > 0, "what is below must stay hidden");
    put(&engine, fence, 5, b"new");
    put(&engine, fence, 7, b"new");
    assert_eq!(engine.status().volatile_bytes, 0);
    assert_eq!(engine.get(&Key::from_bytes(&5_u32.to_be_bytes())).unwrap().unwrap(), "new");
}

#[test]
fn large_values_lie_in_the_log_of_the_store_for_which_space_can_be_taken() {
    let dir = tempfile::tempdir().unwrap();
    let value = |number: u32| vec![number as u8; 1_000 << (number % 10)];
    let check = |engine: &EmbeddedEngine| {
        assert_eq!(numbers(engine), (20..40).collect::<Vec<_>>());
        for number in 0..40 {
            let found = engine.get(&Key::from_bytes(&u32::to_be_bytes(number))).unwrap();
            assert_eq!(found, (number >= 20).then(|| value(number).into()), "{number}");
        }
    };
    let (engine, fence) = open(dir.path());
    for number in 0..40 {
        put(&engine, fence, number, &value(number ^ 1));
        put(&engine, fence, number + 40, &value(number));
    }
    engine.maintain().unwrap();
    for number in 0..20 {
        put(&engine, fence, number + 20, &value(number + 20));
        let mut batch = Batch::new();
        for gone in [number, number + 40, number + 60] {
            batch.delete(Key::from_bytes(&gone.to_be_bytes()));
        }
        engine.commit(fence, batch, Durability::Durable).unwrap();
    }
    engine.maintain().unwrap();
    check(&engine);
    engine.close().unwrap();
    drop(engine);
    check(&open(dir.path()).0);
    let in_files = std::fs::read_dir(dir.path().join("base-1/blobs")).unwrap().count();
    assert_eq!(in_files, 0);
}
