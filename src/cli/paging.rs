//! Lists that are longer than a page.

use crate::cli::exit::CommandFailure;

/// Entries asked for at a time.
const PAGE_MAX: usize = 1_000;

/// What was listed, and what more comes after, if there is more.
type Listed<T> = (Vec<T>, Option<String>);

/// Gathers as many entries as are wanted, page by page, each asked for by what it comes after and
/// how long it may be.
pub(crate) fn gather<T>(
    limit: Option<usize>,
    after: Option<String>,
    mut ask: impl FnMut(Option<&str>, usize) -> Result<Listed<T>, CommandFailure>,
) -> Result<Listed<T>, CommandFailure> {
    if limit == Some(0) {
        return Err(CommandFailure::usage("--limit must be 1 or more"));
    }
    let limit = limit.unwrap_or(usize::MAX);
    let (mut gathered, mut next) = (Vec::new(), after);
    loop {
        let wanted = (limit - gathered.len()).min(PAGE_MAX);
        let (page, following) = ask(next.as_deref(), wanted)?;
        gathered.extend(page);
        next = following;
        if next.is_none() || gathered.len() >= limit {
            return Ok((gathered, next));
        }
    }
}
