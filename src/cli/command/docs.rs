//! `lanekeeper docs`: the guides, on a terminal.

use lanekeeper::docs::{GUIDES, Guide};

use crate::cli::{
    args,
    exit::{CommandFailure, DONE},
    output::Output,
};

/// Prints one guide, or the list of all.
pub(crate) fn run(args: &args::Docs) -> Result<u8, CommandFailure> {
    let mut output = Output::new();
    match &args.topic {
        None => {
            for Guide { name, title, .. } in GUIDES {
                output.line(format!("{name:<12}{title}"))?;
            }
        }
        Some(topic) => output.line(find(topic)?.text.trim_end())?,
    }
    output.flush()?;
    Ok(DONE)
}

fn find(topic: &str) -> Result<&'static Guide, CommandFailure> {
    GUIDES.iter().find(|guide| guide.name == topic).ok_or_else(|| {
        let names: Vec<_> = GUIDES.iter().map(|guide| guide.name).collect();
        CommandFailure::usage(format!(
            "there is no guide {topic:?}; there are: {}",
            names.join(", ")
        ))
    })
}
