//! The page of the load test without a mouse.

use serde_json::Value;

use crate::{
    browser::{Browser, Key},
    support::loadtest::page,
};

/// What has the focus: its id or its text, whether it has a name, and whether it is seen to have
/// the focus.
const FOCUSED: &str = "(() => {
    const one = document.activeElement;
    const style = getComputedStyle(one);
    const isSeen = one.matches(':focus-visible') && style.outlineStyle === 'solid'
        && parseFloat(style.outlineWidth) >= 2 && one.getClientRects().length > 0;
    const isNamed = (one.labels?.length ?? 0) > 0 || one.textContent.trim() !== '';
    return [one === document.body ? 'nothing' : one.id || one.textContent, isNamed, isSeen];
})()";

/// Notes what the page asks for.
const COUNT: &str = "globalThis.asked = []; (() => {
    const ask = fetch;
    globalThis.fetch = (path, ...rest) => { asked.push(path); return ask(path, ...rest); };
})()";

/// What has the focus, which everybody can see.
#[track_caller]
fn focused(browser: &mut Browser) -> String {
    let found = browser.value(FOCUSED);
    let id = found[0].as_str().unwrap().to_owned();
    assert_eq!((&found[1], &found[2]), (&Value::Bool(true), &Value::Bool(true)), "focus: {id:?}");
    id
}

/// Presses a key until something has the focus; what had it on the way.
#[track_caller]
fn go_to(browser: &mut Browser, key: Key, id: &str) -> Vec<String> {
    let mut passed = Vec::new();
    while passed.last().is_none_or(|last| last != id) {
        assert!(passed.len() < 20, "{id} is out of reach: {passed:?}");
        browser.press(key);
        passed.push(focused(browser));
    }
    passed
}

fn number(browser: &mut Browser, id: &str) -> u64 {
    browser.text(id).replace(',', "").parse().unwrap()
}

#[test]
fn keys_alone_start_change_and_stop_a_run() {
    let _machine = crate::machine();
    let (_watching, url) = page(&["--durability", "memory"]);
    let mut browser = Browser::open(&url);
    browser.wait_for("document.getElementById('scenario')?.value === 's3a'");
    browser.value(COUNT);
    // The first to be reached, and the order in which the form is read.
    browser.press(Key::Tab);
    assert_eq!(focused(&mut browser), "scenario");
    browser.press(Key::Down);
    browser.wait_for("at('scenario').value === 's3b'");
    assert_eq!(go_to(&mut browser, Key::Tab, "seconds"), ["seconds"]);
    browser.write("3600");
    assert_eq!(go_to(&mut browser, Key::Tab, "model"), ["model"]);
    browser.press(Key::Down);
    browser.wait_for("at('model').value === 'closed'");
    assert_eq!(go_to(&mut browser, Key::Tab, "users"), ["users"], "what is hidden is passed over");
    browser.write("2");
    assert_eq!(go_to(&mut browser, Key::Tab, "start"), ["spawn", "start"]);
    browser.press(Key::Space);
    browser.wait_for("at('status').textContent.includes('of 3600 s')");
    assert!(browser.text("status").starts_with("s3b "), "{}", browser.text("status"));
    assert_eq!(focused(&mut browser), "start", "the focus is not lost");
    // What cannot be done now does nothing: no start is asked for but the first.
    browser.press(Key::Enter);

    go_to(&mut browser, Key::BackTab, "users");
    browser.write("5");
    go_to(&mut browser, Key::Tab, "change");
    browser.press(Key::Enter);
    browser.wait_for("at('users-now').textContent === '5'");
    assert_eq!(focused(&mut browser), "change");

    assert_eq!(go_to(&mut browser, Key::Tab, "stop"), ["stop"]);
    browser.press(Key::Enter);
    browser.wait_for("at('status').className !== ''");
    assert_eq!(focused(&mut browser), "stop", "the focus is not lost");
    let status = browser.text("status");
    assert!(status.starts_with("s3b ") && status.contains("verified. "), "{status}");
    assert!(number(&mut browser, "total-requests") > 0);
    assert_eq!(number(&mut browser, "total-failures"), 0);
    assert_eq!(go_to(&mut browser, Key::Tab, "result.json"), ["result.json"]);
    assert_eq!(browser.value("asked.filter((path) => path === '/api/start').length"), 1);
}
