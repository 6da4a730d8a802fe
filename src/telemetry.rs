//! Logs: to stderr, as text or as JSON, filtered by `RUST_LOG`.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::{cli::exit::CommandFailure, config::settings::LogFormat};

/// What is logged unless `RUST_LOG` says otherwise.
const FILTER: &str = "info,actix_server=warn,actix_http=off";

/// Begins to log.
///
/// # Errors
/// If `RUST_LOG` is no filter.
pub(crate) fn start(format: LogFormat) -> Result<(), CommandFailure> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text)
            .map_err(|error| CommandFailure::usage(format!("RUST_LOG: {error}")))?,
        _ => EnvFilter::new(FILTER),
    };
    let logs = tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_env_filter(filter);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}
