//! What a check of a data directory finds.

use std::path::Path;

use lanekeeper_storage::{
    Batch, CommitSeq, Crash, Durability, EmbeddedEngine, Engine, FaultEngine, Fence, OpenError,
    Salvage, ShardNo, check,
    conformance::wait_committed,
    key::{self, Arrival, MessageState, Priority, QueueNo},
    record::{
        ActorState, DedupRecord, DueEntry, EntryRecord, MessageRecord, MessageStateRecord,
        PriorityMeta, QueueEntry, QueueMeta, QueueSettings, ReminderDue, ReminderRecord,
        StoredEntryState, WorkerLease, WorkerMeta, WorkerRecord,
    },
};

use crate::{embedded::small, history};

const QUEUE: QueueNo = QueueNo(1);

fn message(arrival: u64, payload: &'static [u8]) -> (key::Key, bytes::Bytes) {
    let message = MessageRecord::ready(1, payload.into());
    let position = key::message(QUEUE, MessageState::Ready, Priority::default(), Arrival(arrival));
    (position, message.encode())
}

/// A queue with two messages, an actor, a reminder and a worker, all in agreement.
fn sound() -> Batch {
    let mut batch = Batch::new();
    batch.put(key::queue_entry("orders"), QueueEntry::new(QUEUE, 1).encode());
    let meta = QueueMeta { arrival_next: 2, ready_count: 2, bytes: 7, ..QueueMeta::default() };
    batch.put(key::queue_meta(QUEUE), meta.encode());
    batch.put(key::queue_settings(QUEUE), QueueSettings::default().encode());
    batch.put(
        key::priority_count(QUEUE, Priority::default()),
        PriorityMeta { ready_count: 2 }.encode(),
    );
    for (key, value) in [message(0, b"one"), message(1, b"four")] {
        batch.put(key, value);
    }
    let state = ActorState { version: 1, state: "state".into() };
    batch.put(key::actor("counter", "visits"), state.encode());
    let reminder = ReminderRecord {
        kind: "counter".into(),
        actor_key: "visits".into(),
        name: "tick".into(),
        due_ms: 9,
        period_ms: None,
    };
    batch.put(key::reminder(9, "counter", "visits", "tick"), reminder.encode());
    batch.put(key::reminder_due("counter", "visits", "tick"), ReminderDue { due_ms: 9 }.encode());
    let worker =
        WorkerRecord { first_seen_at_ms: 1, last_seen_at_ms: 2, offline_since_ms: None, life: 1 };
    batch.put(key::worker("w1"), worker.encode());
    batch.put(key::worker_meta("w1"), WorkerMeta { json: "{}".into() }.encode());
    batch
}

fn write(engine: &dyn Engine, batch: Batch) -> CommitSeq {
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    let seq = engine.commit(fence, batch, Durability::Durable).unwrap();
    wait_committed(engine, seq, Durability::Durable).unwrap();
    seq
}

#[test]
fn a_sound_directory_is_found_sound_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let engine = EmbeddedEngine::open(dir.path(), small()).unwrap();
    write(&engine, sound());
    engine.maintain().unwrap();
    let mut batch = Batch::new();
    batch.put(key::actor("counter", "more"), ActorState { version: 1, state: "".into() }.encode());
    write(&engine, batch);
    assert!(matches!(check(dir.path()), Err(OpenError::Locked(_))));
    drop(engine);
    let before = contents(dir.path());
    let report = check(dir.path()).unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(
        (report.queue_count, report.message_count, report.actor_count, report.reminder_count),
        (1, 2, 2, 1)
    );
    assert_eq!((report.worker_count, report.record_count), (1, 12));
    assert!(report.torn_tail.is_none());
    assert!(report.to_string().ends_with("sound"), "{report}");
    assert!(before == contents(dir.path()));
}

fn contents(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(contents(&entry.path()));
        } else {
            found.push((entry.path(), std::fs::read(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(check(dir.path().join("nowhere")), Err(OpenError::Io { .. })));
}

#[test]
fn a_directory_without_a_store_is_told_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let read = Salvage::read(dir.path()).map(drop);
    for refused in [check(dir.path()).map(drop), read] {
        let Err(OpenError::Refused { path, reason }) = refused else { panic!("{refused:?}") };
        assert_eq!(path, dir.path());
        assert!(reason.starts_with("it is not a data directory"), "{reason}");
    }
    assert!(contents(dir.path()).is_empty(), "something was written");
}

#[test]
fn records_that_disagree_are_each_named() {
    let mut batches: Vec<(Batch, &str)> = Vec::new();
    let mut with = |write: &dyn Fn(&mut Batch), told: &'static str| {
        let mut batch = sound();
        write(&mut batch);
        batches.push((batch, told));
    };
    with(
        &|batch| batch.delete(message(0, b"").0),
        "queue \"orders\": 2 ready messages are recorded, 1",
    );
    with(&|batch| batch.put(message(1, b"").0, message(1, b"six").1), "7 bytes of messages are");
    with(&|batch| batch.put(message(5, b"").0, message(5, b"").1), "message 5 comes after");
    let count = key::priority_count(QUEUE, Priority::default());
    with(&|batch| batch.delete(count.clone()), "priority 1: 0 are");
    with(&|batch| batch.delete(key::queue_entry("orders")), "queue number 1: it has no queue id");
    with(
        &|batch| batch.delete(key::queue_meta(QUEUE)),
        "0 ready messages are recorded, 2 are there",
    );
    with(
        &|batch| batch.put(key::queue_entry("other"), QueueEntry::new(QUEUE, 1).encode()),
        "queue \"other\": it has the number of queue \"orders\"",
    );
    with(
        &|batch| batch.delete(key::reminder(9, "counter", "visits", "tick")),
        "the reminder's other record does not match",
    );
    let held = |worker: &str| {
        let state = StoredEntryState::Held { since_ms: 1, due_ms: None, waited_ms: 0 };
        let worker = Some(worker.to_owned());
        EntryRecord { arrival: 0, priority: 1, group: Vec::new(), worker, state }.encode()
    };
    with(
        &|batch| batch.put(key::gate_place("g", "o"), held("w1")),
        "gate \"g\": the place of \"o\" is not in the index of \"w1\"",
    );
    let tied = |batch: &mut Batch| batch.put(key::worker_place("w1", "g", "o"), "");
    with(&tied, "gate \"g\": \"o\" has no place that is tied to \"w1\"");
    with(
        &|batch| {
            tied(batch);
            batch.put(key::gate_place("g", "o"), held("w2"));
        },
        "gate \"g\": \"o\" has no place that is tied to \"w1\"",
    );
    with(&|batch| batch.delete(key::worker("w1")), "worker \"w1\": its metadata is there");
    with(&|batch| batch.put(key::queue_meta(QUEUE), "\u{9}junk"), "format 9 is unknown");
    with(&|batch| batch.put(key::Key::from_bytes(b"wx"), ""), "the key is unknown");
    expect_told(batches);
}

