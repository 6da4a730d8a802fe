//! From a host to the addresses that may be connected to.

use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

use crate::webhook::address::policy::AddressPolicy;

/// Looks a host up and checks every address found. The client connects to these addresses and looks
/// nothing up again, so that a name cannot change its address in between (DNS rebinding).
#[derive(Debug)]
pub(crate) struct CheckedResolver<R = DefaultResolver> {
    policy: AddressPolicy,
    names: R,
}

impl<R> CheckedResolver<R> {
    /// Looks up by `names` and lets through what `policy` does.
    pub(crate) fn new(policy: AddressPolicy, names: R) -> Self {
        Self { policy, names }
    }
}

impl<R: Resolver> Resolver for CheckedResolver<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        for address in found.iter() {
            self.policy.check(address.ip()).map_err(|forbidden| Error::Other(forbidden.into()))?;
        }
        Ok(found)
    }
}
