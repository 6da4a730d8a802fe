//! What is opened and what is refused: a missing file is damage and never a fresh start, and
//! whatever is refused is left as it is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use lanekeeper_storage::{
    Batch, Crash, Durability, EmbeddedEngine, EmbeddedOptions, Engine, Failure, FaultDisk, Fence,
    Key, OpenError, ShardNo, check, conformance::wait_committed,
};

use crate::{
    embedded::{await_upkeep, small},
    history::{claim, reopen},
};

#[test]
fn a_first_opening_that_fails_at_any_write_can_be_repeated() {
    let disk = FaultDisk::new(1);
    reopen(&disk).unwrap();
    let operation_count = disk.operation_count();
    assert!(operation_count > 10, "{operation_count}");
    for failure in [Failure::Io, Failure::NoSpace, Failure::Cut] {
        for after in 0..operation_count {
            let told = format!("{failure:?} at operation {after}");
            let disk = FaultDisk::new(after);
            disk.fail_after(after, failure);
            let is_open = reopen(&disk).is_ok();
            assert!(is_open || disk.has_failed(), "{told}");
            for crash in [Crash::Kill, Crash::PowerCut] {
                let found = disk.crash(crash);
                let engine = reopen(&found).unwrap_or_else(|error| panic!("{told}: {error}"));
                let fence = claim(&engine).unwrap();
                let seq = engine.commit(fence, put(1), Durability::Durable).unwrap();
                wait_committed(&engine, seq, Durability::Durable).unwrap();
                drop(engine);
                let engine = reopen(&found.crash(Crash::PowerCut)).unwrap();
                assert!(engine.get(&key(1)).unwrap().is_some(), "{told}, {crash:?}");
            }
        }
    }
}

fn key(number: u32) -> Key {
    Key::from_bytes(&number.to_be_bytes())
}

fn put(number: u32) -> Batch {
    let mut batch = Batch::new();
    batch.put(key(number), vec![number as u8; 300]);
    batch
}

fn commit(engine: &EmbeddedEngine, batch: Batch) {
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    let seq = engine.commit(fence, batch, Durability::Durable).unwrap();
    wait_committed(engine, seq, Durability::Durable).unwrap();
}

/// A directory with three batches in its journal alone, as a kill leaves it.
fn journaled(dir: &Path) {
    let engine = EmbeddedEngine::open(dir, small()).unwrap();
    (0..3).for_each(|number| commit(&engine, put(number)));
}

/// A directory whose journal is empty and whose store holds three batches.
fn folded(dir: &Path) {
    let engine = EmbeddedEngine::open(dir, small()).unwrap();
    (0..3).for_each(|number| commit(&engine, put(number)));
    engine.close().unwrap();
}

/// A directory whose store was rewritten once. Returns the manifest from before.
fn rewritten(dir: &Path) -> Vec<u8> {
    let engine = EmbeddedEngine::open(dir, EmbeddedOptions { bloat_bytes: 1 << 30, ..small() });
    let engine = engine.unwrap();
    let before = fs::read(dir.join("MANIFEST")).unwrap();
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    for round in 0..8 {
        for number in 0..1_000 {
            let mut batch = Batch::new();
            batch.put(key(number), vec![round; 900]);
            engine.commit(fence, batch, Durability::Relaxed).unwrap();
        }
        engine.maintain().unwrap();
    }
    // So little stays alive that the files of any store are bloated, however well it tidies up.
    let mut batch = Batch::new();
    (10..1_000).for_each(|number| batch.delete(key(number)));
    engine.commit(fence, batch, Durability::Relaxed).unwrap();
    engine.close().unwrap();
    drop(engine);
    let options = EmbeddedOptions { bloat_bytes: 1 << 16, idle_after: IDLE, ..small() };
    let engine = EmbeddedEngine::open(dir, options).unwrap();
    while await_upkeep(&engine).rewritten.is_none() {}
    assert!(dir.join("base-2").exists() && !dir.join("base-1").exists());
    commit(&engine, put(7));
    engine.close().unwrap();
    before
}

const IDLE: std::time::Duration = std::time::Duration::from_millis(1);

/// Every file with what it holds, but for the lock.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false if path.ends_with("LOCK") => continue,
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

