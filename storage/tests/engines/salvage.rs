//! What is saved of a directory that cannot be opened any more.

use std::{fs, path::Path};

use lanekeeper_storage::{
    Batch, Durability, EmbeddedEngine, Engine, Fence, Salvage, ShardNo, check,
    conformance::wait_committed,
    key::{self, Arrival, MessageState, Priority, QueueNo},
    record::{LeaseRecord, MessageRecord, MessageStateRecord, PriorityMeta, QueueEntry, QueueMeta},
};

use crate::embedded::small;

const QUEUE: QueueNo = QueueNo(1);

/// Messages, one a batch, in agreement with the counts; one of them is leased.
fn push(dir: &Path, arrivals: std::ops::Range<u64>) {
    let engine = EmbeddedEngine::open(dir, small()).unwrap();
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    for arrival in arrivals {
        let mut batch = Batch::new();
        batch.put(key::queue_entry("orders"), QueueEntry::new(QUEUE, 1).encode());
        let ready_count = arrival;
        let meta = QueueMeta {
            arrival_next: arrival + 1,
            ready_count,
            leased_count: 1,
            bytes: (arrival + 1) * 100,
            ..QueueMeta::default()
        };
        batch.put(key::queue_meta(QUEUE), meta.encode());
        if ready_count > 0 {
            batch.put(
                key::priority_count(QUEUE, Priority::default()),
                PriorityMeta { ready_count }.encode(),
            );
        }
        let mut message = MessageRecord::ready(1, vec![arrival as u8; 100].into());
        if arrival == 0 {
            message.state = MessageStateRecord::Leased(LeaseRecord {
                nonce: [0; 16],
                leased_at_ms: 1,
                expires_at_ms: 2,
                worker: None,
                permit: None,
                life: None,
            });
            let entry = lanekeeper_storage::record::DueEntry::new(
                Priority::default(),
                MessageState::Leased,
            );
            batch.put(key::due(QUEUE, 2, Arrival(0)), entry.encode());
        }
        let state = message.state.of_key();
        let position = key::message(QUEUE, state, Priority::default(), Arrival(arrival));
        batch.put(position, message.encode());
        let seq = engine.commit(fence, batch, Durability::Durable).unwrap();
        wait_committed(&engine, seq, Durability::Durable).unwrap();
    }
}

fn arrivals(salvage: &mut Salvage) -> Vec<u64> {
    let messages = salvage.messages(Some("orders"));
    let mut arrivals: Vec<u64> = messages.iter().map(|message| message.arrival.0).collect();
    arrivals.sort_unstable();
    arrivals
}

fn segment(dir: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(dir.join("journal")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|it| it == "log")).max().unwrap()
}

/// Writes what was saved, and has it served.
fn rebuild(salvage: &mut Salvage) -> (tempfile::TempDir, u64) {
    salvage.mend();
    let beside = tempfile::tempdir().unwrap();
    let to = beside.path().join("repaired");
    let report = salvage.write(&to).unwrap();
    assert!(report.is_sound(), "{report}");
    assert!(salvage.write(&to).is_err(), "it is there already");
    EmbeddedEngine::open(&to, small()).unwrap();
    (beside, report.message_count)
}

#[test]
fn everything_is_saved_of_a_directory_without_its_manifest() {
    let dir = tempfile::tempdir().unwrap();
    push(dir.path(), 0..5);
    fs::remove_file(dir.path().join("MANIFEST")).unwrap();
    assert!(EmbeddedEngine::open(dir.path(), small()).is_err());
    let mut salvage = Salvage::read(dir.path()).unwrap();
    assert_eq!(arrivals(&mut salvage), [0, 1, 2, 3, 4]);
    assert!(salvage.messages(Some("other")).is_empty());
    let (_, message_count) = rebuild(&mut salvage);
    assert_eq!(message_count, 5);
    assert!(salvage.is_complete(), "{:?}", salvage.losses());
    assert!(!dir.path().join("MANIFEST").exists(), "the original is left as it is");
}

