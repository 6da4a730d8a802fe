//! What a crash leaves: cut at every operation of the disk.

use fastrand::Rng;
use lanekeeper_storage::{
    Crash, Durability, Engine, Failure, FaultDisk, FaultEngine, OpenError,
    conformance::wait_committed,
};

use crate::history::{History, claim, reopen};

const STEPS: usize = 14;

/// Runs one history until its disk is cut before operation `cut`, and returns what was promised.
fn run_until(seed: u64, cut: u64) -> (FaultDisk, History, bool) {
    let disk = FaultDisk::new(seed);
    disk.fail_after(cut, Failure::Cut);
    let mut history = History::default();
    if let Ok(engine) = reopen(&disk) {
        history.run(&engine, &mut Rng::with_seed(seed), STEPS);
    }
    let is_cut = disk.has_failed();
    (disk, history, is_cut)
}

fn survive(seed: u64, crash: Crash) {
    for cut in 0.. {
        let (disk, mut history, is_cut) = run_until(seed, cut);
        let told = format!("seed {seed}, cut before operation {cut}, {crash:?}");
        let promised = match crash {
            Crash::Kill => history.written_count,
            Crash::PowerCut => history.durable_count,
        };
        let found = disk.crash(crash);
        let engine = reopen(&found).unwrap_or_else(|error| panic!("{told}: {error}"));
        history.check(&engine, promised, &told);

        // What was found is there to stay, whatever happens next.
        let found_count = history.written_count;
        let mut rng = Rng::with_seed(seed ^ cut);
        found.fail_after(rng.u64(0..30), Failure::Cut);
        history.run(&engine, &mut rng, STEPS / 2);
        let again = found.crash(Crash::PowerCut);
        let engine = reopen(&again).unwrap_or_else(|error| panic!("{told}, again: {error}"));
        let promised = history.durable_count.max(found_count);
        history.check(&engine, promised, &format!("{told}, again"));
        if !is_cut {
            return;
        }
    }
}

#[test]
fn a_kill_takes_nothing_that_was_written() {
    for seed in 0..20 {
        survive(seed, Crash::Kill);
    }
}

#[test]
fn a_power_cut_takes_nothing_that_was_fsynced() {
    for seed in 100..120 {
        survive(seed, Crash::PowerCut);
    }
}

#[test]
fn an_opening_that_is_cut_can_be_repeated() {
    for seed in 0..10 {
        let disk = FaultDisk::new(seed);
        let engine = reopen(&disk).unwrap();
        let mut history = History::default();
        history.run(&engine, &mut Rng::with_seed(seed), 40);
        drop(engine);
        let left = disk.crash(Crash::Kill);
        for cut in 0.. {
            let left = left.crash(Crash::Kill);
            left.fail_after(cut, Failure::Cut);
            let is_open = reopen(&left).is_ok();
            let found = left.crash(Crash::PowerCut);
            let engine = reopen(&found).unwrap();
            let promised = if is_open { history.written_count } else { history.durable_count };
            let told = format!("seed {seed}, cut before operation {cut}");
            history.clone().check(&engine, promised, &told);
            if is_open {
                break;
            }
        }
    }
}

/// A journal of many small durable commits; the names of its segments, in order.
fn long_journal(seed: u64) -> (FaultDisk, Vec<String>) {
    let disk = FaultDisk::new(seed);
    let engine = reopen(&disk).unwrap();
    let mut history = History::default();
    let fence = claim(&engine).unwrap();
    for number in 0..400_u32 {
        let mut batch = lanekeeper_storage::Batch::new();
        let key = lanekeeper_storage::Key::from_bytes(&number.to_be_bytes());
        batch.put(key, vec![number as u8; 300]);
        let seq = engine.commit(fence, batch, Durability::Durable).unwrap();
        wait_committed(&engine, seq, Durability::Durable).unwrap();
    }
    history.durable_count = 400;
    drop(engine);
    let names = disk.file_names().into_iter().filter(|name| name.ends_with(".log")).collect();
    (disk, names)
}

#[test]
fn damage_before_the_tail_is_an_error_with_file_and_offset() {
    let (disk, names) = long_journal(1);
    assert!(names.len() >= 2, "{names:?}");
    for (name, offset) in [(&names[0], 5_000), (&names[0], 60_000), (&names[1], 2_000)] {
        let found = disk.crash(Crash::Kill);
        let byte = found.content(name).unwrap()[offset];
        found.damage(name, offset, &[byte ^ 0x40]);
        match reopen(&found).err() {
            Some(OpenError::Corrupt { path, offset: at, .. }) => {
                assert!(path.ends_with(name), "{}", path.display());
                assert!(at <= offset as u64 && at + 400 > offset as u64, "{at} {offset}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_missing_segment_is_an_error() {
    let (disk, names) = long_journal(2);
    let found = disk.crash(Crash::Kill);
    found.damage(&names[0], 0, &[0; 512]);
    assert!(matches!(reopen(&found).err(), Some(OpenError::Corrupt { .. })));
}

#[test]
fn a_format_from_the_future_is_refused_by_name() {
    let (disk, names) = long_journal(3);
    let found = disk.crash(Crash::Kill);
    found.damage(&names[1], 8, &7_u32.to_le_bytes());
    let refused = reopen(&found).err();
    assert!(
        matches!(
            &refused,
            Some(OpenError::UnknownFormat { path, found: 7, oldest: 1, newest: 2 })
                if path.ends_with(&names[1])
        ),
        "{refused:?}"
    );

    let found = disk.crash(Crash::Kill);
    let manifest = String::from_utf8(found.content("MANIFEST").unwrap()).unwrap();
    let newer = manifest.replace("format 2", "format 9");
    found.damage("MANIFEST", 0, newer.as_bytes());
    let refused = reopen(&found).err();
    assert!(
        matches!(
            &refused,
            Some(OpenError::UnknownFormat { path, found: 9, .. }) if path.ends_with("MANIFEST")
        ),
        "{refused:?}"
    );
}

#[test]
fn a_damaged_manifest_is_an_error() {
    let (disk, _) = long_journal(4);
    let length = disk.content("MANIFEST").unwrap().len();
    for offset in 0..length {
        let found = disk.crash(Crash::Kill);
        let byte = found.content("MANIFEST").unwrap()[offset];
        found.damage("MANIFEST", offset, &[byte ^ 1]);
        let refused = reopen(&found).err();
        assert!(
            matches!(refused, Some(OpenError::Corrupt { .. } | OpenError::UnknownFormat { .. })),
            "{offset}: {refused:?}"
        );
    }
}

#[test]
fn the_same_seed_comes_to_the_same_disk() {
    let runs = [0, 1].map(|_| {
        let (disk, history, _) = run_until(11, 90);
        let found = disk.crash(Crash::PowerCut);
        let names = found.file_names();
        let contents: Vec<_> = names.iter().map(|name| found.content(name)).collect();
        (names, contents, history.durable_count, disk.operation_count())
    });
    assert!(runs[0] == runs[1]);
}

#[test]
fn commits_held_back_wait_and_are_woken() {
    let engine = FaultEngine::new(5);
    let fence = claim(&engine).unwrap();
    engine.hold_commits();
    let mut batch = lanekeeper_storage::Batch::new();
    batch.put(lanekeeper_storage::Key::from_bytes(b"a"), "1");
    let seq = engine.commit(fence, batch, Durability::Durable).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| wait_committed(&engine, seq, Durability::Durable));
        engine.let_commits_go();
        assert!(waiter.join().unwrap().is_ok());
    });
}
