//! Which addresses may be posted to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::webhook::address::range::Network;

/// Which addresses may be posted to: those of the public Internet, and what an operator allows.
///
/// Whoever may set a sink could else have the server speak to what only the server can reach: its
/// own machine, the network behind it, the metadata of its cloud (server-side request forgery,
/// OWASP A10:2021). What is refused is refused by the address that is connected to, never by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Addresses that may be posted to though they are not public.
    pub allowed: Vec<Network>,
}

/// An address that may not be posted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}: an operator can allow it with --sink-allow")]
pub struct ForbiddenAddress {
    /// The address.
    pub address: IpAddr,
    /// What it is.
    pub kind: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Network {
    Network::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Network {
    Network::new(IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)), prefix)
}

/// IPv4 that is not public, as the special-purpose registry has it (RFC 6890 and its updates), and
/// the one public address that a cloud answers its machines at.
const FORBIDDEN_V4: [(Network, &str); 17] = [
    (v4(0, 0, 0, 0, 8), "unspecified"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "shared between carriers and their customers"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local, where clouds keep their metadata"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "reserved for protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "a relay to IPv6"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "for benchmarks"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (v4(168, 63, 129, 16, 32), "where a cloud answers its own machines"),
];

/// Where IPv6 is public at all, and what is not within that.
const PUBLIC_V6: Network = v6(0x2000, 0, 3);
const FORBIDDEN_V6: [(Network, &str); 4] = [
    (v6(0x2001, 0, 23), "reserved for protocols"),
    (v6(0x2001, 0xdb8, 32), "for documentation"),
    (v6(0x2002, 0, 16), "a relay to IPv4"),
    (v6(0x3fff, 0, 20), "for documentation"),
];

impl AddressPolicy {
    /// Whether this address may be posted to.
    ///
    /// # Errors
    /// [`ForbiddenAddress`].
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let address = address.to_canonical();
        if self.allowed.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        let forbidden: &[(Network, &'static str)] =
            if address.is_ipv4() { &FORBIDDEN_V4 } else { &FORBIDDEN_V6 };
        let found = forbidden.iter().find(|(network, _)| network.contains(address));
        let kind = match found {
            Some(&(_, kind)) => kind,
            None if address.is_ipv4() || PUBLIC_V6.contains(address) => return Ok(()),
            None if address.is_loopback() => "loopback",
            None if address.is_multicast() => "multicast",
            None if address.is_unspecified() => "unspecified",
            None => "not public",
        };
        Err(ForbiddenAddress { address, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &AddressPolicy, text: &str) -> Result<(), ForbiddenAddress> {
        policy.check(text.parse().expect("an address"))
    }

    #[test]
    fn what_only_the_server_can_reach_is_forbidden() {
        let policy = AddressPolicy::default();
        for (text, kind) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("10.1.2.3", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("169.254.169.254", "link-local, where clouds keep their metadata"),
            ("100.100.100.200", "shared between carriers and their customers"),
            ("192.0.0.192", "reserved for protocols"),
            ("168.63.129.16", "where a cloud answers its own machines"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("::127.0.0.1", "not public"),
            ("64:ff9b::7f00:1", "not public"),
            ("64:ff9b:1::a00:1", "not public"),
            ("2002:7f00:1::", "a relay to IPv4"),
            ("2001::1", "reserved for protocols"),
            ("fe80::1", "not public"),
            ("fc00::1", "not public"),
            ("fd00:ec2::254", "not public"),
            ("fec0::1", "not public"),
            ("ff02::1", "multicast"),
        ] {
            let refused = check(&policy, text).expect_err(text);
            assert_eq!(refused.kind, kind, "{text}");
        }
    }

    #[test]
    fn the_public_internet_and_what_an_operator_allows_may_be_posted_to() {
        let policy = AddressPolicy::default();
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"] {
            assert_eq!(check(&policy, text), Ok(()), "{text}");
        }
        let allowed = vec!["127.0.0.0/8".parse().expect("a network")];
        let policy = AddressPolicy { allowed };
        assert_eq!(check(&policy, "127.0.0.1"), Ok(()));
        assert_eq!(check(&policy, "::ffff:127.0.0.1"), Ok(()));
        assert!(check(&policy, "::1").is_err());
        assert!(check(&policy, "10.0.0.1").is_err());
    }
}
