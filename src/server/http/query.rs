//! The query string of a request.

use std::{borrow::Cow, ops::RangeInclusive};

use percent_encoding::percent_decode_str;

use crate::server::http::{code::Code, problem::Problem};

/// The parameters of one request, checked to be known and given once.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Takes a query string apart.
    ///
    /// # Errors
    /// `invalid_request` for a parameter that the call does not know, or that is given twice.
    pub(crate) fn parse(text: &'a str, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !known.contains(&name.as_ref()) {
                let detail = format!("{name}: unknown parameter; known here: {}", list(known));
                return Err(Problem::new(Code::InvalidRequest, detail));
            }
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                let detail = format!("{name}: given more than once");
                return Err(Problem::new(Code::InvalidRequest, detail));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// A parameter as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(own, _)| own == name)?;
        Some(value)
    }

    /// A parameter as an integer within bounds.
    ///
    /// # Errors
    /// `code`, if it is none.
    pub(crate) fn number(
        &self,
        name: &str,
        bounds: RangeInclusive<u64>,
        code: Code,
    ) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_number && bounds.contains(number));
        if number.is_some() {
            return Ok(number);
        }
        let (least, most) = bounds.into_inner();
        let detail = format!("{name} must be an integer from {least} to {most}, not {text:?}");
        Err(Problem::new(code, detail).limit(most))
    }

    /// A parameter that is `true` or `false`; `false` if it is not given.
    ///
    /// # Errors
    /// `invalid_request`, if it is anything else.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => {
                let detail = format!("{name} must be true or false, not {text:?}");
                Err(Problem::new(Code::InvalidRequest, detail))
            }
        }
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, Problem> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Ok(Cow::Owned(decoded.into_owned())),
        Err(_) => {
            let detail = format!("{text:?} in the query is not UTF-8 after decoding");
            Err(Problem::new(Code::InvalidRequest, detail))
        }
    }
}

fn list(known: &[&str]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(text: &str) -> Result<Option<u64>, Code> {
        let query = Query::parse(text, &["depth"]).map_err(|problem| problem.code())?;
        query.number("depth", 1..=100, Code::InvalidDepth).map_err(|problem| problem.code())
    }

    #[test]
    fn a_number_is_taken_within_its_bounds_only() {
        assert_eq!(depth(""), Ok(None));
        assert_eq!((depth("depth=1"), depth("depth=100")), (Ok(Some(1)), Ok(Some(100))));
        let refused = ["0", "101", "abc", "", "1.0", "-1", "%2B5", "+5", "99999999999999999999"];
        for text in refused {
            assert_eq!(depth(&format!("depth={text}")), Err(Code::InvalidDepth), "{text}");
        }
    }

    #[test]
    fn a_parameter_is_known_and_given_once() {
        assert_eq!(depth("dept=1"), Err(Code::InvalidRequest));
        assert_eq!(depth("depth=1&depth=2"), Err(Code::InvalidRequest));
        assert_eq!(depth("%64epth=2"), Ok(Some(2)));
        assert_eq!(depth("depth=%FF"), Err(Code::InvalidRequest));
    }

    #[test]
    fn a_flag_is_true_or_false() {
        let flag = |text| {
            let query = Query::parse(text, &["detail"]).expect("known");
            query.flag("detail").map_err(|problem| problem.code())
        };
        assert_eq!((flag(""), flag("detail=false")), (Ok(false), Ok(false)));
        assert_eq!(flag("detail=true"), Ok(true));
        assert_eq!(flag("detail=1"), Err(Code::InvalidRequest));
        assert_eq!(flag("detail"), Err(Code::InvalidRequest));
    }
}
