//! The house rules: where things live, how large they grow, which words they use.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file of the workspace.
struct Source {
    path: String,
    /// The text before the file's own tests.
    code: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(dir: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
            let path = path.strip_prefix(root()).unwrap().display().to_string();
            found.push(Source { path, code });
        }
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    folders.iter().for_each(|folder| collect(&root().join(folder), &mut found));
    assert!(!found.is_empty(), "{folders:?} hold no source");
    found
}

fn everything() -> Vec<Source> {
    sources(&["src", "actors/src", "storage/src", "tests", "benches", "examples"])
}

/// Fails with every line of `sources` that holds one of `words`, but for the files excepted.
fn forbid(sources: &[Source], words: &[&str], excepted: &[&str], reason: &str) {
    let is_excepted = |path: &str| excepted.iter().any(|suffix| path.ends_with(suffix));
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| !is_excepted(&source.path)) {
        for (number, line) in source.code.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && words.iter().any(|word| line.contains(word)) {
                breaches.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert!(breaches.is_empty(), "{reason}:\n{}", breaches.join("\n"));
}

#[test]
fn a_file_has_at_most_400_lines_and_a_line_100_columns() {
    for Source { path, code } in everything() {
        let lines = code.lines().count();
        assert!(lines <= 400, "{path} has {lines} lines");
        for (number, line) in code.lines().enumerate() {
            let columns = line.chars().count();
            // The key table of the store is wider than a page.
            let is_table = line.starts_with("//! |");
            assert!(columns <= 100 || is_table, "{path}:{} has {columns} columns", number + 1);
        }
    }
}

#[test]
fn the_median_file_stays_near_150_lines() {
    let mut lengths: Vec<_> = sources(&["src", "actors/src", "storage/src"])
        .iter()
        .map(|source| source.code.lines().count())
        .collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 190, "the median is {median} lines");
}

#[test]
fn storage_knows_no_actors_no_tasks_and_no_sockets() {
    let words = ["lanekeeper_actors", "actix", "tokio::", "std::net", "futures"];
    forbid(&sources(&["storage/src"]), &words, &[], "storage/ knows what is above it");
}

#[test]
fn actors_know_no_key_bytes_no_http_and_no_command_line() {
    let words = ["sled", "bincode", "actix_web", "clap", "http", "as_bytes().strip_prefix"];
    forbid(&sources(&["actors/src"]), &words, &[], "actors/ knows what is beside it");
}

#[test]
fn the_runtime_knows_none_of_the_built_in_actors() {
    const ROOMS: [&str; 6] = ["actor", "maintenance", "node", "outbox", "runtime", "time"];
    let folders = ROOMS.map(|room| format!("actors/src/{room}"));
    let runtime = sources(&folders.each_ref().map(String::as_str));
    let words = ["crate::queue", "crate::stream", "crate::gate", "crate::worker"];
    forbid(&runtime, &words, &[], "the runtime knows a built-in actor");
}

#[test]
fn the_server_speaks_only_to_the_public_handles() {
    let words = ["lanekeeper_storage", "sled", "bincode"];
    forbid(&sources(&["src"]), &words, &[], "src/ reaches past the actors");
}

#[test]
fn only_commands_print() {
    let words = ["println!", "print!(", "eprint"];
    let printing = |path: &str| path.starts_with("src/cli/") || path == "src/main.rs";
    let mut quiet = sources(&["src", "actors/src", "storage/src"]);
    quiet.retain(|source| !printing(&source.path));
    forbid(&quiet, &words, &[], "a library prints");
}

#[test]
fn sled_and_bincode_are_named_in_one_file_each() {
    let all = sources(&["src", "actors/src", "storage/src"]);
    forbid(
        &all,
        &["sled::"],
        &["storage/src/embedded/backing/sled_backing.rs"],
        "sled is named in one file",
    );
    forbid(&all, &["bincode::"], &["codec.rs"], "bincode is named in one file");
}

#[test]
fn the_clock_is_read_in_one_file_of_each_crate() {
    let words = ["Instant::now", "SystemTime::now"];
    let clocks = ["actors/src/time/clock.rs", "storage/src/stopwatch.rs"];
    forbid(&sources(&["actors/src", "storage/src"]), &words, &clocks, "the clock is elsewhere too");
}

