//! What a load test leaves: files that other tools read, thresholds, comparisons, a report, a page.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    http::{agent, send},
    loadtest::{page, post, state, wait_for},
    process::{lanekeeper, run},
};

fn loadtest(args: &[&str]) -> Command {
    let mut command = lanekeeper(["loadtest"]);
    command.args(args);
    command
}

/// Runs scenarios for a second each; what is written goes into a folder.
fn results(dir: &Path, args: &[&str]) -> Value {
    let json = dir.join("result.json");
    let mut command = loadtest(args);
    command.args(["--duration", "1s", "--warmup", "0"]).arg("--json").arg(&json);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap()
}

#[test]
fn scripts_made_for_locust_find_its_columns() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("run");
    let found = results(dir.path(), &["s3a", "--csv", prefix.to_str().unwrap()]);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let stats = read("run_stats.csv");
    let lines: Vec<_> = stats.lines().collect();
    assert!(lines[0].starts_with("Type,Name,Request Count,Failure Count,Median Response Time,"));
    let all: Vec<_> = lines.last().unwrap().split(',').collect();
    let figures = &found["results"][0]["figures"];
    let requests = |name: &str| figures[name]["requests"].as_u64().unwrap();
    assert_eq!((all[0], all[1]), ("", "Aggregated"));
    assert_eq!(all[2], (requests("push") + requests("pop")).to_string());
    let history = read("run_stats_history.csv");
    assert!(history.starts_with("Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,"));
    assert!(history.lines().count() >= 2, "{history}");
    assert_eq!(read("run_failures.csv"), "Method,Name,Error,Occurrences\n");
    assert_eq!(read("run_exceptions.csv"), "Count,Message,Traceback,Nodes\n");
}

#[test]
fn a_threshold_that_is_missed_exits_4_and_is_told_to_build_servers() {
    let dir = tempfile::tempdir().unwrap();
    let junit = dir.path().join("junit.xml");
    let run_with = |threshold: &str| {
        let mut command = loadtest(&["s3a", "--duration", "1s", "--threshold", threshold]);
        command.arg("--junit").arg(&junit);
        run(command)
    };
    let missed = run_with("push.p50<1us");
    assert_eq!(missed.code, Some(4), "{}{}", missed.stdout, missed.stderr);
    assert!(missed.stdout.contains("threshold push.p50<1us: MISSED"), "{}", missed.stdout);
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("failures=\"1\"") && xml.contains("push.p50&lt;1us"), "{xml}");
    let met = run_with("errors<1%");
    assert_eq!(met.code, Some(0), "{}{}", met.stdout, met.stderr);
    assert!(fs::read_to_string(&junit).unwrap().contains("failures=\"0\""));
    assert!(run_with("push.p95<50").failed(2).contains("push.p95<50ms"));
}

#[test]
fn the_backlog_of_all_queues_is_on_the_timeline() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("own.toml");
    let text = r#"
        [[scenario]]
        id = "many"
        title = "many queues that only grow"
        queues = 20
        prepopulated = 1000
        shape = { kind = "constant", rate = 100.0 }
        mix = [{ action = "push", weight = 1 }]
    "#;
    fs::write(&file, text).unwrap();
    let found = results(dir.path(), &["--file", file.to_str().unwrap()]);
    let result = &found["results"][0];
    let pushed = result["verification"]["pushed"].as_u64().unwrap();
    let seconds = result["seconds"].as_array().unwrap();
    let mut depths = seconds.iter().filter_map(|second| second["sample"]["messages"].as_u64());
    assert!(depths.any(|depth| (1_000..=pushed).contains(&depth)), "of {pushed}: {seconds:?}");
}

#[test]
fn results_are_compared_only_with_what_was_run_alike() {
    let dir = tempfile::tempdir().unwrap();
    let (base, other) = (dir.path().join("base"), dir.path().join("other"));
    fs::create_dir(&base).unwrap();
    fs::create_dir(&other).unwrap();
    let prefix = base.join("run");
    results(&base, &["s1b", "--repeat", "2", "--csv", prefix.to_str().unwrap()]);
    results(&other, &["s1b", "--scale", "3"]);
    let compare = |base: &Path, new: &Path, args: &[&str]| {
        let mut command = lanekeeper(["compare"]);
        command.arg(base).arg(new).args(args);
        run(command)
    };
    let file = base.join("result.json");
    let same = compare(&file, &file, &[]);
    assert!(same.ok().contains("p95 ms"), "{}", same.stdout);
    let unlike = compare(&file, &other.join("result.json"), &[]);
    assert!(unlike.failed(2).contains("not run alike"), "{}", unlike.stderr);
    let worse = dir.path().join("worse.json");
    let mut slower: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for result in slower["results"].as_array_mut().unwrap() {
        for bucket in result["requests"]["push"]["latencies"].as_array_mut().unwrap() {
            bucket[0] = (bucket[0].as_u64().unwrap() * 3 + 100_000).into();
        }
    }
    fs::write(&worse, slower.to_string()).unwrap();
    let regression = compare(&file, &worse, &[]);
    assert_eq!(regression.code, Some(5), "{}{}", regression.stdout, regression.stderr);
    assert!(regression.stdout.contains("WORSE"), "{}", regression.stdout);
    let csv = base.join("run-s1b_stats.csv");
    assert!(compare(&csv, &csv, &["--json"]).ok().contains("\"is_worse\":false"));
    let mut analyze = lanekeeper(["analyze"]);
    analyze.arg(&file).arg(&csv);
    let shown = run(analyze);
    assert!(shown.ok().contains("99.99%") && shown.stdout.contains("Aggregated"));
}

