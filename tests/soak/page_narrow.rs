//! The page of the load test and its report on a phone.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    support::{
        http::{agent, send},
        loadtest::page,
    },
};

/// What is wider than the screen, or has to be scrolled sideways.
const TOO_WIDE: &str = "[...document.querySelectorAll('body, body *:not(svg *)')]
    .filter((one) => one.getClientRects().length > 0)
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5
        || (one.tagName !== 'svg' && one.scrollWidth > one.clientWidth + 1
            && getComputedStyle(one).overflowX !== 'visible'))
    .map((one) => one.tagName + '#' + one.id)";

/// Fails if anything does not fit, or the colours are not those of the scheme.
#[track_caller]
fn fits(browser: &mut Browser, what: &str) {
    for width in [320, 375, 640] {
        for is_dark in [false, true] {
            browser.phone(width, is_dark);
            browser.wait_for(&format!("innerWidth === {width}"));
            assert_eq!(browser.value(TOO_WIDE), json!([]), "{what} at {width} px");
            let sideways = "document.documentElement.scrollWidth - innerWidth";
            assert_eq!(browser.value(sideways), 0, "{what} at {width} px");
            let page = browser.value("getComputedStyle(document.body).backgroundColor");
            let wanted = if is_dark { "rgb(20, 23, 26)" } else { "rgb(255, 255, 255)" };
            assert_eq!(page, Value::from(wanted), "{what}, dark: {is_dark}");
        }
    }
    if let Ok(folder) = std::env::var("PICTURES") {
        browser.phone(320, false);
        std::fs::write(format!("{folder}/{what}.base64"), browser.picture()).unwrap();
    }
}

#[test]
fn a_phone_shows_the_page_and_the_report_without_scrolling_sideways() {
    let _machine = crate::machine();
    let (_watching, url) = page(&["--durability", "memory"]);
    let mut browser = Browser::open(&url);
    browser.wait_for("document.getElementById('scenario')?.value === 's3a'");
    fits(&mut browser, "before a run");
    browser.value("at('seconds').value = 1; at('form').requestSubmit()");
    browser.wait_for("at('status').className !== '' && at('downloads').hidden === false");
    // As wide as it may get: long reasons, large numbers.
    let rows = "rows('failures', [['push', 'unexpected_'.repeat(40), '123456789']])";
    browser.value(&format!("refresh = () => {{}}; {rows}"));
    fits(&mut browser, "after a run");
    let labels = "document.querySelector('#requests td:nth-child(2)').dataset.label";
    assert_eq!(browser.value(labels), "requests", "a figure has its name beside it");
    // A download: opened from a file, as whoever got it does.
    let report = send(&agent(), &format!("{url}/download/report.html"), "GET", (b"", &[]));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.html");
    std::fs::write(&file, report.body).unwrap();
    browser.go(&format!("file://{}", file.display()));
    browser.wait_for("document.querySelector('details') !== null");
    browser.value("document.querySelector('details').open = true");
    fits(&mut browser, "the report");
}
