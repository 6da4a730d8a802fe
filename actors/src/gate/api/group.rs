//! What an owner is counted against besides the gate itself.

use crate::{
    actor::id::check_id,
    gate::api::{error::GateError, policy::GROUP_NAMES_MAX},
};

/// The longest value, in characters.
const VALUE_LENGTH_MAX: usize = 128;

/// Names and values, ordered by name: such as `tenant` and `acme`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Group(Box<[(Box<str>, Box<str>)]>);

impl Group {
    /// Takes names and values that keep the rules: at most 8 names, each an id and given once, with
    /// values of 1 to 128 characters, none of them a control character.
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Result<Self, GateError> {
        let refuse = |reason: String| Err(GateError::InvalidGroup { reason });
        if pairs.len() > GROUP_NAMES_MAX {
            let reason = format!("has at most {GROUP_NAMES_MAX} names, not {}", pairs.len());
            return refuse(reason);
        }
        let mut own: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            if let Err(error) = check_id(&name) {
                return refuse(format!("a name is an id: {error}"));
            }
            let length = value.chars().count();
            if !(1..=VALUE_LENGTH_MAX).contains(&length) || value.chars().any(char::is_control) {
                let reason = format!(
                    "{name} must have 1 to {VALUE_LENGTH_MAX} characters, none a control character"
                );
                return refuse(reason);
            }
            own.push((name.into(), value.into()));
        }
        own.sort();
        if let Some(twice) = own.windows(2).find(|two| two[0].0 == two[1].0) {
            return refuse(format!("{} is given twice", twice[0].0));
        }
        Ok(Self(own.into()))
    }

    /// The value of a name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| **own == *name);
        found.map(|(_, value)| &**value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// Names and values read back from the store, which keep the rules.
    pub(crate) fn restored(pairs: Vec<(String, String)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(pairs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(pairs: &[(&str, &str)]) -> Result<Group, GateError> {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Group::new(pairs.iter().map(own).collect())
    }

    #[test]
    fn the_order_of_names_makes_no_difference() {
        assert_eq!(
            group(&[("b", "1"), ("a", "2")]).unwrap(),
            group(&[("a", "2"), ("b", "1")]).unwrap()
        );
    }

    #[test]
    fn a_group_out_of_bounds_is_refused_with_the_rule() {
        let long = "x".repeat(129);
        let many: Vec<_> = (0..1_000).map(|n| (format!("n{n}"), "v".to_owned())).collect();
        assert!(Group::new(many).unwrap_err().to_string().contains("at most 8 names, not 1000"));
        for pairs in
            [[("", "x")], [("a b", "x")], [("a", "")], [("a", "\n")], [("a", long.as_str())]]
        {
            assert!(matches!(group(&pairs), Err(GateError::InvalidGroup { .. })), "{pairs:?}");
        }
        let twice = group(&[("a", "1"), ("a", "2")]).unwrap_err();
        assert_eq!(twice.to_string(), "group: a is given twice");
        assert!(group(&[("tenant", "ada@example.org")]).is_ok());
    }
}
