//! What a failing or a full disk does: a refusal or poison, never a broken promise.

use fastrand::Rng;
use lanekeeper_storage::{
    Batch, CommitError, CommitSeq, Crash, Durability, EmbeddedEngine, Engine, Failure, FaultDisk,
    FaultEngine, Fence, Key, ShardNo, conformance::wait_committed,
};

use crate::{
    embedded::await_upkeep,
    history::{History, claim, reopen},
};

const STEPS: usize = 14;

/// Runs a history on a disk that fails once, and checks what is there afterwards.
fn fail_once_everywhere(seed: u64, failure: Failure) {
    for after in 0.. {
        let disk = FaultDisk::new(seed);
        let told = format!("seed {seed}, {failure:?} at operation {after}");
        let mut history = History::default();
        let mut rng = Rng::with_seed(seed);
        disk.fail_after(after, failure);
        let Ok(engine) = reopen(&disk) else { continue };
        history.run(&engine, &mut rng, STEPS);
        let is_over = !disk.has_failed();
        disk.fail_never();
        if let Some(reason) = engine.status().poisoned {
            assert!(reason.contains("fsync of the journal"), "{told}: {reason}");
            assert!(!reason.contains("/fault"), "{told}: {reason}");
            check_poisoned(&engine, &told);
        } else {
            // The failure hit something that can be done again: all is as if nothing had happened.
            let before = history.written_count;
            engine.flush();
            assert_eq!(engine.status().waiting_bytes, 0, "{told}");
            history.check(&engine, before, &told);
        }
        for crash in [Crash::Kill, Crash::PowerCut] {
            let engine = reopen(&disk.crash(crash)).unwrap_or_else(|error| {
                panic!("{told}, {crash:?}: {error}");
            });
            history.clone().check(&engine, history.durable_count, &format!("{told}, {crash:?}"));
        }
        if is_over {
            return;
        }
    }
}

/// An engine that is poisoned says so to everybody, and still reads.
fn check_poisoned(engine: &FaultEngine, told: &str) {
    let fence = Fence { shard: ShardNo(1), epoch: lanekeeper_storage::Epoch(1) };
    for durability in [Durability::Memory, Durability::Relaxed, Durability::Durable] {
        let refused = engine.commit(fence, Batch::new(), durability);
        assert!(matches!(refused, Err(CommitError::Poisoned(_))), "{told}: {refused:?}");
    }
    assert!(matches!(engine.close(), Err(CommitError::Poisoned(_))), "{told}");
    assert!(engine.get(&Key::from_bytes(b"number")).is_ok(), "{told}");
}

#[test]
fn an_io_error_anywhere_breaks_no_promise() {
    for seed in 0..10 {
        fail_once_everywhere(seed, Failure::Io);
    }
}

#[test]
fn no_space_anywhere_breaks_no_promise() {
    for seed in 20..30 {
        fail_once_everywhere(seed, Failure::NoSpace);
    }
}

#[test]
fn after_a_failed_fsync_nothing_is_acknowledged() {
    let engine = FaultEngine::new(3);
    let fence = claim(&engine).unwrap();
    let first = engine.commit(fence, put("a", 10), Durability::Durable).unwrap();
    wait_committed(&engine, first, Durability::Durable).unwrap();
    let second = engine.commit(fence, put("b", 10), Durability::Durable).unwrap();
    // One write, then the fsync.
    engine.disk().fail_after(1, Failure::Io);
    for _ in 0..2 {
        let answer = wait_committed(&engine, second, Durability::Durable);
        assert!(matches!(answer, Err(CommitError::Poisoned(_))), "{answer:?}");
    }
    assert!(wait_committed(&engine, first, Durability::Durable).is_ok());
    assert!(engine.disk().has_failed());
    let engine = reopen(&engine.disk().crash(Crash::PowerCut)).unwrap();
    assert!(engine.get(&Key::from_bytes(b"a")).unwrap().is_some());
}

