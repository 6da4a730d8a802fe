//! Which certificate authorities receivers are trusted by.

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Certificate authorities that receivers over TLS are trusted by, instead of the public ones that
/// are built in.
#[derive(Clone, Debug)]
pub struct TrustedRoots(Vec<Certificate<'static>>);

/// A text that holds no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoots {
    /// It is broken.
    #[error("is not PEM: {0}")]
    Malformed(String),
    /// It has none.
    #[error("has no certificate")]
    Empty,
}

impl TrustedRoots {
    /// Reads certificates in PEM (RFC 7468), one after the other; what else there is, is skipped.
    ///
    /// # Errors
    /// [`InvalidRoots`].
    pub fn from_pem(text: &[u8]) -> Result<Self, InvalidRoots> {
        let mut trusted_cas = Vec::new();
        for item in parse_pem(text) {
            let item = item.map_err(|error| InvalidRoots::Malformed(error.to_string()))?;
            if let PemItem::Certificate(certificate) = item {
                trusted_cas.push(certificate);
            }
        }
        if trusted_cas.is_empty() { Err(InvalidRoots::Empty) } else { Ok(Self(trusted_cas)) }
    }

    pub(crate) fn into_certs(self) -> RootCerts {
        RootCerts::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_refused() {
        for text in ["", "certificate", "-----BEGIN X-----\nAA==\n-----END X-----\n"] {
            let refused = TrustedRoots::from_pem(text.as_bytes()).expect_err(text);
            assert_eq!(refused, InvalidRoots::Empty, "{text}");
        }
        let broken = b"-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n";
        let refused = TrustedRoots::from_pem(broken).expect_err("no base64");
        assert!(matches!(refused, InvalidRoots::Malformed(_)), "{refused}");
    }
}
