//! Who a request comes from: a program, a page of this server, or a page of somebody else.
//!
//! A browser sends what any page asks it to, also to servers on loopback. `Host` shows a page that
//! made its own name point here, `Origin` and `Sec-Fetch-Site` show a page from elsewhere; both are
//! set by the browser and cannot be forged by a page. Programs send no `Origin`.

use std::net::{IpAddr, SocketAddr};

/// Which names a server answers to, and which pages of others may change what it keeps.
#[derive(Clone, Debug)]
pub struct Door {
    listen: IpAddr,
    host_names: Vec<String>,
    origins: Vec<String>,
}

/// What the head of a request says of where it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestSource<'a> {
    /// The header `Host`, or the authority of the target where that has one.
    pub host: Option<&'a str>,
    /// The header `Origin`.
    pub origin: Option<&'a str>,
    /// The header `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// The address at which the connection was accepted.
    pub local: Option<SocketAddr>,
    /// Whether the request does more than read once: it changes something, or opens a connection
    /// that stays.
    pub is_guarded: bool,
}

/// Where a request that is let in comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A program, or a page of this server.
    Own,
    /// A page of a listed origin: it may read the answer.
    Listed,
    /// A page of somebody else, which only reads: it is answered, and its browser keeps the answer
    /// from it.
    Foreign,
}

/// Why a request is not let in. Each says which setting would let it in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// HTTP/1.1 asks for it.
    #[error("the header Host is missing, or there are several")]
    NoHost,
    /// The name is of somebody else.
    #[error(
        "Host {0:?} is not a name of this server: use the address it listens on, or start it with \
         --host-names and this name"
    )]
    Host(String),
    /// The page is of somebody else.
    #[error(
        "pages of {0:?} may not do this: start the server with --cors-origins and this origin to \
         allow it"
    )]
    Origin(String),
}

impl Door {
    /// The door of a server that listens at `listen`. Loopback names and addresses, the address
    /// itself, and the one at which a connection arrived are its own; so are `host_names`, without
    /// ports, of which `*` means any. `origins` are written as browsers send them, such as
    /// `https://example.org`.
    pub fn new(listen: SocketAddr, host_names: &[String], origins: &[String]) -> Self {
        let bare = |name: &String| name.trim_end_matches('.').to_owned();
        Self {
            listen: listen.ip().to_canonical(),
            host_names: host_names.iter().map(bare).collect(),
            origins: origins.to_vec(),
        }
    }

    /// Lets a request in, or not.
    ///
    /// # Errors
    /// [`Forbidden`] if `Host` is missing or not a name of this server, or if a page of somebody
    /// else asks for more than a look.
    pub fn admit(&self, source: &RequestSource<'_>) -> Result<Caller, Forbidden> {
        let host = source.host.ok_or(Forbidden::NoHost)?;
        let refused = || Forbidden::Host(host.to_owned());
        let (name, port) = authority(host).ok_or_else(refused)?;
        if !self.is_own_name(name, source.local) {
            return Err(refused());
        }
        let (caller, page) = match (source.origin, source.fetch_site) {
            (Some(origin), _) if self.is_listed(origin) => (Caller::Listed, origin),
            (Some(origin), _) if self.is_own(origin, (name, port), source.local) => {
                (Caller::Own, origin)
            }
            (Some(origin), _) => (Caller::Foreign, origin),
            (None, Some(site)) if is_elsewhere(site) => (Caller::Foreign, site),
            (None, _) => (Caller::Own, ""),
        };
        if caller == Caller::Foreign && source.is_guarded {
            return Err(Forbidden::Origin(page.to_owned()));
        }
        Ok(caller)
    }

    fn is_own_name(&self, name: &str, local: Option<SocketAddr>) -> bool {
        let is_named =
            || self.host_names.iter().any(|own| own.eq_ignore_ascii_case(name) || own == "*");
        let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal.map(|ip| ip.to_canonical()) {
            Ok(ip) => {
                let is_local = local.is_some_and(|local| local.ip().to_canonical() == ip);
                let is_listed = || self.host_names.iter().any(|own| own.parse() == Ok(ip));
                ip.is_loopback() || ip == self.listen || is_local || is_listed() || is_named()
            }
            Err(_) => name.eq_ignore_ascii_case("localhost") || is_named(),
        }
    }

    fn is_listed(&self, origin: &str) -> bool {
        self.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin))
    }

    /// Whether an origin is that of the request itself, or this server's under another own name.
    fn is_own(&self, origin: &str, host: (&str, Option<u16>), local: Option<SocketAddr>) -> bool {
        let Some((scheme, rest)) = origin.split_once("://") else { return false };
        let schemes = [("http", 80), ("https", 443)];
        let known = schemes.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(scheme));
        let Some((_, usual)) = known else { return false };
        let Some((name, port)) = authority(rest) else { return false };
        let port = port.unwrap_or(usual);
        let is_same = name.eq_ignore_ascii_case(host.0) && port == host.1.unwrap_or(usual);
        // Another name of the same listener; `*` names nobody in particular.
        let is_alias = !self.host_names.iter().any(|own| own == "*")
            && local.is_some_and(|local| local.port() == port)
            && self.is_own_name(name, local);
        is_same || is_alias
    }
}

