//! Whether a new result is worse than a base, beyond what repeated runs differ by anyway.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use serde::Serialize;

use super::{
    locust,
    plan::Model,
    result::{FORMAT, Figures, ResultFile, RunResult},
    scenario::Scenario,
};

/// By how much figures may differ if there are no repeated runs to learn it from.
pub(crate) const BAND_ALONE: f64 = 0.30;

/// By how much they may differ however steady the repeated runs were.
pub(crate) const BAND_MIN: f64 = 0.05;

/// Times below this, in milliseconds, differ by chance.
const MILLIS_MIN: f64 = 0.05;

/// What is compared, and whether more is better.
const METRICS: [(&str, bool); 5] = [
    ("p50 ms", false),
    ("p95 ms", false),
    ("p99 ms", false),
    ("rate /s", true),
    ("errors %", false),
];

/// The figures of one run for one kind of request, in the order of [`METRICS`].
type Observed = [f64; METRICS.len()];

/// Runs of one side, by scenario and name of request.
#[derive(Debug, Default)]
pub(crate) struct Side {
    observed: BTreeMap<(String, String), Vec<Observed>>,
    /// What must be the same on both sides, by scenario.
    conditions: BTreeMap<String, BTreeSet<String>>,
}

/// One figure on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Line {
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
}

/// Everything that was compared.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// Figure by figure.
    pub(crate) lines: Vec<Line>,
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
            for (name, count) in &result.requests {
                let Figures { requests, failures, p50, p95, p99, .. } = Figures::from(count);
                let errors = failures as f64 * 100.0 / requests.max(1) as f64;
                let rate = result.per_second(requests - failures);
                let runs = self.observed.entry((id.clone(), name.clone())).or_default();
                runs.push([p50, p95, p99, rate, errors]);
            }
        }
        Ok(())
    }

    fn add_csv(&mut self, text: &str) -> Result<(), String> {
        self.conditions.entry(String::new()).or_default().insert("a _stats.csv".to_owned());
        for (name, row) in locust::read(text)? {
            let of = |column: &str| {
                let field = row.get(column).map(|field| field.trim().replace("N/A", "0"));
                let number = field.and_then(|field| field.parse::<f64>().ok());
                number.ok_or_else(|| format!("{name}: {column} is no number"))
            };
            let (requests, failures) = (of("Request Count")?, of("Failure Count")?);
            let part = 1.0 - failures / requests.max(1.0);
            let rate = of("Requests/s")? * part;
            let observed =
                [of("50%")?, of("95%")?, of("99%")?, rate, failures * 100.0 / requests.max(1.0)];
            self.observed.entry((String::new(), name.clone())).or_default().push(observed);
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
    let (mut lines, mut runs) = (Vec::new(), (usize::MAX, usize::MAX));
    for (key, base) in &base.observed {
        let Some(new) = new.observed.get(key) else { continue };
        runs = (runs.0.min(base.len()), runs.1.min(new.len()));
        for (place, (metric, is_more_better)) in METRICS.into_iter().enumerate() {
            let base: Vec<f64> = base.iter().map(|observed| observed[place]).collect();
            let new: Vec<f64> = new.iter().map(|observed| observed[place]).collect();
            lines.push(line(key, metric, is_more_better, (&base, &new, band)));
        }
    }
    if lines.is_empty() {
        return Err("the two have no scenario and kind of request in common".to_owned());
    }
    Ok(Comparison { lines, runs })
}

fn line(
    key: &(String, String),
    metric: &'static str,
    is_more_better: bool,
    (base, new, band): (&[f64], &[f64], Option<f64>),
) -> Line {
    let (base_median, new_median) = (median(base), median(new));
    let learned = if base.len() > 1 || new.len() > 1 {
        spread(base).max(spread(new)).max(BAND_MIN)
    } else {
        BAND_ALONE
    };
    let band = band.unwrap_or(learned);
    let ratio = if base_median == new_median { 1.0 } else { new_median / base_median };
    let slack = match metric {
        "errors %" => 0.1,
        "rate /s" => 0.0,
        _ => MILLIS_MIN,
    };
    let is_worse = if is_more_better {
        new_median < base_median * (1.0 - band) - slack
    } else {
        new_median > base_median * (1.0 + band) + slack
    };
    let (scenario, name) = key.clone();
    Line { scenario, name, metric, base: base_median, new: new_median, ratio, band, is_worse }
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
            let Line { scenario, name, metric, base, new, ratio, band, is_worse } = line;
            let verdict = if *is_worse { "  WORSE" } else { "" };
            let band = band * 100.0;
            writeln!(
                f,
                "{scenario:<6} {name:<18} {metric:<9} {base:>12.3} {new:>12.3} {ratio:>7.2} \
                 {band:>6.0}%{verdict}"
            )?;
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

    fn csv(p95: f64, rate: f64) -> Side {
        let mut side = Side::default();
        let text = format!(
            "Type,Name,Request Count,Failure Count,Requests/s,50%,95%,99%\nPOST,/push,100,0,{rate},\
             5,{p95},20\n,Aggregated,100,0,{rate},5,{p95},20\n"
        );
        side.add(&text).unwrap();
        side
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
                for (key, observed) in csv(*p95, 50.0).observed {
                    side.observed.entry(key).or_default().extend(observed);
                }
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