fn put(name: &str, bytes: usize) -> Batch {
    let mut batch = Batch::new();
    batch.put(Key::from_bytes(name.as_bytes()), vec![1; bytes]);
    batch
}

fn delete(name: &str) -> Batch {
    let mut batch = Batch::new();
    batch.delete(Key::from_bytes(name.as_bytes()));
    batch.frees_space();
    batch
}

/// Commits until the disk is full; returns how many were taken.
fn fill(engine: &FaultEngine, fence: Fence) -> usize {
    for number in 0..10_000 {
        let name = format!("{number:05}");
        match engine.commit(fence, put(&name, 900), Durability::Durable) {
            Ok(seq) => wait_committed(engine, seq, Durability::Durable).unwrap(),
            Err(CommitError::DiskFull) => {
                assert_eq!(engine.get(&Key::from_bytes(name.as_bytes())).unwrap(), None);
                return number;
            }
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk was never full");
}

#[test]
fn a_full_disk_refuses_writes_and_lets_space_be_freed_until_space_returns() {
    let disk = FaultDisk::new(9);
    let options =
        lanekeeper_storage::EmbeddedOptions { overlay_bytes: 1 << 20, ..FaultEngine::options() };
    disk.resize(4 << 20);
    let engine = FaultEngine::open(&disk, options).unwrap();
    let fence = claim(&engine).unwrap();
    disk.resize(disk.used_bytes());
    engine.maintain().unwrap();
    let count = fill(&engine, fence);
    assert!(count > 20, "{count}");
    assert!(engine.status().is_disk_full);

    for number in 0..20 {
        let name = format!("{number:05}");
        let seq = engine.commit(fence, delete(&name), Durability::Durable).unwrap();
        wait_committed(&engine, seq, Durability::Durable).unwrap();
    }
    disk.resize(64 << 20);
    engine.maintain().unwrap();
    assert!(!engine.status().is_disk_full);
    let seq = engine.commit(fence, put("new", 900), Durability::Durable).unwrap();
    wait_committed(&engine, seq, Durability::Durable).unwrap();

    let engine = FaultEngine::open(&disk.crash(Crash::PowerCut), options).unwrap();
    for number in 0..count {
        let name = format!("{number:05}");
        let is_there = engine.get(&Key::from_bytes(name.as_bytes())).unwrap().is_some();
        assert_eq!(is_there, number >= 20, "{name}");
    }
    assert!(engine.get(&Key::from_bytes(b"new")).unwrap().is_some());
}

#[test]
fn a_checkpoint_makes_room_on_a_disk_that_stays_full() {
    let disk = FaultDisk::new(10);
    disk.resize(2 << 20);
    let engine = reopen(&disk).unwrap();
    let fence = claim(&engine).unwrap();
    disk.resize(disk.used_bytes());
    engine.maintain().unwrap();
    for _ in 0..5 {
        assert!(fill(&engine, fence) > 20);
        assert!(engine.status().is_disk_full);
        engine.maintain().unwrap();
        assert!(!engine.status().is_disk_full);
    }
    let engine = reopen(&disk.crash(Crash::PowerCut)).unwrap();
    assert!(engine.get(&Key::from_bytes(b"00010")).unwrap().is_some());
}

#[test]
fn service_resumes_by_itself_when_space_returns() {
    let disk = FaultDisk::new(12);
    disk.resize(2 << 20);
    let engine = EmbeddedEngine::open_on(&disk, FaultEngine::options()).unwrap();
    let fence = Fence { shard: ShardNo(1), epoch: engine.claim(ShardNo(1)).unwrap() };
    disk.resize(disk.used_bytes());
    engine.maintain().unwrap();
    let (refused, last) = commit_until_refused(&engine, fence);
    assert!(matches!(refused, CommitError::DiskFull), "{refused}");
    assert!(engine.status().is_disk_full);
    wait_committed(&engine, last, Durability::Durable).unwrap();
    disk.resize(64 << 20);
    while engine.status().is_disk_full {
        await_upkeep(&engine);
    }
    let seq = engine.commit(fence, put("same", 901), Durability::Durable).unwrap();
    wait_committed(&engine, seq, Durability::Durable).unwrap();
}

#[test]
fn a_write_that_failed_is_written_again_in_its_place() {
    for failure in [Failure::Io, Failure::NoSpace] {
        let disk = FaultDisk::new(14);
        let engine = reopen(&disk).unwrap();
        let fence = claim(&engine).unwrap();
        for (name, after) in [("a", None), ("b", Some(0)), ("c", None)] {
            let seq = engine.commit(fence, put(name, 700), Durability::Durable).unwrap();
            after.into_iter().for_each(|after| disk.fail_after(after, failure));
            // For want of space it is held back until somebody tries again.
            let _ = wait_committed(&engine, seq, Durability::Durable);
            wait_committed(&engine, seq, Durability::Durable).unwrap();
            assert!(disk.has_failed());
        }
        assert_eq!(engine.status().poisoned, None, "{failure:?}");
        let engine = reopen(&disk.crash(Crash::PowerCut)).unwrap();
        for name in ["a", "b", "c"] {
            assert!(engine.get(&Key::from_bytes(name.as_bytes())).unwrap().is_some(), "{name}");
        }
    }
}

#[test]
fn space_that_others_took_since_upkeep_looked_holds_nothing_back() {
    let disk = FaultDisk::new(17);
    let engine = reopen(&disk).unwrap();
    let fence = claim(&engine).unwrap();
    disk.resize(disk.used_bytes());
    // What is taken is written, and nothing is taken that could not be.
    let count = fill(&engine, fence);
    assert!(count > 20, "{count}");
    assert!(engine.status().is_disk_full);
    for number in 0..20 {
        let seq = engine.commit(fence, delete(&format!("{number:05}")), Durability::Durable);
        wait_committed(&engine, seq.unwrap(), Durability::Durable).unwrap();
    }
}

/// Commits until something is refused; returns that, and the last commit that was not.
fn commit_until_refused(engine: &EmbeddedEngine, fence: Fence) -> (CommitError, CommitSeq) {
    let mut last = CommitSeq::ZERO;
    loop {
        match engine.commit(fence, put("same", 900), Durability::Durable) {
            Ok(seq) => last = seq,
            Err(error) => return (error, last),
        }
    }
}

#[test]
fn without_a_descriptor_commits_go_on_and_are_then_refused_until_there_is_one() {
    let disk = FaultDisk::new(15);
    let engine = EmbeddedEngine::open_on(&disk, FaultEngine::options()).unwrap();
    let fence = Fence { shard: ShardNo(1), epoch: engine.claim(ShardNo(1)).unwrap() };
    disk.refuse_descriptors(true);
    // What is prepared is begun without one.
    for _ in 0..40 {
        let seq = engine.commit(fence, put("same", 900), Durability::Durable).unwrap();
        wait_committed(&engine, seq, Durability::Durable).unwrap();
    }
    let (refused, last) = commit_until_refused(&engine, fence);
    assert!(matches!(refused, CommitError::Unavailable { .. }), "{refused}");
    assert!(refused.to_string().contains("limit on open files"), "{refused}");
    assert!(engine.status().unavailable.is_some());
    assert!(!engine.status().is_disk_full);
    disk.refuse_descriptors(false);
    wait_committed(&engine, last, Durability::Durable).unwrap();
    while engine.status().unavailable.is_some() {
        await_upkeep(&engine);
    }
    let seq = engine.commit(fence, put("same", 901), Durability::Durable).unwrap();
    wait_committed(&engine, seq, Durability::Durable).unwrap();
    assert_eq!(engine.status().poisoned, None);
}

#[test]
fn whoever_waits_for_what_is_held_back_is_answered_when_the_engine_closes() {
    let disk = FaultDisk::new(16);
    let engine = &EmbeddedEngine::open_on(&disk, FaultEngine::options()).unwrap();
    let fence = Fence { shard: ShardNo(1), epoch: engine.claim(ShardNo(1)).unwrap() };
    disk.fail_always(Some(Failure::NoSpace));
    std::thread::scope(|scope| {
        let seq = engine.commit(fence, put("a", 9), Durability::Durable).unwrap();
        let waiting = scope.spawn(move || wait_committed(engine, seq, Durability::Durable));
        let (refused, _) = commit_until_refused(engine, fence);
        assert!(matches!(refused, CommitError::DiskFull), "{refused}");
        assert!(engine.maintain().is_ok(), "upkeep does not wait for it");
        let closed = engine.close();
        assert!(matches!(closed, Err(CommitError::Held { .. })), "{closed:?}");
        let answer = waiting.join().unwrap();
        assert!(matches!(answer, Err(CommitError::Poisoned(_))), "{answer:?}");
    });
}

#[test]
fn a_failed_fsync_poisons_whoever_waits_in_another_thread() {
    let disk = FaultDisk::new(13);
    let engine = EmbeddedEngine::open_on(&disk, FaultEngine::options()).unwrap();
    let fence = Fence { shard: ShardNo(1), epoch: engine.claim(ShardNo(1)).unwrap() };
    let first = engine.commit(fence, put("a", 9), Durability::Durable).unwrap();
    wait_committed(&engine, first, Durability::Durable).unwrap();
    disk.fail_after(0, Failure::Fsync);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let waits = (0..4).map(|_| {
            scope.spawn(|| {
                let seq = engine.commit(fence, put("b", 9), Durability::Durable)?;
                wait_committed(&engine, seq, Durability::Durable)
            })
        });
        let waits: Vec<_> = waits.collect();
        waits.into_iter().map(|wait| wait.join().unwrap()).collect()
    });
    for answer in answers {
        assert!(matches!(answer, Err(CommitError::Poisoned(_))), "{answer:?}");
    }
    drop(engine);
    let engine = reopen(&disk.crash(Crash::PowerCut)).unwrap();
    assert!(engine.get(&Key::from_bytes(b"a")).unwrap().is_some());
}

