//! Results as JUnit's XML, which build servers show.

use std::fmt::Write;

use crate::loadtest::record::result::{RunResult, Skipped};

/// A suite for each scenario; a case for its end, its verification and each threshold.
pub(crate) fn text(results: &[RunResult], skipped: &[Skipped]) -> String {
    let mut out =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"lanekeeper loadtest\">\n"
            .to_owned();
    for result in results {
        suite(&mut out, result);
    }
    for Skipped { scenario, reason } in skipped {
        let (id, reason) = (escaped(scenario), escaped(reason));
        let _ = writeln!(
            out,
            "  <testsuite name=\"{id}\" tests=\"1\" skipped=\"1\">\n    <testcase \
             classname=\"{id}\" name=\"runs to its end\"><skipped message=\"{reason}\"/>\
             </testcase>\n  </testsuite>"
        );
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, result: &RunResult) {
    let cases = cases(result);
    let failed = cases.iter().filter(|(_, failure)| failure.is_some()).count();
    let (id, seconds) = (escaped(&result.scenario.id), result.measured_seconds);
    let _ = writeln!(
        out,
        "  <testsuite name=\"{id}\" tests=\"{}\" failures=\"{failed}\" time=\"{seconds:.3}\">",
        cases.len()
    );
    for (name, failure) in cases {
        let name = escaped(&name);
        match failure {
            None => {
                let _ = writeln!(out, "    <testcase classname=\"{id}\" name=\"{name}\"/>");
            }
            Some(failure) => {
                let failure = escaped(&failure);
                let _ = writeln!(
                    out,
                    "    <testcase classname=\"{id}\" name=\"{name}\"><failure \
                     message=\"{failure}\"/></testcase>"
                );
            }
        }
    }
    out.push_str("  </testsuite>\n");
}

/// What is judged, and why it failed if it did.
fn cases(result: &RunResult) -> Vec<(String, Option<String>)> {
    let ended = (!result.is_complete).then(|| "it was interrupted".to_owned());
    let mut cases = vec![("runs to its end".to_owned(), ended)];
    if let Some(found) = &result.verification {
        let failure = (!found.is_sound()).then(|| found.breaches());
        cases.push(("keeps every message once and in order".to_owned(), failure));
    }
    for demand in &result.thresholds {
        let found =
            demand.found.map_or("no such requests".to_owned(), |found| format!("found {found:.3}"));
        cases.push((demand.threshold.clone(), (!demand.is_met).then_some(found)));
    }
    cases
}

/// Text as it stands in XML.
pub(crate) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}
