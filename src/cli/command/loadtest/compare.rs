//! `lanekeeper compare`: whether new results are worse than a base.

use std::{fs, io, path::PathBuf};

use crate::{
    cli::{
        args,
        exit::{CommandFailure, DONE, REGRESSION},
        output::{Output, unless_closed},
    },
    loadtest::report::compare::{self, Comparison, Side},
};

/// Compares the files of both sides.
pub(crate) fn run(args: &args::loadtest::Compare) -> Result<u8, CommandFailure> {
    let band = args.band.as_deref().map(percent).transpose()?;
    let (base, new) = (side(&args.base)?, side(&args.new)?);
    let compared = compare::compare(&base, &new, band)
        .map_err(|reason| CommandFailure::usage(format!("not comparable: {reason}")))?;
    unless_closed(print(&compared, args.json))?;
    Ok(if compared.is_regression() { REGRESSION } else { DONE })
}

fn print(compared: &Comparison, is_json: bool) -> io::Result<()> {
    let mut output = Output::new();
    if is_json {
        output.json(compared)?;
    } else {
        output.line(compared.to_string().trim_end())?;
    }
    output.flush()
}

fn side(paths: &[PathBuf]) -> Result<Side, CommandFailure> {
    let mut side = Side::default();
    for path in paths {
        let text = fs::read_to_string(path)
            .map_err(|error| CommandFailure::failed(format!("{}: {error}", path.display())))?;
        side.add(&text)
            .map_err(|reason| CommandFailure::usage(format!("{}: {reason}", path.display())))?;
    }
    Ok(side)
}

/// `10%` as a part.
fn percent(text: &str) -> Result<f64, CommandFailure> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let number = number.filter(|number| (0.0..=1_000.0).contains(number));
    let wrong = || CommandFailure::usage(format!("--band must be from 0% to 1000%, not {text:?}"));
    number.map(|number| number / 100.0).ok_or_else(wrong)
}
