//! How urgent a message is.

use std::{fmt, str::FromStr};

/// The class of a message: the first is the most urgent, and classes leave in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What keeps the receiver working: always taken, within a bound of its own.
    Control,
    /// What must not be missed as long as there is anything else to give up.
    Critical,
    /// What is wanted.
    Important,
    /// What is sent in quantity: the first to give way, and never at the cost of others.
    Bulk,
}

/// How many classes there are.
pub(crate) const CLASS_COUNT: usize = Class::ALL.len();

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Control, Self::Critical, Self::Important, Self::Bulk];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Critical => "critical",
            Self::Important => "important",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("class must be control, critical, important or bulk, not {0:?}")]
pub struct InvalidClass(String);

impl FromStr for Class {
    type Err = InvalidClass;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|class| class.as_str() == word);
        named.ok_or_else(|| InvalidClass(word.chars().take(32).collect()))
    }
}

/// One number for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerClass<T>([T; CLASS_COUNT]);

impl<T> PerClass<T> {
    /// The number of a class.
    pub fn of(&self, class: Class) -> &T {
        &self.0[class as usize]
    }

    /// The number of a class, to be changed.
    pub(crate) fn of_mut(&mut self, class: Class) -> &mut T {
        &mut self.0[class as usize]
    }
}

impl PerClass<u64> {
    /// All classes together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}
