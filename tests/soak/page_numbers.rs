//! The page of the load test as a browser shows it.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    browser::chromium,
    support::loadtest::{page, post, wait_for},
};

#[test]
fn a_browser_shows_the_numbers_of_the_page() {
    let _machine = crate::machine();
    let (_watching, url) = page(&[]);
    post(&url, "/api/start", r#"{"scenario":"s7a","seconds":2}"#).ok();
    let ended = wait_for(&url, |state| state["phase"] == "idle" && state["runs"] == 1);
    let dir = tempfile::tempdir().unwrap();
    let browse = |args: &[&str]| {
        let mut command = Command::new(chromium());
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,1400"]);
        command.arg(format!("--user-data-dir={}", dir.path().join("profile").display()));
        command.args(["--virtual-time-budget=3000"]).args(args).arg(&url);
        command.stderr(Stdio::null()).output().unwrap()
    };
    let dom = String::from_utf8(browse(&["--dump-dom"]).stdout).unwrap();
    let number = |id: &str| {
        let (_, rest) = dom.split_once(&format!("id=\"{id}\"")).expect("it is on the page");
        let (_, rest) = rest.split_once('>').unwrap();
        rest.split('<').next().unwrap().replace(',', "")
    };
    let requests: u64 = ended["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[1]["requests"].as_u64().unwrap())
        .sum();
    assert!(requests > 50, "{ended}");
    assert_eq!(number("total-requests"), requests.to_string());
    assert_eq!(number("total-failures"), "0");
    assert!(number("status").contains("s7a") && number("status").contains("verified"), "{dom}");
    assert!(dom.contains("<td>push_bad_item</td>"), "the table has every kind of request");
    assert!(dom.matches("class=\"line").count() >= 4, "the charts are drawn");
    let picture = dir.path().join("page.png");
    browse(&[&format!("--screenshot={}", picture.display())]);
    let bytes = fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{} bytes", bytes.len());
    let dark = dir.path().join("dark.png");
    browse(&[
        "--blink-settings=preferredColorScheme=0",
        &format!("--screenshot={}", dark.display()),
    ]);
    let dark = fs::read(&dark).unwrap();
    assert!(dark.len() > 20_000 && dark != bytes, "dark looks as light does");
    if let Ok(keep) = std::env::var("KEEP_SCREENSHOT") {
        fs::write(&keep, bytes).unwrap();
        fs::write(format!("{keep}.dark.png"), dark).unwrap();
    }
}
