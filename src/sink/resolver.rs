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

use super::AddressPolicy;

/// Looks a host up and checks every address found. The client connects to these addresses and looks
/// nothing up again, so that a name cannot change its address in between (DNS rebinding).
#[derive(Debug)]
pub(super) struct CheckedResolver(pub(super) AddressPolicy);

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        for address in found.iter() {
            self.0.check(address.ip()).map_err(|forbidden| Error::Other(forbidden.into()))?;
        }
        Ok(found)
    }
}