#[test]
fn what_is_behind_a_damaged_group_is_saved_and_the_damage_told() {
    let dir = tempfile::tempdir().unwrap();
    push(dir.path(), 0..5);
    let path = segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(50).position(|word| word == [2; 50]).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(EmbeddedEngine::open(dir.path(), small()).is_err());
    let mut salvage = Salvage::read(dir.path()).unwrap();
    assert_eq!(arrivals(&mut salvage), [0, 1, 3, 4]);
    let (_, message_count) = rebuild(&mut salvage);
    assert_eq!(message_count, 4);
    let told: Vec<String> = salvage.losses().iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    assert!(told.contains("bytes cannot be read") && told.contains("batches 3 to 3"), "{told}");
    assert!(told.contains("4 ready messages were recorded, 3 are there"), "{told}");
}

#[test]
fn a_segment_cut_short_or_lost_is_told() {
    let dir = tempfile::tempdir().unwrap();
    push(dir.path(), 0..5);
    let path = segment(dir.path());
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(50).position(|word| word == [3; 50]).unwrap();
    fs::write(&path, &bytes[..at]).unwrap();
    let mut salvage = Salvage::read(dir.path()).unwrap();
    assert_eq!(arrivals(&mut salvage), [0, 1, 2]);
    assert!(salvage.losses()[0].to_string().contains("bytes long"), "{:?}", salvage.losses());
    fs::remove_file(&path).unwrap();
    let salvage = Salvage::read(dir.path()).unwrap();
    assert!(salvage.losses()[0].to_string().contains("it is missing"), "{:?}", salvage.losses());
}

#[test]
fn a_store_that_lost_records_is_made_to_agree() {
    let dir = tempfile::tempdir().unwrap();
    push(dir.path(), 0..5);
    let engine = EmbeddedEngine::open(dir.path(), small()).unwrap();
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    let mut batch = Batch::new();
    batch.delete(key::queue_entry("orders"));
    batch.delete(key::priority_count(QUEUE, Priority::default()));
    batch.put(key::message(QUEUE, MessageState::Ready, Priority::default(), Arrival(4)), "\u{9}");
    batch.delete(key::due(QUEUE, 2, Arrival(0)));
    batch.delete(key::queue_meta(QUEUE));
    engine.commit(fence, batch, Durability::Durable).unwrap();
    engine.close().unwrap();
    drop(engine);
    assert!(!check(dir.path()).unwrap().is_sound());
    let mut salvage = Salvage::read(dir.path()).unwrap();
    let (_, message_count) = rebuild(&mut salvage);
    assert_eq!(message_count, 4);
    let messages = salvage.messages(None);
    assert!(messages.iter().all(|message| message.queue.as_deref() == Some("recovered-1.0")));
}

#[test]
fn incarnations_go_on_where_they_were() {
    let dir = tempfile::tempdir().unwrap();
    (0..4).for_each(|arrival| push(dir.path(), arrival..arrival + 1));
    let mut salvage = Salvage::read(dir.path()).unwrap();
    let (beside, _) = rebuild(&mut salvage);
    let report = check(beside.path().join("repaired")).unwrap();
    assert!(report.incarnation > 4, "{report:?}");
}

#[test]
fn a_store_that_cannot_be_read_is_told_and_the_journal_saved() {
    let dir = tempfile::tempdir().unwrap();
    push(dir.path(), 0..3);
    EmbeddedEngine::open(dir.path(), small()).unwrap().close().unwrap();
    push(dir.path(), 3..5);
    let db = dir.path().join("base-1/db");
    let mut bytes = fs::read(&db).unwrap();
    let length = bytes.len().min(4_096);
    bytes[..length].fill(0xa5);
    fs::write(&db, bytes).unwrap();
    let mut salvage = Salvage::read(dir.path()).unwrap();
    assert_eq!(arrivals(&mut salvage), [3, 4]);
    assert!(!salvage.is_complete());
}
