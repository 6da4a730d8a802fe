//! Who may ask: whoever knows the token, if there is one.

use std::fmt;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use subtle::ConstantTimeEq;

use super::problem::{Code, Problem};

/// The shared secret that a client sends as `Authorization: Bearer …`. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is made of 1 or more visible ASCII characters, without blanks")]
pub struct InvalidToken;

impl Token {
    /// Takes a secret.
    ///
    /// # Errors
    /// [`InvalidToken`] if it could not be sent in a header.
    pub fn new(secret: impl Into<String>) -> Result<Self, InvalidToken> {
        let secret = secret.into();
        let is_sendable = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sendable { Ok(Self(secret)) } else { Err(InvalidToken) }
    }

    /// The secret itself.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Checks what a client sent, in a time that does not depend on how much of it is right.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let sent = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let Some((scheme, secret)) = sent.and_then(|sent| sent.split_at_checked("Bearer ".len()))
        else {
            let detail = "a token is needed: send the header Authorization: Bearer …";
            return Err(Problem::new(Code::Unauthorized, detail));
        };
        let is_right = bool::from(secret.ct_eq(self.0.as_bytes()));
        if is_right && scheme.eq_ignore_ascii_case(b"Bearer ") {
            return Ok(());
        }
        Err(Problem::new(Code::Unauthorized, "the token is not the right one"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_the_right_token_is_let_in() {
        let token = Token::new("s3cret").expect("sendable");
        let is_in = |sent: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(sent));
            }
            token.check(&headers).is_ok()
        };
        assert!(is_in(Some("Bearer s3cret")) && is_in(Some("bearer s3cret")));
        let others = ["Bearer s3cre", "Bearer s3crets", "Bearer ", "Bearer", "Basic s3cret", ""];
        for sent in others {
            assert!(!is_in(Some(sent)), "{sent}");
        }
        assert!(!is_in(None));
    }

    #[test]
    fn a_token_can_be_sent_in_a_header_and_is_not_shown() {
        for secret in ["", "a b", "a\n", "é"] {
            assert_eq!(Token::new(secret), Err(InvalidToken), "{secret:?}");
        }
        let token = Token::new("s3cret").expect("sendable");
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