#[test]
fn records_that_lead_nowhere_are_each_named() {
    let mut batches: Vec<(Batch, &str)> = Vec::new();
    let mut with = |write: &dyn Fn(&mut Batch), told: &'static str| {
        let mut batch = sound();
        write(&mut batch);
        batches.push((batch, told));
    };
    let (queue, position) = (QUEUE, (Priority::default(), Arrival(1)));
    let scheduled = || {
        let state =
            MessageStateRecord::Scheduled { ready_at_ms: 50, since_ms: 1, is_holding: false };
        MessageRecord { state, ..MessageRecord::ready(1, "four".into()) }
    };
    with(
        &|batch| {
            let key = key::message(queue, MessageState::Scheduled, position.0, position.1);
            batch.put(key, scheduled().encode());
        },
        "the message's other record does not match",
    );
    with(
        &|batch| {
            let key = key::message(queue, MessageState::Leased, position.0, position.1);
            batch.put(key, scheduled().encode());
        },
        "the message says another state",
    );
    with(
        &|batch| {
            let entry = DueEntry::new(position.0, MessageState::Leased);
            batch.put(key::due(queue, 7, position.1), entry.encode());
        },
        "the due message's other record does not match",
    );
    with(
        &|batch| {
            let record = DedupRecord::new(position.0, position.1, 5);
            batch.put(key::dedup(queue, "once"), record.encode());
        },
        "the deduplication key's other record does not match",
    );
    with(
        &|batch| {
            let lease = WorkerLease { queue_id: "orders".into() };
            batch.put(key::worker_lease("w", queue, position.0, position.1), lease.encode());
        },
        "the lease of a worker's other record does not match",
    );
    expect_told(batches);
}

/// Checks a store of each of these batches: what is wrong with it has to be told.
fn expect_told(batches: Vec<(Batch, &str)>) {
    for (batch, told) in batches {
        let engine = FaultEngine::new(1);
        write(&engine, batch);
        let report = engine.disk().crash(Crash::PowerCut).check().unwrap();
        let is_told = report.problems.iter().any(|problem| problem.to_string().contains(told));
        assert!(is_told, "{told}: {report}");
    }
}

#[test]
fn damage_and_torn_tails_are_reported_with_file_and_offset() {
    let engine = FaultEngine::new(2);
    let mut at = Vec::new();
    for _ in 0..5 {
        write(&engine, sound());
        let names = engine.disk().file_names();
        at = names.into_iter().filter(|name| name.ends_with(".log")).collect();
    }
    let found = engine.disk().crash(Crash::Kill);
    assert!(found.check().unwrap().is_sound());
    found.damage(&at[0], 700, b"damage");
    let report = found.check().unwrap();
    let problem = &report.problems[0];
    assert!(problem.place.contains(&format!("{} at 512", at[0])), "{problem}");

    let found = engine.disk().crash(Crash::Kill);
    let content = found.content(&at[0]).unwrap();
    let end = content.iter().rposition(|byte| *byte != 0).unwrap();
    found.damage(&at[0], end, &[content[end] ^ 1]);
    let report = found.check().unwrap();
    assert!(report.is_sound(), "{report}");
    let (path, _) = report.torn_tail.unwrap();
    assert!(path.ends_with(&at[0]));
    assert!(history::reopen(&found).is_ok());
}

#[test]
fn a_damaged_store_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let engine = EmbeddedEngine::open(dir.path(), small()).unwrap();
    write(&engine, sound());
    engine.close().unwrap();
    drop(engine);
    assert!(check(dir.path()).unwrap().is_sound());
    let db = dir.path().join("base-1").join("db");
    let mut bytes = std::fs::read(&db).unwrap();
    let length = bytes.len().min(4_096);
    bytes[..length].fill(0xa5);
    std::fs::write(&db, bytes).unwrap();
    let report = check(dir.path()).unwrap();
    assert!(!report.is_sound(), "{report}");
    assert!(matches!(EmbeddedEngine::open(dir.path(), small()), Err(OpenError::Corrupt { .. })));
}
