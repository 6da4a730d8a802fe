//! Whether a new result is worse than a base, beyond what repeated runs differ by anyway.
//!
//! Which requests a run sends is drawn: of a short one perhaps 60 pushes and 40 pops, of the next
//! 45 and 55. So latencies and errors are judged by kind of request, and the rate of all together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use serde::Serialize;

use crate::loadtest::{
    plan::{run_plan::Model, scenario::Scenario},
    record::result::{FORMAT, Figures, ResultFile, RunResult},
    report::{
        locust::{self, AGGREGATED},
        sampling::{Sample, is_another_share},
    },
};

/// By how much figures may differ if there are no repeated runs to learn it from.
pub(crate) const BAND_ALONE: f64 = 0.30;

/// By how much they may differ however steady the repeated runs were.
pub(crate) const BAND_MIN: f64 = 0.05;

/// Times that differ by less than this, in milliseconds, differ by chance.
const MILLIS_MIN: f64 = 0.05;

/// Failures among a hundred that may come and go.
const ERRORS_MIN: f64 = 0.1;

/// Percentiles that are compared, as they are called and as parts of one.
const PERCENTILES: [(&str, f64); 3] = [("p50 ms", 0.50), ("p95 ms", 0.95), ("p99 ms", 0.99)];

/// All requests of a scenario together.
const ALL: &str = "all requests";

/// One kind of request on one side.
#[derive(Clone, Debug, Default)]
struct Observed {
    /// Of each run, in the order of [`PERCENTILES`].
    percentiles: Vec<[f64; PERCENTILES.len()]>,
    /// The part that failed, of each run, in percent.
    errors: Vec<f64>,
    sample: Sample,
}

/// A scenario on one side.
#[derive(Debug, Default)]
struct Observations {
    by_name: BTreeMap<String, Observed>,
    /// Requests a second that succeeded, of each run.
    rates: Vec<f64>,
}

impl Observations {
    fn requests(&self) -> f64 {
        self.by_name.values().map(|observed| observed.sample.requests).sum()
    }
}

/// Runs of one side.
#[derive(Debug, Default)]
pub(crate) struct Side {
    observed: BTreeMap<String, Observations>,
    /// What must be the same on both sides, by scenario.
    conditions: BTreeMap<String, BTreeSet<String>>,
}

/// One figure on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ComparedRow {
    /// The scenario; empty for a file that does not say.
    pub(crate) scenario: String,
    /// The kind of request.
    pub(crate) name: String,
    /// The figure.
    pub(crate) metric: &'static str,
    /// Its median on the base side.
    pub(crate) base: f64,
    /// Its median on the new side.
    pub(crate) new: f64,
    /// New to base.
    pub(crate) ratio: f64,
    /// By how much of the base it may differ.
    pub(crate) band: f64,
    /// Whether it is worse beyond that.
    pub(crate) is_worse: bool,
    /// Why it is not judged, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unjudged: Option<&'static str>,
}

/// Everything that was compared.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// Figure by figure.
    pub(crate) lines: Vec<ComparedRow>,
    /// What a reader must know of it.
    pub(crate) notes: Vec<String>,
    /// Runs of base and new that the bands come from, at least.
    pub(crate) runs: (usize, usize),
}

