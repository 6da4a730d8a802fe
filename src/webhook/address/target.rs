//! The address of a sink.

use std::{net::ToSocketAddrs, time::Duration};

use ureq::http::Uri;

use crate::webhook::address::policy::{AddressPolicy, ForbiddenAddress};

/// An address that can be posted to. What was checked is what the client connects by: there is one
/// parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) Uri);

/// A text that is no address of a sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// It is none at all.
    #[error("url: {0}")]
    Malformed(&'static str),
    /// It names an address that may not be posted to.
    #[error("url: {0}")]
    Forbidden(#[from] ForbiddenAddress),
    /// There are more headers than one sink may have.
    #[error("headers: at most 20 are allowed, not {0}")]
    TooManyHeaders(usize),
    /// A header cannot be sent with a message.
    #[error("headers.{name}: {reason}")]
    Header {
        /// Which.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Target {
    /// Reads an address: `http` or `https`, a host, no user and no fragment.
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidTarget> {
        let wrong = InvalidTarget::Malformed;
        if url.contains('#') {
            return Err(wrong("must have no fragment"));
        }
        let uri: Uri = url.parse().map_err(|_| wrong("is not an absolute URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("must begin with http:// or https://"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("must name a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not name a user or a password"));
        }
        if authority.host().is_empty() {
            return Err(wrong("must name a host"));
        }
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(wrong("must have a port from 1 to 65535, or none"));
        }
        Ok(Self(uri))
    }

    /// The host as it is looked up, and the port.
    fn host_and_port(&self) -> (&str, u16) {
        let host = self.0.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_plain = self.0.scheme_str() == Some("http");
        (host, self.0.port_u16().unwrap_or(if is_plain { 80 } else { 443 }))
    }
}

/// Whether two addresses are on the same host and port, by the same protocol.
pub(crate) fn is_same_origin(one: &str, other: &str) -> bool {
    let origin = |url| {
        let target = Target::parse(url).ok()?;
        let (host, port) = target.host_and_port();
        let scheme = target.0.scheme_str().map(str::to_ascii_lowercase);
        Some((scheme, host.to_ascii_lowercase(), port))
    };
    origin(one).is_some_and(|one| Some(one) == origin(other))
}

/// How long a host may take to be looked up.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether messages could be posted to an address as things are: it is one, and no address of its
/// host is forbidden. A host that is not found now may be found later, and passes; every delivery
/// checks again. Dropping the future is safe.
///
/// # Errors
/// [`InvalidTarget`].
pub async fn check_url(url: &str, policy: &AddressPolicy) -> Result<(), InvalidTarget> {
    let target = Target::parse(url)?;
    let looking_up = tokio::task::spawn_blocking(move || {
        let found = target.host_and_port().to_socket_addrs();
        found.map(Iterator::collect::<Vec<_>>).unwrap_or_default()
    });
    let found = tokio::time::timeout(LOOK_UP_TIMEOUT, looking_up).await;
    let found = found.ok().and_then(Result::ok).unwrap_or_default();
    found.iter().try_for_each(|address| Ok(policy.check(address.ip())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_plain_or_over_tls_and_names_a_host() {
        for (url, expected) in [
            ("http://example.org", ("example.org", 80)),
            ("https://example.org/in?token=1", ("example.org", 443)),
            ("http://[::1]:8080/", ("::1", 8080)),
            ("HTTPS://EXAMPLE.org:65535/x", ("EXAMPLE.org", 65_535)),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!(target.host_and_port(), expected, "{url}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_is_wrong() {
        for (url, expected) in [
            ("", "url: is not an absolute URL"),
            ("/in", "url: must begin with http:// or https://"),
            ("example.org", "url: must begin with http:// or https://"),
            ("ftp://example.org/", "url: must begin with http:// or https://"),
            ("file://host/etc/passwd", "url: must begin with http:// or https://"),
            ("file:///etc/passwd", "url: is not an absolute URL"),
            ("http://", "url: is not an absolute URL"),
            ("http:///x", "url: is not an absolute URL"),
            ("http://:80/x", "url: must name a host"),
            ("http://u:p@example.org/", "url: must not name a user or a password"),
            ("http://u@example.org/", "url: must not name a user or a password"),
            ("http://example.org:99999/", "url: must have a port from 1 to 65535, or none"),
            ("http://example.org:0/", "url: must have a port from 1 to 65535, or none"),
            ("http://example.org/#x", "url: must have no fragment"),
            ("http://exa mple.org/", "url: is not an absolute URL"),
            ("http://example.org/\r\nx: y", "url: is not an absolute URL"),
        ] {
            let refused = Target::parse(url).expect_err(url);
            assert_eq!(refused.to_string(), expected, "{url}");
        }
    }
}
