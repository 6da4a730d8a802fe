//! The embedded engine on a real disk.

use std::path::Path;

use lanekeeper_storage::{
    Batch, CommitSeq, Durability, EmbeddedEngine, EmbeddedOptions, Engine, Fence, Key, KeyRange,
    OpenError, ScanLimit, ShardNo, conformance::wait_committed,
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
                engine.upkeep().unwrap();
            }
        }
        wait_committed(&engine, seq, Durability::Durable).unwrap();
        if round == 2 {
            engine.close().unwrap();
        }
    }
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