impl Side {
    /// Adds the runs of a file: results of this program, or a `_stats.csv` as Locust writes it.
    ///
    /// # Errors
    /// When it is neither, or a result was not run to its end or not sound.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        if text.trim_start().starts_with('{') { self.add_results(text) } else { self.add_csv(text) }
    }

    fn add_results(&mut self, text: &str) -> Result<(), String> {
        for result in &read(text)?.results {
            let id = result.scenario.id.clone();
            if !result.is_complete {
                return Err(format!("{id} was interrupted: its figures are of a part"));
            }
            let conditions = self.conditions.entry(id.clone()).or_default();
            conditions.insert(conditions_of(result));
            let observations = self.observed.entry(id.clone()).or_default();
            for (name, count) in &result.requests {
                let Figures { requests, failures, p50, p95, p99, .. } = Figures::from(count);
                let observed = observations.by_name.entry(name.clone()).or_default();
                observed.percentiles.push([p50, p95, p99]);
                observed.errors.push(failures as f64 * 100.0 / requests.max(1) as f64);
                observed.sample.add(count);
            }
            let total = result.total();
            observations.rates.push(result.per_second(total.requests - total.failures));
        }
        Ok(())
    }

    fn add_csv(&mut self, text: &str) -> Result<(), String> {
        self.conditions.entry(String::new()).or_default().insert("a _stats.csv".to_owned());
        let observations = self.observed.entry(String::new()).or_default();
        let rows = locust::read(text)?;
        let is_by_kind = rows.iter().any(|(name, _)| name != AGGREGATED);
        for (name, row) in rows {
            let of = |column: &str| {
                let field = row.get(column).map(|field| field.trim().replace("N/A", "0"));
                let number = field.and_then(|field| field.parse::<f64>().ok());
                number.ok_or_else(|| format!("{name}: {column} is no number"))
            };
            let (requests, failures) = (of("Request Count")?, of("Failure Count")?);
            if name == AGGREGATED {
                let part = 1.0 - failures / requests.max(1.0);
                observations.rates.push(of("Requests/s")? * part);
            }
            // Of all kinds together, latencies are those of the mix that was drawn.
            if name != AGGREGATED || !is_by_kind {
                let observed = observations.by_name.entry(name.clone()).or_default();
                observed.percentiles.push([of("50%")?, of("95%")?, of("99%")?]);
                observed.errors.push(failures * 100.0 / requests.max(1.0));
                observed.sample.add_counts(requests, failures);
            }
        }
        Ok(())
    }
}

/// Reads a file of results.
///
/// # Errors
/// When it is none, or of a newer format.
pub(crate) fn read(text: &str) -> Result<ResultFile, String> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let wrong = |error: serde_json::Error| format!("no results of a load test: {error}");
    let found = serde_json::from_str::<Format>(text).map_err(wrong)?.format;
    if found != FORMAT {
        return Err(format!("results of format {found}; this program reads format {FORMAT}"));
    }
    serde_json::from_str(text).map_err(wrong)
}

/// What two results must share for their figures to mean the same.
fn conditions_of(result: &RunResult) -> String {
    let model = match result.model {
        Model::Open { scale } => format!("open model × {scale}"),
        Model::Closed { users, wait_ms, .. } => format!("{users} users waiting {wait_ms:?} ms"),
    };
    let environment = &result.environment;
    let server = match &environment.durability {
        Some(durability) => format!("own {durability} server"),
        None => "a given server".to_owned(),
    };
    let asked = Scenario { title: String::new(), ..result.scenario.clone() };
    let asked = serde_json::to_string(&asked).unwrap_or_default();
    let seconds = result.planned_seconds;
    let (processors, system) = (environment.processors, &environment.system);
    let (threads, connections) = (environment.threads, environment.connections);
    format!(
        "{seconds} s of {asked}, {model}, {server}, {processors} processors of {system}, \
         {threads} threads, {connections} connections"
    )
}

/// Compares what both sides have.
///
/// # Errors
/// When the two cannot be compared: nothing in common, or run under different conditions.
pub(crate) fn compare(base: &Side, new: &Side, band: Option<f64>) -> Result<Comparison, String> {
    for (scenario, conditions) in &base.conditions {
        let Some(others) = new.conditions.get(scenario) else { continue };
        let all: Vec<_> = conditions.union(others).cloned().collect();
        if all.len() > 1 {
            let differences = all.join("\n  ");
            return Err(format!("{scenario} was not run alike:\n  {differences}"));
        }
    }
    let (mut lines, mut notes, mut runs) = (Vec::new(), Vec::new(), (usize::MAX, usize::MAX));
    for (scenario, base) in &base.observed {
        let Some(new) = new.observed.get(scenario) else { continue };
        let judged = ScenarioComparison { scenario, base, new, band };
        let of_kinds = judged.kinds();
        if of_kinds.is_empty() {
            continue;
        }
        runs = (runs.0.min(base.rates.len()), runs.1.min(new.rates.len()));
        lines.extend(of_kinds);
        let mix = judged.mix();
        lines.extend(judged.rate(mix.is_some()));
        notes.extend(mix);
    }
    if lines.is_empty() {
        return Err("the two have no scenario and kind of request in common".to_owned());
    }
    Ok(Comparison { lines, notes, runs })
}

/// One scenario on both sides.
struct ScenarioComparison<'a> {
    scenario: &'a str,
    base: &'a Observations,
    new: &'a Observations,
    band: Option<f64>,
}

