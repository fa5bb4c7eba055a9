//! Which addresses the agent connects to. Whoever may start an import names a host; it must not
//! become a way into the networks that only the agent can reach (server-side request forgery).
//!
//! Names are resolved once, here, and the connection goes to an address that was looked at: a name
//! that answers differently the second time gains nothing.
//!
//! Behind a proxy it is the proxy that resolves names and connects, and nobody here sees where to. What
//! this machine can tell is refused all the same: addresses in private networks, and names that resolve
//! to one here. A name that only the proxy can resolve is the proxy's to judge.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A name or address in a private network.
#[derive(Debug)]
pub(super) struct PrivateAddress(pub(super) String);

impl fmt::Display for PrivateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is in a private network", self.0)
    }
}

impl std::error::Error for PrivateAddress {}

/// Resolves names to public addresses only.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| !is_private(address.ip())).collect();
            if public.is_empty() {
                return Err(PrivateAddress(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Longest time that a name is looked up before the proxy is asked for it.
const LOOKUP: Duration = Duration::from_secs(5);

/// Refuses a host that a proxy must not be asked for.
///
/// # Errors
/// [`PrivateAddress`] when any of its addresses is private: which one the proxy takes, nobody knows.
pub(super) async fn check_behind_proxy(host: &str) -> Result<(), PrivateAddress> {
    let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, 0))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    judge(host, found.map(|found| found.map(|address| address.ip())))
}

fn judge(host: &str, found: io::Result<impl IntoIterator<Item = IpAddr>>) -> Result<(), PrivateAddress> {
    // Behind a proxy there often is no way to resolve the names of the world.
    let Ok(found) = found else { return Ok(()) };
    match found.into_iter().any(is_private) {
        true => Err(PrivateAddress(host.to_owned())),
        false => Ok(()),
    }
}

/// Whether an address is anything but one of the public internet: this machine, a private or shared
/// network, a link, a group of receivers, or reserved (IANA's special-purpose registries).
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b)) // shared by a provider's customers (RFC 6598)
        || (a == 192 && b == 0 && c == 0) // protocol assignments (RFC 6890)
        || (a == 198 && (18..20).contains(&b)) // benchmarks (RFC 2544)
        || a >= 224 // multicast, reserved, broadcast
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        // An IPv4 address in the clothes of IPv6: mapped, compatible, NAT64, 6to4.
        (0, 0, 0, 0, 0, 0xffff | 0) => embedded(g, h),
        (0x64, 0xff9b, 0, 0, 0, 0) => embedded(g, h),
        (0x2002, high, low, ..) => embedded(high, low),
        // Global unicast is 2000::/3; of it, 2001:db8::/32 is for books, 2001::/23 for protocols.
        (0x2001, 0xdb8 | 0..=0x1ff, ..) => true,
        _ => a & 0xe000 != 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_in_all_their_clothes() {
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "64:ff9b:1::1",
            "100::1",
        ] {
            assert!(is_private(private.parse().expect(private)), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "193.0.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::",
            "2001:4860:4860::8888",
        ] {
            assert!(!is_private(public.parse().expect(public)), "{public}");
        }
    }

    #[test]
    fn behind_a_proxy_one_private_address_is_too_many() {
        let found = |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect(text)).collect();
            judge("host.example", Ok(addresses)).is_ok()
        };
        assert!(found(&["1.1.1.1", "2606:4700::1111"]) && found(&[]));
        assert!(!found(&["10.0.0.1"]) && !found(&["1.1.1.1", "::1"]));
        let unknown: io::Result<Vec<IpAddr>> = Err(io::ErrorKind::NotFound.into());
        assert!(judge("host.example", unknown).is_ok());
    }

    #[tokio::test]
    async fn names_that_are_private_here_are_not_asked_of_a_proxy() {
        assert!(check_behind_proxy("localhost").await.is_err());
    }

    #[tokio::test]
    async fn names_of_this_machine_are_not_resolved() {
        let name: Name = "localhost".parse().expect("a name");
        let Err(refused) = PublicResolver.resolve(name).await else { panic!("resolved") };
        assert!(refused.downcast_ref::<PrivateAddress>().is_some(), "{refused}");
    }
}
