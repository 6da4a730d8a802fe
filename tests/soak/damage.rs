//! Damaged files: flips and truncations of every file of a data directory. It is opened with
//! exactly what was there, or refused with an error that says what is the matter: no panic, no
//! signal, no hang. What sled's files hold carries no checksum of ours yet: of damage there, what
//! was served wrongly is counted and told.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use lanekeeper_storage::{
    Batch, Durability, EmbeddedEngine, EmbeddedOptions, Engine, Fence, Key, KeyRange, ScanLimit,
    ShardNo, conformance::wait_committed,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{rounds, seed};

/// Where the child finds the directory it is to open.
const DIR: &str = "DAMAGED_DIR";
/// How long an opening may take, on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A data directory as a kill left it, and what it holds.
struct Sample {
    dir: tempfile::TempDir,
    told: String,
}

/// What became of an opening.
#[derive(Debug)]
enum Outcome {
    Refused,
    Told(String),
}

fn options() -> EmbeddedOptions {
    EmbeddedOptions {
        segment_bytes: 64 << 10,
        overlay_bytes: 48 << 10,
        cache_bytes: 1 << 20,
        bloat_bytes: 1 << 20,
        idle_after: Duration::from_secs(3_600),
        ..EmbeddedOptions::default()
    }
}

/// All records in one line.
fn summary(records: &Records) -> String {
    let mut all = Vec::new();
    for (key, value) in records {
        all.extend_from_slice(&(key.len() as u32).to_le_bytes());
        all.extend_from_slice(key);
        all.extend_from_slice(value);
    }
    let sum = all.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("told {} records {sum:016x}", records.len())
}

/// Opens a directory, reads everything and closes it: what the children of the other test do.
#[test]
fn a_child_opens_what_it_is_given() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let told = open(Path::new(&dir)).unwrap_or_else(|error| format!("refused {error}"));
    println!("\noutcome {told}");
}

fn open(dir: &Path) -> Result<String, String> {
    let engine = EmbeddedEngine::open(dir, options()).map_err(|error| error.to_string())?;
    let range = KeyRange { start: Key::from_bytes(&[]), end: Key::from_bytes(&[0xff; 8]) };
    let entries = engine.scan(&range, ScanLimit::count(usize::MAX));
    let entries = entries.map_err(|error| error.to_string())?;
    let record = |(key, value): (Key, bytes::Bytes)| (key.as_bytes().to_vec(), value.to_vec());
    let told = summary(&entries.into_iter().map(record).collect());
    engine.close().map_err(|error| error.to_string())?;
    Ok(told)
}

fn look(dir: &Path, what: &str) -> Outcome {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["damage::a_child_opens_what_it_is_given", "--exact", "--nocapture"]);
    command.env(DIR, dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = end_of(command, what);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.signal(), None, "{what}: {stderr}");
    assert!(output.status.success() && !stderr.contains("panicked"), "{what}: {stdout}{stderr}");
    let outcome = stdout.lines().find_map(|line| line.strip_prefix("outcome ")).unwrap();
    if outcome.starts_with("refused") { Outcome::Refused } else { Outcome::Told(outcome.into()) }
}

fn end_of(mut command: Command, what: &str) -> Output {
    let child = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let (sender, ended) = channel();
    thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("{what}: it hangs")
    })
}

/// A history of batches, and its engine dropped as a kill would. At the end the journal holds
/// something and, if `is_folded`, the store does too.
fn sample(random: &mut fastrand::Rng, is_folded: bool) -> Sample {
    let dir = tempfile::tempdir().unwrap();
    let engine = EmbeddedEngine::open(dir.path(), options()).unwrap();
    let fence = Fence { shard: ShardNo(0), epoch: engine.claim(ShardNo(0)).unwrap() };
    let mut records = Records::new();
    for number in 0..if is_folded { 700_u32 } else { 150 } {
        let mut batch = Batch::new();
        for _ in 0..random.usize(1..4) {
            let key = random.u32(..400).to_be_bytes();
            if random.u8(..4) == 0 {
                batch.delete(Key::from_bytes(&key));
                records.remove(&key[..]);
            } else {
                let bytes = if random.u8(..20) == 0 { 4_000 } else { random.usize(..300) };
                let value = vec![number as u8; bytes];
                batch.put(Key::from_bytes(&key), value.clone());
                records.insert(key.to_vec(), value);
            }
        }
        let seq = engine.commit(fence, batch, Durability::Durable).unwrap();
        wait_committed(&engine, seq, Durability::Durable).unwrap();
        if is_folded && number % 200 == 150 {
            engine.maintain().unwrap();
        }
    }
    // It writes what it still has to, and checkpoints nothing.
    drop(engine);
    Sample { dir, told: summary(&records) }
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The files with something in them, below the directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if entry.metadata().unwrap().len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Damages a file in one of several ways, and says how.
fn damage(path: &Path, random: &mut fastrand::Rng) -> String {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |at| at + 1);
    let at = if random.u8(..8) == 0 { random.usize(..bytes.len()) } else { random.usize(..end) };
    let how = match random.u8(..6) {
        0 => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
        1 => {
            let end = (at + 512).min(bytes.len());
            bytes[at..end].fill(0);
            format!("zeros at {at}")
        }
        _ => {
            bytes[at] ^= 1 << random.u8(..8);
            format!("a flipped bit at {at}")
        }
    };
    fs::write(path, bytes).unwrap();
    how
}

#[test]
fn damage_is_refused_or_harmless() {
    let _machine = crate::machine();
    let seed = seed();
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let samples = [sample(&mut random, false), sample(&mut random, true)];
    let (mut refused, mut true_count, mut wrong) = (0, 0, Vec::new());
    let count = rounds(30);
    for round in 0..count {
        let Sample { dir, told } = &samples[random.usize(..2)];
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let files = files(copy.path());
        let path = &files[random.usize(..files.len())];
        let how = damage(path, &mut random);
        let name = path.strip_prefix(copy.path()).unwrap().display().to_string();
        let what = format!("SEED={seed}, round {round}: {name}: {how}");
        match look(copy.path(), &what) {
            Outcome::Refused => refused += 1,
            Outcome::Told(found) if found == *told => true_count += 1,
            Outcome::Told(_) if name.starts_with("base-") => wrong.push(what),
            Outcome::Told(found) => {
                let kept = copy.keep();
                panic!("{what}: {found} instead of {told}; see {}", kept.display())
            }
        }
    }
    println!(
        "{count} damaged directories: {refused} refused, {true_count} told the truth, {} in which \
         sled served something else",
        wrong.len()
    );
    wrong.iter().for_each(|what| println!("{what}"));
}
