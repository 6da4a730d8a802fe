//! `--max`: the highest rate that still meets the thresholds.

use crate::{
    cli::{
        command::loadtest::{Crew, demanded, exit_code, judge, report_writer::ReportWriter, show},
        exit::{CommandFailure, DONE, MISSED},
        output::{Output, unless_closed},
    },
    loadtest::{
        plan::{
            scenario::Scenario,
            threshold::{BASELINE, Threshold},
        },
        record::result::RunResult,
    },
};

/// The search ends when the rate that is met and the one that is not are this near.
const NEAR: f64 = 1.1;

/// Rates are not raised beyond so many times the scenario's own.
const SCALE_MAX: f64 = 1e6;

/// Doubles the rates until a threshold is missed, then halves the distance.
pub(crate) fn run(
    crew: &mut Crew<'_>,
    scenarios: Vec<Scenario>,
    keeper: &mut ReportWriter,
) -> Result<u8, CommandFailure> {
    let mut thresholds = demanded(crew.args);
    if thresholds.is_empty() {
        thresholds = BASELINE.iter().filter_map(|text| text.parse().ok()).collect();
    }
    let mut is_all_met = true;
    for scenario in scenarios {
        let mut search = Search { crew: &mut *crew, thresholds: &thresholds };
        let Some(best) = search.best(&scenario, keeper)? else {
            is_all_met = false;
            continue;
        };
        let mut output = Output::new();
        let rate = scenario.shape.mean() * best;
        output.line(format!(
            "{}: the thresholds are met up to {rate:.0} requests a second (--scale {best:.2})",
            scenario.id
        ))?;
        output.flush()?;
    }
    // The search goes on until a threshold is missed: only that none is met at all is one.
    let code = exit_code(crew.args, keeper, crew.interrupt.is_raised());
    Ok(match (code, is_all_met) {
        (MISSED, true) => DONE,
        (DONE, false) => MISSED,
        (code, _) => code,
    })
}

struct Search<'a, 'c> {
    crew: &'a mut Crew<'c>,
    thresholds: &'a [Threshold],
}

impl Search<'_, '_> {
    /// The highest multiple of the scenario's rates that is met, if any is.
    fn best(
        &mut self,
        scenario: &Scenario,
        keeper: &mut ReportWriter,
    ) -> Result<Option<f64>, CommandFailure> {
        let (mut met, mut missed) = (None, None);
        let mut scale = self.crew.args.load.scale;
        while !self.crew.interrupt.is_raised() && scale <= SCALE_MAX {
            if self.is_met(scenario, scale, keeper)? {
                met = Some(scale);
            } else {
                missed = Some(scale);
            }
            scale = match (met, missed) {
                (Some(met), Some(missed)) if missed / met <= NEAR => break,
                (Some(met), Some(missed)) => f64::sqrt(met * missed),
                (Some(met), None) => met * 2.0,
                (None, _) => break,
            };
        }
        Ok(met)
    }

    fn is_met(
        &mut self,
        scenario: &Scenario,
        scale: f64,
        keeper: &mut ReportWriter,
    ) -> Result<bool, CommandFailure> {
        let mut result = match self.crew.run(scenario.clone(), scale, keeper)? {
            Ok(result) => result,
            Err(skipped) => {
                keeper.skip(skipped)?;
                return Ok(false);
            }
        };
        judge(&mut result, self.thresholds);
        unless_closed(show(&result))?;
        let is_met = is_kept_up(&result) && result.thresholds.iter().all(|demand| demand.is_met);
        keeper.keep(result)?;
        Ok(is_met)
    }
}

/// Whether as many requests were answered as were intended: an open queue hides nothing.
fn is_kept_up(result: &RunResult) -> bool {
    let sound = result.verification.as_ref().is_none_or(|found| found.is_sound());
    sound && result.delayed == 0
}