#[test]
fn the_report_is_one_file_that_asks_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let html = dir.path().join("report.html");
    results(dir.path(), &["s3a", "--html", html.to_str().unwrap()]);
    let page = fs::read_to_string(&html).unwrap();
    for word in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
    for chart in ["Requests", "Latency spectrum", "Processors", "Memory", "Last fsync"] {
        assert!(page.contains(&format!("<figcaption>{chart}")), "{chart}");
    }
    assert!(page.contains("class=\"verdict good\">verified"));
}

#[test]
fn a_page_starts_changes_and_stops_a_run() {
    let (_watching, url) = page(&[]);
    assert_eq!(state(&url)["phase"], "idle");
    assert_eq!(post(&url, "/api/start", r#"{"scenario":"s9","seconds":5}"#).status, 409);
    post(&url, "/api/start", r#"{"scenario":"s3a","seconds":3600,"users":1}"#).ok();
    assert_eq!(post(&url, "/api/start", r#"{"scenario":"s3a","seconds":5}"#).status, 409);
    wait_for(&url, |state| state["phase"] == "running");
    assert_eq!(post(&url, "/api/change", r#"{"scale":2.0}"#).status, 409, "it has users");
    post(&url, "/api/change", r#"{"users":7}"#).ok();
    wait_for(&url, |state| {
        state["seconds"].as_array().and_then(|all| all.last()?["users"].as_u64()) == Some(7)
    });
    post(&url, "/api/stop", "{}").ok();
    let ended = wait_for(&url, |state| state["phase"] == "idle");
    assert_eq!((ended["runs"].as_u64(), ended["verdict"]["lost"].as_u64()), (Some(1), Some(0)));
    let download =
        |file: &str| send(&agent(), &format!("{url}/download/{file}"), "GET", (b"", &[])).body;
    assert!(download("loadtest_stats.csv").contains("Aggregated"));
    assert!(download("report.html").contains("verified"));
}

#[test]
fn a_page_offers_scenarios_of_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("own.toml");
    let text = r#"
        [[scenario]]
        id = "orders"
        title = "orders at noon"
        shape = { kind = "constant", rate = 100.0 }
        mix = [{ action = "push", weight = 2 }, { action = "lease", weight = 1 }]
        work = { ttl_ms = 1000, nacked = 50, max_deliveries = 3 }
    "#;
    fs::write(&file, text).unwrap();
    let (_watching, url) = page(&["--durability", "memory", "--file", file.to_str().unwrap()]);
    let offered: Value = send(&agent(), &format!("{url}/api/scenarios"), "GET", (b"", &[])).ok();
    let offered = offered.as_array().unwrap();
    assert!(offered.iter().any(|one| one["id"] == "s8a") && offered.len() > 30, "{offered:?}");
    post(&url, "/api/start", r#"{"scenario":"orders","seconds":1}"#).ok();
    let ended = wait_for(&url, |state| state["phase"] == "idle" && state["runs"] == 1);
    assert!(ended["verdict"]["work"]["leased"].as_u64().unwrap() > 0, "{}", ended["verdict"]);
    assert_eq!(ended["verdict"]["stranded"], 0);
    fs::write(&file, text.replace("nacked = 50", "nacked = 101")).unwrap();
    let refused = run(loadtest(&["--file", file.to_str().unwrap()]));
    assert!(refused.failed(2).contains("work.abandoned must be at most 100"), "{}", refused.stderr);
}

#[test]
fn a_page_of_somebody_else_is_not_obeyed() {
    let (_watching, url) = page(&[]);
    let order = br#"{"scenario":"s3a","seconds":5}"#;
    let start = format!("{url}/api/start");
    // A form of another page can send no JSON, and a name of its own is none of this page's.
    let form = send(&agent(), &start, "POST", (order, &[("content-type", "text/plain")]));
    assert!(form.status >= 400, "{}", form.status);
    let named = [("content-type", "application/json"), ("host", "rebound.example")];
    assert_eq!(send(&agent(), &start, "POST", (order, &named)).status, 403);
    let foreign = [("content-type", "application/json"), ("origin", "https://evil.example")];
    assert_eq!(send(&agent(), &start, "POST", (order, &foreign)).status, 403);
    assert_eq!(state(&url)["phase"], "idle");
}
