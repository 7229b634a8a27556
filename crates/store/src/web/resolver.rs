//! Resolves a host name to its permitted addresses.
//!
//! The client connects to these addresses and uses no other resolver, so a name cannot have one address when it is
//! checked and another when it is used. It never returns an address that [`reach`] forbids.

use std::fmt;
use std::net::IpAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{Reach, reach};

/// Resolves names with the system's resolver, then checks the addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckingResolver {
    /// Whether addresses of this machine and of private networks are permitted.
    pub allow_private: bool,
}

/// An address that inputs must not come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForbiddenAddress {
    host: String,
    address: IpAddr,
    reach: Reach,
}

impl fmt::Display for ForbiddenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address, reach } = self;
        match reach {
            Reach::Never => write!(f, "`{host}` is at `{address}`, from which no input is ever read"),
            _ => write!(
                f,
                "`{host}` is at `{address}`, an address of this machine or of a private network: set \
                 `allow_private_addresses` in `[web_inputs]` if inputs may come from there"
            ),
        }
    }
}

impl std::error::Error for ForbiddenAddress {}

impl CheckingResolver {
    /// Fails if the address must not be reached. `host` is the host in the URL.
    pub(crate) fn check(self, host: &str, address: IpAddr) -> Result<(), ForbiddenAddress> {
        match reach(address) {
            Reach::Public => Ok(()),
            Reach::Private if self.allow_private => Ok(()),
            reach => Err(ForbiddenAddress { host: host.to_owned(), address, reach }),
        }
    }
}

impl Resolve for CheckingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = *self;
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let (mut allowed, mut forbidden) = (Vec::new(), None);
            for address in found {
                match resolver.check(host, address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(error) => forbidden = Some(error),
                }
            }
            match forbidden {
                Some(error) if allowed.is_empty() => Err(error.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolved(allow_private: bool, host: &str) -> Result<Vec<IpAddr>, String> {
        let resolver = CheckingResolver { allow_private };
        let found = resolver.resolve(host.parse().unwrap()).await;
        found.map(|all| all.map(|address| address.ip()).collect()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn name_of_this_machine_resolves_only_if_allowed() {
        let error = resolved(false, "localhost").await.unwrap_err();
        assert!(error.contains("`localhost`") && error.contains("`allow_private_addresses`"), "{error}");
        let found = resolved(true, "localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[tokio::test]
    async fn link_local_address_is_never_reached() {
        for allow_private in [false, true] {
            let error = resolved(allow_private, "169.254.169.254").await.unwrap_err();
            assert!(error.contains("no input is ever read"), "{error}");
        }
    }
}