/// Whether a browser says that a page of somewhere else asks. `none` is its user.
fn is_elsewhere(fetch_site: &str) -> bool {
    !matches!(fetch_site, "same-origin" | "none")
}

/// A name, IPv6 in brackets, and a port.
fn authority(text: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_bracketed = name.starts_with('[') && name.ends_with(']');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if name.is_empty() || !(is_bracketed || name.bytes().all(is_name)) {
        return None;
    }
    let port = match port {
        None | Some("") => None,
        Some(port) => Some(port.parse().ok()?),
    };
    Some((name.trim_end_matches('.'), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        let listen = SocketAddr::from(([0, 0, 0, 0], 8000));
        Door::new(listen, &["Queue.example.org".to_owned()], &["https://app.example".to_owned()])
    }

    fn admit(host: &str, origin: Option<&str>, site: Option<&str>) -> Result<Caller, Forbidden> {
        door().admit(&RequestSource {
            host: Some(host),
            origin,
            fetch_site: site,
            local: Some(SocketAddr::from(([192, 168, 1, 7], 8000))),
            is_guarded: true,
        })
    }

    #[test]
    fn a_server_answers_to_its_own_names() {
        let own = [
            "localhost:8000",
            "LOCALHOST.",
            "127.0.0.1:8000",
            "127.9.8.7",
            "[::1]:8000",
            "[::ffff:127.0.0.1]",
            "0.0.0.0:8000",
            "192.168.1.7:8000",
            "queue.example.org",
            "queue.example.org.:443",
        ];
        for host in own {
            assert_eq!(admit(host, None, None), Ok(Caller::Own), "{host}");
        }
        let others = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.8:8000",
            "[::2]",
            "x@127.0.0.1",
            "127.0.0.1:x",
            "",
            ":8000",
            "[::1",
        ];
        for host in others {
            assert_eq!(admit(host, None, None), Err(Forbidden::Host(host.to_owned())), "{host}");
        }
        let none = door().admit(&RequestSource::default());
        assert_eq!(none, Err(Forbidden::NoHost));
    }

    #[test]
    fn a_star_among_the_names_answers_to_any() {
        let door = Door::new(SocketAddr::from(([127, 0, 0, 1], 80)), &["*".to_owned()], &[]);
        let of = |host, origin| {
            let source = RequestSource { host, origin, is_guarded: true, ..Default::default() };
            door.admit(&source)
        };
        assert_eq!(of(Some("any.example"), None), Ok(Caller::Own));
        assert_eq!(of(Some("any.example"), Some("https://any.example")), Ok(Caller::Own));
        let refused = Err(Forbidden::Origin("https://evil.example".to_owned()));
        assert_eq!(of(Some("any.example"), Some("https://evil.example")), refused);
    }

    #[test]
    fn a_page_of_somebody_else_changes_nothing() {
        let own = [
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("127.0.0.1:8000", "http://localhost:8000"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("queue.example.org", "https://queue.example.org"),
        ];
        for (host, origin) in own {
            assert_eq!(admit(host, Some(origin), None), Ok(Caller::Own), "{host} {origin}");
        }
        let listed = admit("localhost:8000", Some("https://app.example"), Some("cross-site"));
        assert_eq!(listed, Ok(Caller::Listed));
        let others = [
            "http://127.0.0.1",
            "http://127.0.0.1:3000",
            "http://localhost:3000",
            "http://app.example",
            "https://app.example:8",
            "ftp://127.0.0.1:8000",
            "null",
            "",
        ];
        for origin in others {
            let refused = Err(Forbidden::Origin(origin.to_owned()));
            assert_eq!(admit("127.0.0.1:8000", Some(origin), None), refused, "{origin}");
        }
    }

    #[test]
    fn without_an_origin_the_browser_says_whether_the_page_is_foreign() {
        for site in ["cross-site", "same-site"] {
            let refused = Err(Forbidden::Origin(site.to_owned()));
            assert_eq!(admit("localhost:8000", None, Some(site)), refused, "{site}");
        }
        for site in ["same-origin", "none"] {
            assert_eq!(admit("localhost:8000", None, Some(site)), Ok(Caller::Own), "{site}");
        }
    }

    #[test]
    fn a_look_from_elsewhere_is_answered_and_not_shown() {
        let source = RequestSource {
            host: Some("localhost"),
            origin: Some("https://evil.example"),
            ..RequestSource::default()
        };
        assert_eq!(door().admit(&source), Ok(Caller::Foreign));
    }
}
