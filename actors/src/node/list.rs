//! Lists of what a node knows by id, a page at a time.

use std::{fmt, future::IntoFuture};

use lanekeeper_storage::{Key, KeyRange, ScanLimit};

use crate::runtime::mailbox::BoxFuture;

/// Entries in one page at most, and when nothing else is said.
const LIMIT_MAX: usize = 1_000;
const LIMIT: usize = 100;

/// A list in the order of ids: await it for a page. Dropping its future is safe.
#[must_use = "nothing is listed before it is awaited"]
pub struct List<L> {
    pub(crate) listed: L,
    page: PageOptions,
}

impl<L> List<L> {
    /// The first page of everything.
    pub(crate) fn new(listed: L) -> Self {
        let page = PageOptions { prefix: String::new(), after: None, limit: LIMIT };
        Self { listed, page }
    }

    /// Only ids that begin so.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.page.prefix);
        self
    }

    /// Only ids behind this one.
    pub fn after(mut self, id: &str) -> Self {
        self.page.after = Some(id.to_owned());
        self
    }

    /// So many entries at most: 1 to 1,000, 100 by default.
    pub fn limit(mut self, limit: usize) -> Self {
        self.page.limit = limit;
        self
    }
}

/// What can be listed.
pub trait Listed: Send + 'static {
    /// A page of it.
    type Found;
    /// Why there is none.
    type Error;

    /// A page of `limit` entries was asked for, which is none or more than `limit_max`.
    fn invalid_limit(limit: usize, limit_max: usize) -> Self::Error;

    /// Reads a page whose limit is within its bounds.
    fn read(
        self,
        page: PageOptions,
    ) -> impl Future<Output = Result<Self::Found, Self::Error>> + Send;
}

/// Which entries are wanted.
#[derive(Clone, Debug)]
pub struct PageOptions {
    pub(crate) prefix: String,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

impl PageOptions {
    /// Where to read, of the range with a prefix: behind the key of an id.
    pub(crate) fn range(
        &self,
        with: impl Fn(&str) -> KeyRange,
        of: impl Fn(&str) -> Key,
    ) -> KeyRange {
        let range = with(&self.prefix);
        match &self.after {
            Some(after) => range.after(&of(after)),
            None => range,
        }
    }

    /// How much to read: one more than is wanted says whether there is another page.
    pub(crate) fn scan_limit(&self) -> ScanLimit {
        ScanLimit::count(self.limit + 1)
    }

    /// Takes away what is too much of what was read; answers what the next page comes after, if
    /// there is one.
    pub(crate) fn cut<T>(&self, found: &mut Vec<T>, id: impl Fn(&T) -> &str) -> Option<String> {
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        found.last().filter(|_| has_more).map(|last| id(last).to_owned())
    }
}

impl<L: Listed> IntoFuture for List<L> {
    type Output = Result<L::Found, L::Error>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { listed, page } = self;
        Box::pin(async move {
            match page.limit {
                1..=LIMIT_MAX => listed.read(page).await,
                limit => Err(L::invalid_limit(limit, LIMIT_MAX)),
            }
        })
    }
}

impl<L> fmt::Debug for List<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("List").field(&self.page).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(limit: usize, found: &[&str]) -> (Vec<String>, Option<String>) {
        let page = PageOptions { prefix: String::new(), after: None, limit };
        let mut found: Vec<_> = found.iter().map(|&id| id.to_owned()).collect();
        let next = page.cut(&mut found, |id| id);
        (found, next)
    }

    #[test]
    fn a_page_that_is_followed_by_another_names_its_last_entry() {
        assert_eq!(cut(2, &["a", "b", "c"]), (vec!["a".into(), "b".into()], Some("b".into())));
        assert_eq!(cut(2, &["a", "b"]), (vec!["a".into(), "b".into()], None));
        assert_eq!(cut(2, &[]), (Vec::new(), None));
    }
}