impl ScenarioComparison<'_> {
    /// Latencies and errors of the kinds of request that both sides have.
    fn kinds(&self) -> Vec<ComparedRow> {
        let mut lines = Vec::new();
        for (name, base) in &self.base.by_name {
            let Some(new) = self.new.by_name.get(name) else { continue };
            for (place, (metric, part)) in PERCENTILES.into_iter().enumerate() {
                let of = |observed: &Observed| -> Vec<f64> {
                    observed.percentiles.iter().map(|figures| figures[place]).collect()
                };
                let mut line = self.line((name, metric), (&of(base), &of(new)), MILLIS_MIN);
                let is_enough = base.sample.is_enough_for(part) && new.sample.is_enough_for(part);
                line.is_worse &= is_enough && new.sample.is_slower(&base.sample, part);
                line.unjudged = (!is_enough).then_some("too few requests");
                lines.push(line);
            }
            let mut line = self.line((name, "errors %"), (&base.errors, &new.errors), ERRORS_MIN);
            line.is_worse &= new.sample.fails_more(&base.sample);
            lines.push(line);
        }
        lines
    }

    /// The rate of all requests: that of a kind is what was drawn.
    fn rate(&self, is_another_mix: bool) -> Option<ComparedRow> {
        let (base, new) = (&self.base.rates, &self.new.rates);
        if base.is_empty() || new.is_empty() {
            return None;
        }
        let mut line = self.line((ALL, "rate /s"), (base, new), 0.0);
        line.is_worse = !is_another_mix && line.new < line.base * (1.0 - line.band);
        line.unjudged = is_another_mix.then_some("another mix");
        Some(line)
    }

    /// Says so if the requests of both sides are mixed otherwise than chance explains.
    fn mix(&self) -> Option<String> {
        let (base, new) = (self.base.requests(), self.new.requests());
        let names: BTreeSet<_> = self.base.by_name.keys().chain(self.new.by_name.keys()).collect();
        let count = |side: &Observations, name: &str| {
            side.by_name.get(name).map_or(0.0, |observed| observed.sample.requests)
        };
        let changed = |name: &&&String| {
            let parts = (count(self.base, name), count(self.new, name));
            is_another_share((parts.0, base), (parts.1, new))
        };
        let share = |name: &&String| {
            let percent = |part: f64, whole: f64| part * 100.0 / whole.max(1.0);
            let (base, new) =
                (percent(count(self.base, name), base), percent(count(self.new, name), new));
            format!("{name} {base:.1} % and {new:.1} %")
        };
        let changed: Vec<_> = names.iter().filter(changed).map(share).collect();
        (!changed.is_empty()).then(|| {
            let (scenario, changed) = (self.scenario, changed.join(", "));
            format!(
                "{scenario}: the requests of both sides are mixed otherwise than chance explains \
                 ({changed}): the rate of all together is not judged"
            )
        })
    }

    /// A figure on both sides; worse where it is higher.
    fn line(
        &self,
        (name, metric): (&str, &'static str),
        (base, new): (&[f64], &[f64]),
        slack: f64,
    ) -> ComparedRow {
        let learned = if base.len() > 1 || new.len() > 1 {
            spread(base).max(spread(new)).max(BAND_MIN)
        } else {
            BAND_ALONE
        };
        let (scenario, name) = (self.scenario.to_owned(), name.to_owned());
        let (base, new, band) = (median(base), median(new), self.band.unwrap_or(learned));
        let ratio = if base == new { 1.0 } else { new / base };
        let is_worse = new > base * (1.0 + band) + slack;
        ComparedRow { scenario, name, metric, base, new, ratio, band, is_worse, unjudged: None }
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        f64::midpoint(figures[middle - 1], figures[middle])
    }
}

/// How far the runs of one side are apart, as a part of their median.
fn spread(figures: &[f64]) -> f64 {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let middle = median(figures);
    if middle > 0.0 { (most - least) / middle } else { 0.0 }
}