#[test]
fn tests_wait_for_facts_and_never_sleep() {
    let words = ["thread::sleep", "time::sleep", "sleep_until"];
    forbid(&sources(&["tests"]), &words, &["tidy.rs"], "a test sleeps");
}

#[test]
fn lints_are_suppressed_only_with_a_reason() {
    forbid(&everything(), &["#[allow", "#![allow"], &["tidy.rs"], "use #[expect(…, reason = …)]");
    forbid(&everything(), &["todo!(", "unimplemented!("], &["tidy.rs"], "something is not built");
}

#[test]
fn folders_and_files_are_domain_nouns() {
    const STRANGERS: [&str; 7] = ["util", "utils", "common", "manager", "helpers", "imp", "misc"];
    for Source { path, .. } in everything() {
        let parts = path.split('/').map(|part| part.trim_end_matches(".rs"));
        for part in parts {
            assert!(!STRANGERS.contains(&part), "{path}: {part} says nothing");
        }
    }
}

/// Every folder of the rooms, with its entries.
fn folders() -> Vec<(String, Vec<PathBuf>)> {
    fn walk(dir: &Path, found: &mut Vec<(String, Vec<PathBuf>)>) {
        let entries: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.iter().filter(|path| path.is_dir()).for_each(|path| walk(path, found));
        found.push((dir.strip_prefix(root()).unwrap().display().to_string(), entries));
    }
    let mut found = Vec::new();
    for room in ["src", "actors/src", "storage/src", "tests"] {
        walk(&root().join(room), &mut found);
    }
    found
}

#[test]
fn a_folder_has_at_most_15_entries() {
    for (folder, entries) in folders() {
        assert!(entries.len() <= 15, "{folder} has {} entries", entries.len());
    }
}

#[test]
fn a_room_is_a_folder_with_a_mod_file_that_says_what_it_is_for() {
    for (folder, entries) in folders() {
        for path in entries.iter().filter(|path| path.is_dir()) {
            let twin = path.with_extension("rs");
            assert!(!twin.exists(), "{} stands beside its folder", twin.display());
        }
        if let Some(path) = entries.iter().find(|path| path.ends_with("mod.rs")) {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.starts_with("//! "), "{folder}/mod.rs says nothing of its room");
        }
    }
}

#[test]
fn the_readme_opens_doors_in_8_kib() {
    let bytes = fs::metadata(root().join("README.md")).unwrap().len();
    assert!(bytes <= 8_192, "README.md has {bytes} bytes: guides belong into src/docs");
}

/// Words that had a meaning of this project's own; the glossary has the terms of the field.
#[test]
fn nothing_is_defined_by_a_word_that_the_glossary_replaced() {
    const REPLACED: &str = "Held Line Letter Letters Posted PostBox Seat OutputGate Upkeep \
        AnyKind Origin Entered Begun Asking StandingDuty Deliveries Promise Deferred Moment Rules \
        Extent Lanes Window Reach Giving Chosen Bury TakeBack TakenBack Dues DueRest GoOn GoingOn \
        EndLeases Patience Waited Asker InLine Granted Verdict Fate Provision LeaseTerms NackTerms \
        Judged AtGate Board Crowd Arriving Lane Standing Rare Listeners Hold Reconsider Abandon \
        EndOf Fleet Keeper Member Untold Followers Reached Outlet Audience Offers Backlog Inbox \
        TakeIn SettleExits Turned Intake Bell Overlay Ledger Unread Closing Brake Span Word Tally \
        Trial Judge Courier Pace Aged Roots";
    let replaced: Vec<&str> = REPLACED.split_whitespace().collect();
    for Source { path, code } in sources(&["src", "actors/src", "storage/src"]) {
        for line in code.lines() {
            let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
            let Some("struct" | "enum" | "trait") = words.next() else { continue };
            let name = words.next().unwrap_or_default();
            let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            assert!(!replaced.contains(&name), "{path}: {name} is not a term of the field");
        }
    }
}

#[test]
fn the_top_level_holds_what_it_should() {
    const KNOWN: [&str; 20] = [
        ".ci",
        ".git",
        ".github",
        ".gitignore",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "actors",
        "benches",
        "clippy.toml",
        "examples",
        "lanekeeper-data",
        "rustfmt.toml",
        "src",
        "storage",
        "target",
        "tests",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(KNOWN.contains(&name.as_str()), "{name} does not belong at the top");
    }
}