/// Refuses to open, names this, says what to do and changes nothing.
fn expect_refused(dir: &Path, named: &str) {
    let before = contents(dir);
    let told = match EmbeddedEngine::open(dir, small()) {
        Err(error @ (OpenError::Refused { .. } | OpenError::Corrupt { .. })) => error.to_string(),
        Err(error) => panic!("{named}: {error:?}"),
        Ok(_) => panic!("{named}: it was opened"),
    };
    assert!(told.contains(named), "{told}");
    let after = contents(dir);
    // A store that is looked into tidies up its own files, but for what it holds.
    let is_ours = |path: &Path| path.ends_with("db") || !path.to_str().unwrap().contains("/base-");
    for path in before.keys().chain(after.keys()).filter(|path| is_ours(path)) {
        let is_same = path.ends_with("db") || before.get(path) == after.get(path);
        let is_there = before.contains_key(path) && after.contains_key(path);
        assert!(is_same && is_there, "{told}: {} was changed", path.display());
    }
    let report = check(dir).unwrap();
    assert!(!report.is_sound(), "{named}: {report}");
}

fn newest_segment(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join("journal")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|it| it == "log")).max().unwrap()
}

#[test]
fn a_missing_manifest_is_no_fresh_start() {
    for make in [journaled, folded, |dir: &Path| drop(rewritten(dir))] {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        fs::remove_file(dir.path().join("MANIFEST")).unwrap();
        expect_refused(dir.path(), "MANIFEST: it is missing, but the directory holds base-");
    }
    // Nothing but prepared files are left of a directory: there was one.
    let dir = tempfile::tempdir().unwrap();
    folded(dir.path());
    fs::remove_file(dir.path().join("MANIFEST")).unwrap();
    fs::remove_dir_all(dir.path().join("base-1")).unwrap();
    expect_refused(dir.path(), "the directory holds journal/");
}

#[test]
fn a_manifest_older_than_the_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let before = rewritten(dir.path());
    let manifest = dir.path().join("MANIFEST");
    let now = fs::read(&manifest).unwrap();
    fs::write(&manifest, &before).unwrap();
    expect_refused(dir.path(), "base-1: it is missing");
    // The store it names is back too, from a backup as old.
    let old = tempfile::tempdir().unwrap();
    folded(old.path());
    fs::rename(old.path().join("base-1"), dir.path().join("base-1")).unwrap();
    expect_refused(dir.path(), "MANIFEST: it is older than the journal");
    // As a directory of an earlier version, which has no tail.
    fs::remove_file(dir.path().join("journal/TAIL")).unwrap();
    expect_refused(dir.path(), "there is base-2, which has batch");
    fs::remove_dir_all(dir.path().join("base-1")).unwrap();
    fs::write(&manifest, now).unwrap();
    let engine = EmbeddedEngine::open(dir.path(), small()).unwrap();
    assert!(engine.get(&key(7)).unwrap().is_some());

    let dir = tempfile::tempdir().unwrap();
    folded(dir.path());
    let before = fs::read(dir.path().join("MANIFEST")).unwrap();
    for make in [journaled, folded] {
        make(dir.path());
        fs::write(dir.path().join("MANIFEST"), &before).unwrap();
        expect_refused(dir.path(), "MANIFEST: it is older than the journal");
        fs::remove_file(dir.path().join("journal/TAIL")).unwrap();
        make_openable(dir.path());
    }
}