impl Comparison {
    /// Whether anything is worse.
    pub(crate) fn is_regression(&self) -> bool {
        self.lines.iter().any(|line| line.is_worse)
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<6} {:<18} {:<9} {:>12} {:>12} {:>7} {:>7}",
            "", "", "", "base", "new", "ratio", "band"
        )?;
        for line in &self.lines {
            let ComparedRow { scenario, name, metric, base, new, ratio, band, .. } = line;
            let verdict = match line.unjudged {
                _ if line.is_worse => "  WORSE".to_owned(),
                Some(reason) => format!("  not judged: {reason}"),
                None => String::new(),
            };
            let band = band * 100.0;
            writeln!(
                f,
                "{scenario:<6} {name:<18} {metric:<9} {base:>12.3} {new:>12.3} {ratio:>7.2} \
                 {band:>6.0}%{verdict}"
            )?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        if self.runs.0 < 2 || self.runs.1 < 2 {
            let (base, new) = self.runs;
            writeln!(
                f,
                "{base} base and {new} new runs: with `--repeat 5` on both sides the band is what \
                 the runs differ by"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pushes: u64, p95: f64, rate: f64) -> String {
        let (pops, push_rate) = (100 - pushes.min(100), rate * pushes as f64 / 100.0);
        let pop_rate = rate - push_rate;
        format!(
            "Type,Name,Request Count,Failure Count,Requests/s,50%,95%,99%\n\
             POST,/push,{pushes},0,{push_rate},5,{p95},20\nPOST,/pop,{pops},0,{pop_rate},1,2,3\n\
             ,Aggregated,100,0,{rate},5,{p95},20\n"
        )
    }

    fn csv(p95: f64, rate: f64) -> Side {
        let mut side = Side::default();
        side.add(&text(100, p95, rate)).unwrap();
        side
    }

    #[test]
    fn the_mix_that_was_drawn_is_not_judged() {
        let at = |pushes, rate| {
            let mut side = Side::default();
            side.add(&text(pushes, 10.0, rate)).unwrap();
            side
        };
        let side = |pushes| at(pushes, 50.0);
        // Of the same scenario, by chance: the rate of pushes is a third lower.
        let compared = compare(&side(60), &side(40), None).unwrap();
        assert!(!compared.is_regression() && compared.notes.is_empty(), "{compared}");
        let compared = compare(&side(80), &side(40), None).unwrap();
        assert!(compared.notes[0].contains("/push 80.0 % and 40.0 %"), "{compared}");
        assert!(compared.to_string().contains("not judged: another mix"), "{compared}");
        let slow = |pushes| compare(&side(80), &at(pushes, 20.0), None).unwrap().is_regression();
        assert!(slow(80) && !slow(40), "how slow all together are says nothing of another mix");
    }

    #[test]
    fn a_percentile_of_few_requests_is_shown_and_not_judged() {
        let side = |pushes, p95| {
            let mut side = Side::default();
            side.add(&text(pushes, p95, 50.0)).unwrap();
            side
        };
        let compared = compare(&side(50, 10.0), &side(50, 99.0), None).unwrap();
        assert!(!compared.is_regression(), "two or three requests say nothing: {compared}");
        assert!(compared.to_string().contains("not judged: too few requests"), "{compared}");
    }

    #[test]
    fn what_is_worse_beyond_the_band_is_a_regression() {
        let compared = compare(&csv(10.0, 50.0), &csv(12.0, 50.0), None).unwrap();
        assert!(!compared.is_regression(), "{compared}");
        let compared = compare(&csv(10.0, 50.0), &csv(14.0, 50.0), None).unwrap();
        assert!(compared.is_regression(), "{compared}");
        let compared = compare(&csv(10.0, 50.0), &csv(10.0, 30.0), None).unwrap();
        assert!(compared.is_regression(), "{compared}");
        assert!(!compare(&csv(14.0, 30.0), &csv(10.0, 50.0), None).unwrap().is_regression());
    }

    #[test]
    fn repeated_runs_say_how_wide_the_band_is() {
        let runs = |figures: &[f64]| {
            let mut side = Side::default();
            for p95 in figures {
                side.add(&text(100, *p95, 50.0)).unwrap();
            }
            side
        };
        let steady = runs(&[10.0, 10.1, 10.2]);
        assert!(compare(&steady, &runs(&[11.0, 11.1, 11.0]), None).unwrap().is_regression());
        let noisy = runs(&[8.0, 10.0, 12.0]);
        assert!(!compare(&noisy, &runs(&[11.0, 11.1, 11.0]), None).unwrap().is_regression());
    }

    #[test]
    fn what_is_not_comparable_is_refused() {
        assert!(compare(&csv(1.0, 1.0), &Side::default(), None).is_err());
        let mut other = csv(1.0, 1.0);
        other.conditions.get_mut("").unwrap().insert("something else".to_owned());
        assert!(compare(&csv(1.0, 1.0), &other, None).unwrap_err().contains("not run alike"));
        assert!(read("{\"format\":99}").unwrap_err().contains("format 99"));
        assert!(Side::default().add("nonsense").is_err());
    }
}
