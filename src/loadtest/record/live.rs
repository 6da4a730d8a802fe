//! A run as it goes, in a few lines of a terminal.

use crate::loadtest::{
    plan::run_plan::{Model, Plan},
    record::{result::Second, timeline::Timeline},
};

const BAR: usize = 24;
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The lines that show a run now.
pub(crate) fn view(plan: &Plan, timeline: &Timeline) -> Vec<String> {
    let total = plan.duration.as_secs_f64();
    let done = (timeline.measured_seconds / total.max(1e-3)).clamp(0.0, 1.0);
    let filled = (done * BAR as f64) as usize;
    let bar: String = (0..BAR).map(|place| if place < filled { '█' } else { '·' }).collect();
    let passed = timeline.measured_seconds;
    let mut lines = vec![format!("{:<5} {bar} {passed:.0} of {total:.0} s", plan.scenario.id)];
    let Some(last) = timeline.seconds.last() else { return lines };
    let is_closed = matches!(plan.model, Model::Closed { .. });
    let who = if is_closed { "users" } else { "under way" };
    lines.push(figures(who, last));
    let all = &last.so_far;
    lines.push(format!(
        "{:<5} {:>9} requests {:>7} failed  p50 {:>8.3}  p95 {:>8.3}  p99 {:>8.3}  max {:>8.3} ms",
        "all", all.requests, all.failures, all.p50, all.p95, all.p99, all.max
    ));
    lines.push(format!(
        "rate  {}",
        sparkline(&timeline.seconds, |second| { second.total.requests as f64 })
    ));
    lines.push(format!("p99   {}", sparkline(&timeline.seconds, |second| second.total.p99)));
    lines
}

fn figures(who: &str, second: &Second) -> String {
    let total = &second.total;
    let errors = total.failures as f64 * 100.0 / total.requests.max(1) as f64;
    format!(
        "now   {:>9} per s   {errors:>6.2} % err  p50 {:>8.3}  p95 {:>8.3}  p99 {:>8.3}  max \
         {:>8.3} ms  {who} {}",
        total.requests, total.p50, total.p95, total.p99, total.max, second.users
    )
}

/// The last seconds as bars of eight heights.
fn sparkline(seconds: &[Second], of: impl Fn(&Second) -> f64) -> String {
    const WIDTH: usize = 60;
    let shown = &seconds[seconds.len().saturating_sub(WIDTH)..];
    let top = shown.iter().map(&of).fold(0.0, f64::max);
    let spark = |second: &Second| {
        let height = if top > 0.0 { of(second) / top * 7.0 } else { 0.0 };
        SPARKS[(height.round() as usize).min(7)]
    };
    shown.iter().map(spark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::loadtest::record::result::Figures;

    #[test]
    fn a_sparkline_rises_with_its_figures() {
        let seconds: Vec<Second> = [0, 5, 10]
            .into_iter()
            .map(|requests| Second {
                total: Figures { requests, ..Figures::default() },
                ..Second::default()
            })
            .collect();
        assert_eq!(sparkline(&seconds, |second| second.total.requests as f64), "▁▅█");
        assert_eq!(sparkline(&[], |_| 1.0), "");
    }
}