#[test]
fn a_batch_beyond_the_limit_is_refused_and_one_beyond_a_segment_is_not() {
    let engine = FaultEngine::new(4);
    let fence = claim(&engine).unwrap();
    let refused = engine.commit(fence, put("a", 25 << 20), Durability::Durable);
    assert!(matches!(refused, Err(CommitError::TooLarge { .. })), "{refused:?}");
    assert_eq!(engine.get(&Key::from_bytes(b"a")).unwrap(), None);
    for (name, bytes) in [("b", 10), ("c", 16 << 20), ("d", 10)] {
        engine.commit(fence, put(name, bytes), Durability::Durable).unwrap();
    }
    wait_committed(&engine, engine.handed_over(), Durability::Durable).unwrap();
    let engine = reopen(&engine.disk().crash(Crash::PowerCut)).unwrap();
    for (name, bytes) in [("b", 10), ("c", 16 << 20), ("d", 10)] {
        let value = engine.get(&Key::from_bytes(name.as_bytes())).unwrap();
        assert_eq!(value.map(|value| value.len()), Some(bytes), "{name}");
    }
}

#[test]
fn a_reserve_is_held_and_given_up_for_the_way_out() {
    let disk = FaultDisk::new(18);
    let engine = reopen(&disk).unwrap();
    let reserve = |disk: &FaultDisk| disk.file_names().iter().any(|name| name == "reserve");
    assert!(reserve(&disk));
    let fence = claim(&engine).unwrap();
    disk.resize(disk.used_bytes());
    engine.maintain().unwrap();
    fill(&engine, fence);
    // What is left is for what frees space; when that is used up, the reserve makes room.
    for number in 0..3_000 {
        let seq = engine.commit(fence, delete(&format!("{number:05}")), Durability::Durable);
        if seq.is_err() {
            engine.maintain().unwrap();
        }
    }
    engine.maintain().unwrap();
    disk.resize(64 << 20);
    engine.maintain().unwrap();
    assert!(reserve(&disk), "it is made again when there is space");
    assert!(!engine.status().is_disk_full);
}
