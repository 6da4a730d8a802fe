//! Who an actor is, and which names may be used.

use std::{fmt, sync::Arc};

/// The longest id, in characters.
pub const ID_LENGTH_MAX: usize = 128;

/// The identity of an actor: it always exists, whether or not it is active.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId {
    /// What sort of actor it is.
    pub kind: &'static str,
    /// Which one of them.
    pub key: Arc<str>,
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// It is empty or too long.
    #[error("an id must have 1 to {ID_LENGTH_MAX} characters, not {0}")]
    Length(usize),
    /// It holds a character that ids do not have.
    #[error("an id may have the characters A-Z a-z 0-9 . _ : - and not {0:?}")]
    Character(char),
    /// Its dots could be taken for a path.
    #[error("an id must not begin or end with a dot, nor have two dots in a row")]
    Dots,
}

/// Checks an id: 1 to 128 characters of `A–Z a–z 0–9 . _ : -`, no `..`, no dot at either end.
///
/// # Errors
/// [`InvalidId`] names the rule that is broken.
pub fn check_id(id: &str) -> Result<(), InvalidId> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    if let Some(stranger) = id.chars().find(|&c| !is_allowed(c)) {
        return Err(InvalidId::Character(stranger));
    }
    if id.is_empty() || id.len() > ID_LENGTH_MAX {
        return Err(InvalidId::Length(id.len()));
    }
    if id.starts_with('.') || id.ends_with('.') || id.contains("..") {
        return Err(InvalidId::Dots);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_accepted_up_to_its_bounds() {
        for id in ["a", "tenant-7.orders", "A:b_c-9", "x".repeat(128).as_str()] {
            assert_eq!(check_id(id), Ok(()), "{id}");
        }
    }

    #[test]
    fn an_id_past_a_bound_is_refused_with_the_rule() {
        assert_eq!(check_id(""), Err(InvalidId::Length(0)));
        assert_eq!(check_id(&"x".repeat(129)), Err(InvalidId::Length(129)));
        assert_eq!(check_id("a/b"), Err(InvalidId::Character('/')));
        assert_eq!(check_id("é"), Err(InvalidId::Character('é')));
        assert_eq!(check_id("a\0"), Err(InvalidId::Character('\0')));
        for id in [".a", "a.", "a..b", "."] {
            assert_eq!(check_id(id), Err(InvalidId::Dots), "{id}");
        }
    }
}