/// What `check --repair` would do about a tail that is missing.
fn make_openable(dir: &Path) {
    for entry in fs::read_dir(dir.join("journal")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

#[test]
fn whatever_the_manifest_names_has_to_be_there() {
    let lost: [(&str, &str); 3] =
        [("base-1", "base-1: it is missing"), ("base-1/db", "base-1/db"), ("journal", "journal")];
    for (lost, named) in lost {
        let dir = tempfile::tempdir().unwrap();
        folded(dir.path());
        let path = dir.path().join(lost);
        match path.is_dir() {
            true => fs::remove_dir_all(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
        expect_refused(dir.path(), named);
    }
    let dir = tempfile::tempdir().unwrap();
    folded(dir.path());
    fs::remove_dir_all(dir.path().join("base-1")).unwrap();
    fs::create_dir(dir.path().join("base-1")).unwrap();
    expect_refused(dir.path(), "base-1/db");
}

#[test]
fn the_newest_segment_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    journaled(dir.path());
    let segment = newest_segment(dir.path());
    let bytes = fs::read(&segment).unwrap();
    fs::remove_file(&segment).unwrap();
    expect_refused(dir.path(), "it is missing, and was the newest segment");
    fs::write(&segment, vec![0; bytes.len()]).unwrap();
    expect_refused(dir.path(), "it is missing, and was the newest segment");
    fs::write(&segment, bytes).unwrap();
    fs::remove_file(dir.path().join("journal/TAIL")).unwrap();
    expect_refused(dir.path(), "TAIL");
}

#[test]
fn a_segment_cut_short_is_damage_at_whatever_length() {
    let dir = tempfile::tempdir().unwrap();
    journaled(dir.path());
    let segment = newest_segment(dir.path());
    let bytes = fs::read(&segment).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for length in [0, 100, 512, 600, last - 200, last, last + 1, last + 5_000, bytes.len() - 1] {
        fs::write(&segment, &bytes[..length]).unwrap();
        expect_refused(dir.path(), segment.to_str().unwrap());
    }
    fs::write(&segment, bytes).unwrap();
    let engine = EmbeddedEngine::open(dir.path(), small()).unwrap();
    assert!(engine.get(&key(2)).unwrap().is_some());
}

#[test]
fn damage_to_the_last_group_is_no_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    journaled(dir.path());
    let segment = newest_segment(dir.path());
    let bytes = fs::read(&segment).unwrap();
    let last = bytes.windows(4).rposition(|word| word == b"\x02\x02\x02\x02").unwrap();
    for at in [last, last - 280, last - 330] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&segment, damaged).unwrap();
        expect_refused(dir.path(), "was durable and cannot be read");
    }
    let mut damaged = bytes;
    damaged[last - 400..last + 600].fill(0);
    fs::write(&segment, damaged).unwrap();
    expect_refused(dir.path(), "was durable and cannot be read");
}

#[test]
fn what_a_rewrite_that_was_cut_off_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    rewritten(dir.path());
    for (number, is_unfinished) in [(3, true), (1, false), (3, false)] {
        let old = tempfile::tempdir().unwrap();
        folded(old.path());
        let left = dir.path().join(format!("base-{number}"));
        fs::rename(old.path().join("base-1"), &left).unwrap();
        if is_unfinished {
            fs::write(dir.path().join("base-3.unfinished"), "").unwrap();
            fs::write(left.join("db"), "half of it").unwrap();
        }
        let engine = EmbeddedEngine::open(dir.path(), small()).unwrap();
        assert!(engine.get(&key(7)).unwrap().is_some());
        engine.close().unwrap();
        assert!(!left.exists() && !dir.path().join("base-3.unfinished").exists());
    }
}

#[test]
fn a_file_of_the_wrong_kind_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let told = |path: &Path| match EmbeddedEngine::open(path, small()) {
        Err(error @ OpenError::Refused { .. }) => error.to_string(),
        other => panic!("{}: {:?}", path.display(), other.err()),
    };
    fs::write(at("file"), "not a directory").unwrap();
    assert!(told(&at("file")).contains("file: it is a file, and the data directory has to be"));
    assert!(told(&at("file/below/it")).contains("file is a file, and the data directory"));
    std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
    assert!(told(&at("loop")).contains("name another one with --data"));
    std::os::unix::fs::symlink(at("gone"), at("dangling")).unwrap();
    assert!(told(&at("dangling")).contains("a dangling link"));
    for name in ["LOCK", "MANIFEST", "MANIFEST.next", "journal/TAIL"] {
        fs::create_dir_all(at("swapped").join(name)).unwrap();
        let refused = told(&at("swapped"));
        assert!(refused.contains(&format!("{name}: it is a directory")), "{refused}");
        fs::remove_dir_all(at("swapped")).unwrap();
    }
    for name in ["journal", "base-1"] {
        fs::create_dir_all(at("swapped")).unwrap();
        fs::write(at("swapped").join(name), "").unwrap();
        let refused = told(&at("swapped"));
        assert!(refused.contains(&format!("{name}: it is a file")), "{refused}");
        fs::remove_dir_all(at("swapped")).unwrap();
    }
}

#[test]
fn a_directory_with_the_lock_alone_is_fresh() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("LOCK"), "").unwrap();
    journaled(dir.path());
    assert!(EmbeddedEngine::open(dir.path(), small()).unwrap().get(&key(2)).unwrap().is_some());
}
